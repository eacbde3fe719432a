// Package provision makes containers on the VCHs of a project: it finds a place, asks the project's rules whether somebody
// has to approve, holds what the project may use, and has a job make the container.
//
// A provision is a request for one container. Its state is a row of the database; each change of state is one transaction,
// with the use of the project's allowance and with the job that follows:
//
//	waiting   somebody has to approve it; until Expires. Then it is pending, refused, expired or cancelled
//	pending   the allowance is held, and a job makes the container. Then it is done or failed
//	done      the container is there, and the allowance is held until the container is removed
//	failed, refused, expired, cancelled, removed
//	          the end; nothing is held
//
// A container is made once though a hub is killed in the middle: its name is chosen before the job begins, and the container
// of that name tells by a label whose it is.
package provision

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/openvic/vic/core/hub/fleet"
	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/hub/vchs"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Schema is the tables.
func Schema() store.Schema {
	return store.Schema{Name: "provision", Steps: []string{`
CREATE TABLE provision (
	id @id,
	project BIGINT NOT NULL,
	vch BIGINT NOT NULL,
	name TEXT NOT NULL,
	image TEXT NOT NULL,
	status @ascii NOT NULL,
	principal @ascii NOT NULL,
	requested_by TEXT NOT NULL,
	made BIGINT NOT NULL,
	updated BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	reason TEXT NOT NULL,
	decided_by TEXT NOT NULL,
	comment TEXT NOT NULL,
	containers BIGINT NOT NULL,
	cpus BIGINT NOT NULL,
	memory BIGINT NOT NULL,
	starts BOOLEAN NOT NULL,
	plan TEXT NOT NULL,
	sealed_body @bytes NOT NULL,
	container @ascii NOT NULL,
	execution BIGINT NOT NULL,
	message TEXT NOT NULL
);
CREATE INDEX provision_project ON provision (project, id);
CREATE INDEX provision_status ON provision (status, id);
CREATE INDEX provision_container ON provision (container);
CREATE TABLE allowance (
	project @key,
	most_containers BIGINT NOT NULL,
	most_cpus BIGINT NOT NULL,
	most_memory BIGINT NOT NULL,
	containers BIGINT NOT NULL,
	cpus BIGINT NOT NULL,
	memory BIGINT NOT NULL
);
CREATE TABLE approval_rule (
	id @id,
	project BIGINT NOT NULL,
	name TEXT NOT NULL,
	rule TEXT NOT NULL,
	made BIGINT NOT NULL
);
CREATE INDEX approval_rule_project ON approval_rule (project, id)`}}
}

// Status is where a provision stands.
type Status string

// The statuses.
const (
	Waiting   Status = "waiting"
	Pending   Status = "pending"
	Done      Status = "done"
	Failed    Status = "failed"
	Refused   Status = "refused"
	Expired   Status = "expired"
	Cancelled Status = "cancelled"
	Removed   Status = "removed"
)

// Provision is one request.
type Provision struct {
	ID, Project, VCH int64 // VCH is 0 until it is placed
	Name, Image      string
	Status           Status
	Principal        string // whose it is
	RequestedBy      string // their name
	Made, Updated    time.Time
	Expires          time.Time // of one that waits
	// Reason is why somebody has to approve it; empty: nobody has.
	Reason             string
	DecidedBy, Comment string
	Size               Size
	Start              bool
	Plan               Plan
	Container          string // the ID at the VCH, once it is there
	Execution          int64  // of the job; 0: none yet
	Message            string // why it failed

	sealed []byte
}

// patience is how long a request waits for an approval.
const patience = 7 * 24 * time.Hour

// Options are what Provisions needs.
type Options struct {
	DB     *store.Store
	Sealer *seal.Sealer
	Fleet  *fleet.Fleet
	VCHs   *vchs.VCHs
	Queue  func() *jobs.Queue
	// Token makes a credential by which a VCH pulls an image for a user, as that user may; "": the image is none of the
	// hub's, or anybody may pull it.
	Token func(ctx context.Context, principal, image string) (string, error)
	Log   *slog.Logger
	Now   func() time.Time // nil: time.Now
}

