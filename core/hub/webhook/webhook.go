// Package webhook tells programs elsewhere what happens in a project: policies say which events go to which targets, each
// event becomes a job for each target in the transaction of what it tells of, and the job delivers it by HTTP.
//
// A delivery is tried again when it fails, so a target may get it twice; the header webhook-id is the same then. With a
// secret it is signed as standardwebhooks.com says: webhook-signature is the HMAC-SHA256 of webhook-id, webhook-timestamp
// and the body, with dots between them.
package webhook

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/outbound"
	"github.com/openvic/vic/sdk/secret"
)

// Schema is the tables. sealed holds the secrets of the targets. webhook_quota remembers when a project was last warned.
func Schema() store.Schema {
	return store.Schema{Name: "webhook", Watched: []string{"webhook_policy"}, Steps: []string{`
CREATE TABLE webhook_policy (
	id @id, project BIGINT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL, enabled BOOLEAN NOT NULL, events TEXT NOT NULL, targets TEXT NOT NULL,
	sealed @bytes NOT NULL, creator TEXT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, UNIQUE (project, name)
);
CREATE TABLE webhook_quota (
	project BIGINT NOT NULL, event @ascii NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (project, event)
) @clustered`}}
}

// The types of events, Harbor's.
const (
	Push          = "PUSH_ARTIFACT"
	Pull          = "PULL_ARTIFACT"
	Delete        = "DELETE_ARTIFACT"
	QuotaExceed   = "QUOTA_EXCEED"
	QuotaWarning  = "QUOTA_WARNING"
	Replication   = "REPLICATION"
	Retention     = "TAG_RETENTION"
	ScanCompleted = "SCANNING_COMPLETED"
	ScanFailed    = "SCANNING_FAILED"
	ScanStopped   = "SCANNING_STOPPED"
)

// cloudTypes are all types of events, each with its name in CloudEvents, which is Harbor's too.
var cloudTypes = map[string]string{
	Push: "harbor.artifact.pushed", Pull: "harbor.artifact.pulled", Delete: "harbor.artifact.deleted", QuotaExceed: "harbor.quota.exceeded",
	QuotaWarning: "harbor.quota.warned", Replication: "harbor.replication.status.changed", Retention: "harbor.tag_retention.finished",
	ScanCompleted: "harbor.scan.completed", ScanFailed: "harbor.scan.failed", ScanStopped: "harbor.scan.stopped",
}

// Types are the types of events, in order.
func Types() []string {
	var all []string
	for t := range cloudTypes {
		all = append(all, t)
	}
	slices.Sort(all)
	return all
}

// Formats of a payload.
const (
	FormatDefault     = "Default"
	FormatCloudEvents = "CloudEvents"
)

// Policy says which events of a project go where.
type Policy struct {
	ID               int64
	Project          int64
	Name             string
	Description      string
	Enabled          bool
	Events           []string
	Targets          []Target
	Creator          string
	Created, Updated time.Time
}

// Target is where a policy's events go.
type Target struct {
	Address  string `json:"address"`
	Insecure bool   `json:"insecure"` // take any certificate
	Format   string `json:"format"`
	// Authorization is the value of the header of that name, Secret signs deliveries; "" for none. They are sealed in the
	// database and never shown. In an update nil keeps what is there, if the address stays.
	Authorization *secret.Text `json:"-"`
	Secret        *secret.Text `json:"-"`
}

// HasAuthorization says whether there is one.
func (t Target) HasAuthorization() bool { return t.Authorization != nil && *t.Authorization != "" }

// HasSecret says whether deliveries are signed.
func (t Target) HasSecret() bool { return t.Secret != nil && *t.Secret != "" }

// sealedTarget are the secrets of a target, in the order of the targets.
type sealedTarget struct {
	Authorization string `json:"authorization,omitempty"`
	Secret        string `json:"secret,omitempty"`
}

// Bounds of what users set.
const (
	maxPolicies = 50 // of one project
	maxTargets  = 10 // of one policy
	maxName     = 255
	maxText     = 1024
	maxSecret   = 4096
)

// Hooks keeps the policies, and makes and delivers events. It may be used by several goroutines.
type Hooks struct {
	db     *store.Store
	sealer *seal.Sealer
	queue  func() *jobs.Queue
	policy *outbound.Policy
	log    *slog.Logger
	now    func() time.Time
}

// Options of Hooks.
type Options struct {
	DB     *store.Store
	Sealer *seal.Sealer
	// Queue is asked for when it is needed: it is made after its kinds.
	Queue func() *jobs.Queue
	// Outbound says where targets may be; private addresses only if it allows them by name.
	Outbound *outbound.Policy
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
}

// New makes Hooks over a store that was opened with Schema and the jobs' one.
func New(o Options) *Hooks {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Hooks{db: o.DB, sealer: o.Sealer, queue: o.Queue, policy: o.Outbound.PublicOnly(), log: o.Log, now: o.Now}
}