// Provisions keeps them. It may be used by several goroutines.
type Provisions struct{ o Options }

// New makes a Provisions over a store that was opened with Schema.
func New(o Options) *Provisions {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Provisions{o}
}

// Request is what somebody wants.
type Request struct {
	Project                int64
	ProjectName            string
	Principal, RequestedBy string
	// Name is the container's; empty: one is made up.
	Name string
	// Body is that of Docker's POST /containers/create.
	Body json.RawMessage
	// Start says whether it is started too.
	Start bool
	Wish  Wish
	// Decides says that the requester may approve requests of the project: rules that are not for such people do not count.
	Decides bool
}

// considered is a request that was looked at.
type considered struct {
	body   Body
	size   Size
	plan   Plan
	reason string
}

// consider reads a request, finds a place and asks the rules.
func (p *Provisions) consider(ctx context.Context, r Request) (considered, error) {
	var c considered
	var err error
	if c.body, err = readBody(r.Body); err != nil {
		return c, err
	}
	if r.Name != "" && !containerName.MatchString(r.Name) {
		return c, fmt.Errorf("name: %.100q is none: want letters, digits and _.-: %w", r.Name, errdef.ErrInvalid)
	}
	c.size = c.body.size()
	if c.plan, err = p.place(ctx, r.Project, c.size, r.Wish); err != nil {
		return c, err
	}
	c.reason, err = p.reason(ctx, r, c.body)
	return c, err
}

// Preview tells what Create would do.
type Preview struct {
	Plan Plan
	Size Size
	// Reason is why somebody would have to approve it.
	Reason string
	// Over is what is lacking of the project's allowance; empty: nothing.
	Over string
}

// Preview says what Create would do, and makes nothing. Errors are Create's.
func (p *Provisions) Preview(ctx context.Context, r Request) (Preview, error) {
	c, err := p.consider(ctx, r)
	if err != nil {
		return Preview{}, err
	}
	out := Preview{Plan: c.plan, Size: c.size, Reason: c.reason}
	a, err := p.Allowance(ctx, r.Project)
	if err == nil {
		out.Over = a.lacks(c.size)
	}
	return out, err
}

// Create makes a provision: pending, or waiting if a rule wants an approval. errdef.ErrInvalid; errdef.ErrUnavailable if no
// VCH has a place, with the reasons; errdef.ErrExhausted if the project's allowance is used.
func (p *Provisions) Create(ctx context.Context, r Request) (Provision, error) {
	c, err := p.consider(ctx, r)
	if err != nil {
		return Provision{}, err
	}
	if c.plan.Chosen == 0 {
		return Provision{}, fmt.Errorf("no VCH of the project has a place for it: %s: %w", c.plan.whyNone(), errdef.ErrUnavailable)
	}
	now := p.o.Now()
	out := Provision{Project: r.Project, VCH: c.plan.Chosen, Name: cmp.Or(r.Name, randomName()), Image: c.body.Image, Principal: r.Principal,
		RequestedBy: r.RequestedBy, Made: now, Updated: now, Reason: c.reason, Size: c.size, Start: r.Start, Plan: c.plan, Status: Pending}
	if c.reason != "" {
		out.Status, out.Expires = Waiting, now.Add(patience)
	}
	plan, err := json.Marshal(c.plan)
	if err != nil {
		return Provision{}, err
	}
	err = p.o.DB.Tx(ctx, func(tx *store.Tx) error {
		err := tx.Row(`INSERT INTO provision (project, vch, name, image, status, principal, requested_by, made, updated, expires, reason, decided_by, comment,
			containers, cpus, memory, starts, plan, sealed_body, container, execution, message)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10, '', '', $11, $12, $13, $14, $15, $16, '', 0, '') RETURNING id`,
			out.Project, out.VCH, out.Name, out.Image, string(out.Status), out.Principal, out.RequestedBy, now.Unix(), unix(out.Expires), out.Reason,
			out.Size.Containers, out.Size.CPUs, out.Size.Memory, out.Start, string(plan), []byte{}).Scan(&out.ID)
		if err != nil {
			return err
		}
		text, err := c.body.sealable(out.ID, r)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE provision SET sealed_body = $1 WHERE id = $2`, p.o.Sealer.Seal(sealedName(out.ID), text), out.ID); err != nil {
			return err
		}
		if out.Status == Waiting {
			return nil
		}
		return p.begin(tx, &out, false)
	})
	return out, err
}

func sealedName(id int64) string { return fmt.Sprintf("body of the provision %d", id) }

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// begin holds the allowance and has the job made, within the transaction that makes a provision pending. beyond lets it go
// beyond the allowance.
func (p *Provisions) begin(tx *store.Tx, x *Provision, beyond bool) error {
	if err := hold(tx, x.Project, x.Size, beyond); err != nil {
		return err
	}
	id, err := p.o.Queue().Enqueue(tx, jobs.Request{Kind: Kind, Subject: x.Project, Payload: payload{Provision: x.ID, Name: x.Name, Image: x.Image}})
	if err != nil {
		return err
	}
	x.Execution = id
	_, err = tx.Exec(`UPDATE provision SET execution = $1 WHERE id = $2`, id, x.ID)
	return err
}

// Decision is what somebody says of a request that waits.
type Decision struct {
	Approve bool
	// Principal and By are who decides. Nobody decides about a request of their own.
	Principal, By string
	Comment       string
	// Beyond says that they may let it go beyond the project's allowance.
	Beyond bool
}

// maxComment bounds a comment, in bytes.
const maxComment = 1000

// Decide approves or refuses a request that waits. errdef.ErrNotFound; errdef.ErrConflict if it does not wait any more;
// errdef.ErrDenied for a request of their own; errdef.ErrExhausted if it goes beyond the allowance and they may not let it.
func (p *Provisions) Decide(ctx context.Context, project, id int64, d Decision) (Provision, error) {
	if len(d.Comment) > maxComment {
		return Provision{}, fmt.Errorf("comment: it is longer than %d bytes: %w", maxComment, errdef.ErrInvalid)
	}
	var x Provision
	err := p.o.DB.Tx(ctx, func(tx *store.Tx) error {
		var err error
		if x, err = p.waiting(tx, project, id); err != nil {
			return err
		}
		if x.Principal == d.Principal {
			return fmt.Errorf("somebody else has to decide about a request of yours: %w", errdef.ErrDenied)
		}
		x.Status, x.DecidedBy, x.Comment = Refused, d.By, d.Comment
		if d.Approve {
			x.Status = Pending
		}
		if err := p.set(tx, &x); err != nil || !d.Approve {
			return err
		}
		return p.begin(tx, &x, d.Beyond)
	})
	return x, err
}

// Cancel takes back a request of a principal's own that waits; errdef.ErrNotFound, errdef.ErrConflict.
func (p *Provisions) Cancel(ctx context.Context, project, id int64, principal string) error {
	return p.o.DB.Tx(ctx, func(tx *store.Tx) error {
		x, err := p.waiting(tx, project, id)
		if err != nil {
			return err
		}
		if x.Principal != principal {
			return fmt.Errorf("it is a request of %s, who alone takes it back: %w", x.RequestedBy, errdef.ErrDenied)
		}
		x.Status = Cancelled
		return p.set(tx, &x)
	})
}

// waiting locks a request that waits.
func (p *Provisions) waiting(tx *store.Tx, project, id int64) (Provision, error) {
	x, err := scan(tx.Lock(selectProvision+` WHERE id = $1 AND project = $2`, id, project).Scan)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return x, noProvision(id)
	case err != nil:
		return x, err
	case x.Status != Waiting:
		return x, fmt.Errorf("the request %d does not wait for an approval: it is %s: %w", id, x.Status, errdef.ErrConflict)
	}
	return x, nil
}

// set writes status, decision and message, and forgets the body of one that has come to its end.
func (p *Provisions) set(tx *store.Tx, x *Provision) error {
	x.Updated = p.o.Now()
	body := x.sealed
	if x.Status != Waiting && x.Status != Pending {
		body = []byte{}
	}
	_, err := tx.Exec(`UPDATE provision SET status = $1, decided_by = $2, comment = $3, container = $4, message = $5, updated = $6, sealed_body = $7, vch = $8
		WHERE id = $9`, string(x.Status), x.DecidedBy, x.Comment, x.Container, x.Message, x.Updated.Unix(), body, x.VCH, x.ID)
	return err
}

func noProvision(id int64) error {
	return fmt.Errorf("request %d not found: %w", id, errdef.ErrNotFound)
}

const selectProvision = `SELECT id, project, vch, name, image, status, principal, requested_by, made, updated, expires, reason, decided_by, comment,
	containers, cpus, memory, starts, plan, sealed_body, container, execution, message FROM provision`

func scan(row func(...any) error) (x Provision, err error) {
	var made, updated, expires int64
	var plan string
	err = row(&x.ID, &x.Project, &x.VCH, &x.Name, &x.Image, &x.Status, &x.Principal, &x.RequestedBy, &made, &updated, &expires, &x.Reason, &x.DecidedBy,
		&x.Comment, &x.Size.Containers, &x.Size.CPUs, &x.Size.Memory, &x.Start, &plan, &x.sealed, &x.Container, &x.Execution, &x.Message)
	if err != nil {
		return x, err
	}
	x.Made, x.Updated = time.Unix(made, 0), time.Unix(updated, 0)
	if expires != 0 {
		x.Expires = time.Unix(expires, 0)
	}
	return x, json.Unmarshal([]byte(plan), &x.Plan)
}

// Get finds one of a project; errdef.ErrNotFound.
func (p *Provisions) Get(ctx context.Context, project, id int64) (Provision, error) {
	x, err := scan(p.o.DB.QueryRow(ctx, selectProvision+` WHERE id = $1 AND project = $2`, id, project).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		err = noProvision(id)
	}
	return x, err
}

// List returns a page of those of a project, or of all projects for 0, the latest first, of one status or, if that is
// empty, of all; and how many there are.
func (p *Provisions) List(ctx context.Context, project int64, status Status, limit, offset int) (list []Provision, total int, err error) {
	const where = ` WHERE ($1 = CAST(0 AS BIGINT) OR project = $1) AND ($2 = '' OR status = $2)`
	if err := p.o.DB.QueryRow(ctx, `SELECT COUNT(*) FROM provision`+where, project, string(status)).Scan(&total); err != nil {
		return nil, 0, err
	}
	list, _, err = store.List(ctx, p.o.DB, limit, func(r *sql.Rows) (Provision, error) { return scan(r.Scan) },
		selectProvision+where+` ORDER BY id DESC LIMIT $4 OFFSET $3`, project, string(status), offset)
	return list, total, err
}

// Forget removes what is kept of a project that is deleted, within its transaction. Containers that were made stay where they
// are.
func Forget(tx *store.Tx, q *jobs.Queue, project int64) error {
	if err := q.Forget(tx, Kind, project); err != nil {
		return err
	}
	for _, table := range []string{"provision", "allowance", "approval_rule"} {
		if _, err := tx.Exec(`DELETE FROM `+table+` WHERE project = $1`, project); err != nil {
			return err
		}
	}
	return nil
}

// of lets the VCHs of a project through.
func of(project int64) func(vchs.VCH) bool {
	return func(v vchs.VCH) bool {
		for _, p := range v.Projects {
			if p == project {
				return true
			}
		}
		return false
	}
}