func missing(err error, what string, id int64) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s %d: %w", what, id, errdef.ErrNotFound)
	}
	return err
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), errdef.ErrInvalid)
}

// check looks at what a user set, and fills in what they left out.
func (h *Hooks) check(p *Policy) error {
	switch {
	case strings.TrimSpace(p.Name) == "" || len(p.Name) > maxName:
		return invalid("name: want 1 to %d characters", maxName)
	case len(p.Description) > maxText:
		return invalid("description: at most %d characters", maxText)
	case len(p.Events) == 0:
		return invalid("event_types: is empty: choose from %s", strings.Join(Types(), ", "))
	case len(p.Targets) == 0 || len(p.Targets) > maxTargets:
		return invalid("targets: want 1 to %d", maxTargets)
	}
	for _, e := range p.Events {
		if cloudTypes[e] == "" {
			return invalid("event_types: %.60q is none of %s", e, strings.Join(Types(), ", "))
		}
	}
	slices.Sort(p.Events)
	p.Events = slices.Compact(p.Events)
	for i := range p.Targets {
		if err := h.checkTarget(&p.Targets[i]); err != nil {
			return fmt.Errorf("targets[%d]: %w", i, err)
		}
	}
	return nil
}

func (h *Hooks) checkTarget(t *Target) error {
	if t.Format == "" {
		t.Format = FormatDefault
	}
	if t.Format != FormatDefault && t.Format != FormatCloudEvents {
		return invalid("payload_format: %.60q is neither %s nor %s", t.Format, FormatDefault, FormatCloudEvents)
	}
	for name, s := range map[string]*secret.Text{"auth_header": t.Authorization, "secret": t.Secret} {
		if s != nil && (len(*s) > maxSecret || strings.ContainsFunc(string(*s), func(r rune) bool { return r < ' ' || r == 0x7f })) {
			return invalid("%s: at most %d characters, and no control characters", name, maxSecret)
		}
	}
	if err := h.policy.CheckURL(t.Address); errors.Is(err, errdef.ErrDenied) {
		return invalid("address: %v", err)
	} else if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	return nil
}

// sealName binds sealed secrets to their policy.
func sealName(id int64) string { return fmt.Sprintf("webhook %d", id) }

func (h *Hooks) seal(id int64, targets []Target) ([]byte, error) {
	list := make([]sealedTarget, len(targets))
	for i, t := range targets {
		if t.Authorization != nil {
			list[i].Authorization = string(*t.Authorization)
		}
		if t.Secret != nil {
			list[i].Secret = string(*t.Secret)
		}
	}
	b, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	return h.sealer.Seal(sealName(id), b), nil
}

const selectPolicy = `SELECT id, project, name, description, enabled, events, targets, sealed, creator, created, updated FROM webhook_policy`

func (h *Hooks) scan(scan func(...any) error) (p Policy, err error) {
	var events, targets string
	var sealed []byte
	var created, updated int64
	if err := scan(&p.ID, &p.Project, &p.Name, &p.Description, &p.Enabled, &events, &targets, &sealed, &p.Creator, &created, &updated); err != nil {
		return p, err
	}
	p.Created, p.Updated = time.UnixMilli(created), time.UnixMilli(updated)
	if err := errors.Join(json.Unmarshal([]byte(events), &p.Events), json.Unmarshal([]byte(targets), &p.Targets)); err != nil {
		return p, fmt.Errorf("webhook policy %d: %w", p.ID, err)
	}
	b, err := h.sealer.Open(sealName(p.ID), sealed)
	if err != nil {
		return p, fmt.Errorf("webhook policy %d: %w", p.ID, err)
	}
	var secrets []sealedTarget
	if err := json.Unmarshal(b, &secrets); err != nil || len(secrets) != len(p.Targets) {
		return p, fmt.Errorf("webhook policy %d: its secrets cannot be read", p.ID)
	}
	for i, s := range secrets {
		authorization, key := secret.Text(s.Authorization), secret.Text(s.Secret)
		p.Targets[i].Authorization, p.Targets[i].Secret = &authorization, &key
	}
	return p, nil
}

// List lists the policies of a project by number.
func (h *Hooks) List(ctx context.Context, project int64) ([]Policy, error) {
	list, _, err := store.List(ctx, h.db, maxPolicies, func(r *sql.Rows) (Policy, error) { return h.scan(r.Scan) },
		selectPolicy+` WHERE project = $1 ORDER BY id LIMIT $2`, project)
	return list, err
}

// Get finds a policy of a project; errdef.ErrNotFound.
func (h *Hooks) Get(ctx context.Context, by store.Querier, project, id int64) (Policy, error) {
	p, err := h.scan(by.QueryRow(ctx, selectPolicy+` WHERE id = $1 AND project = $2`, id, project).Scan)
	return p, missing(err, "webhook policy", id)
}

// Create makes a policy, and returns its number. errdef.ErrInvalid, errdef.ErrExists for a name that the project has,
// errdef.ErrExhausted if it has too many.
func (h *Hooks) Create(ctx context.Context, p Policy) (int64, error) {
	if err := h.check(&p); err != nil {
		return 0, err
	}
	err := h.db.Tx(ctx, func(tx *store.Tx) error {
		var n int
		if err := tx.Lock(`SELECT id FROM project WHERE id = $1`, p.Project).Scan(&n); err != nil {
			return missing(err, "project", p.Project)
		}
		if err := tx.Row(`SELECT COUNT(*) FROM webhook_policy WHERE project = $1`, p.Project).Scan(&n); err != nil {
			return err
		}
		if n >= maxPolicies {
			return fmt.Errorf("a project has at most %d webhook policies: %w", maxPolicies, errdef.ErrExhausted)
		}
		err := tx.Row(`INSERT INTO webhook_policy (project, name, description, enabled, events, targets, sealed, creator, created, updated)
			VALUES ($1, $2, '', FALSE, '[]', '[]', $3, $4, $5, $5) RETURNING id`, p.Project, p.Name, []byte{}, p.Creator, h.now().UnixMilli()).Scan(&p.ID)
		if store.IsTaken(err) {
			return fmt.Errorf("webhook policy %q: %w", p.Name, errdef.ErrExists)
		}
		if err != nil {
			return err
		}
		return h.write(tx, p)
	})
	return p.ID, err
}

// Update changes a policy: all but its project, its number and who made it. As Create, and errdef.ErrNotFound.
func (h *Hooks) Update(ctx context.Context, p Policy) error {
	if err := h.check(&p); err != nil {
		return err
	}
	return h.db.Tx(ctx, func(tx *store.Tx) error {
		var id int64
		if err := tx.Lock(`SELECT id FROM webhook_policy WHERE id = $1 AND project = $2`, p.ID, p.Project).Scan(&id); err != nil {
			return missing(err, "webhook policy", p.ID)
		}
		was, err := h.Get(tx.Context(), tx, p.Project, p.ID)
		if err != nil {
			return err
		}
		targets := slices.Clone(p.Targets) // this may run again
		for i := range targets {
			targets[i].keep(was.Targets)
		}
		now := p
		now.Targets = targets
		return h.write(tx, now)
	})
}

// keep takes over the secrets of a target of the same address: who changes where it is does not learn them so.
func (t *Target) keep(was []Target) {
	for _, w := range was {
		if w.Address != t.Address || w.Insecure != t.Insecure {
			continue
		}
		if t.Authorization == nil {
			t.Authorization = w.Authorization
		}
		if t.Secret == nil {
			t.Secret = w.Secret
		}
		return
	}
}

func (h *Hooks) write(tx *store.Tx, p Policy) error {
	sealed, err := h.seal(p.ID, p.Targets)
	if err != nil {
		return err
	}
	events, err := json.Marshal(p.Events)
	if err != nil {
		return err
	}
	targets, err := json.Marshal(p.Targets)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE webhook_policy SET name = $1, description = $2, enabled = $3, events = $4, targets = $5, sealed = $6, updated = $7 WHERE id = $8`,
		p.Name, p.Description, p.Enabled, string(events), string(targets), sealed, h.now().UnixMilli(), p.ID)
	if store.IsTaken(err) {
		return fmt.Errorf("webhook policy %q: %w", p.Name, errdef.ErrExists)
	}
	return err
}

// Remove removes a policy of a project with its history; what waits is not delivered. errdef.ErrNotFound.
func (h *Hooks) Remove(ctx context.Context, project, id int64) error {
	return h.db.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM webhook_policy WHERE id = $1 AND project = $2`, id, project)
		if err == nil && n == 0 {
			err = fmt.Errorf("webhook policy %d: %w", id, errdef.ErrNotFound)
		}
		if err != nil {
			return err
		}
		return h.queue().Forget(tx, Kind, id)
	})
}

// Forget removes what a project had, within the transaction that removes it.
func (h *Hooks) Forget(tx *store.Tx, project int64) error {
	list, _, err := store.List(tx.Context(), tx, maxPolicies, func(r *sql.Rows) (id int64, err error) { return id, r.Scan(&id) },
		`SELECT id FROM webhook_policy WHERE project = $1 LIMIT $2`, project)
	if err != nil {
		return err
	}
	for _, id := range list {
		if err := h.queue().Forget(tx, Kind, id); err != nil {
			return err
		}
	}
	for _, q := range []string{`DELETE FROM webhook_policy WHERE project = $1`, `DELETE FROM webhook_quota WHERE project = $1`} {
		if _, err := tx.Exec(q, project); err != nil {
			return err
		}
	}
	return nil
}
