package hub

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/audit"
	"github.com/openvic/vic/core/hub/authz"
	"github.com/openvic/vic/core/hub/browser"
	"github.com/openvic/vic/core/hub/replication"
	"github.com/openvic/vic/core/hub/scanning"
	"github.com/openvic/vic/core/hub/webhook"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/auth"
)

// events keeps what happens to artifacts in the audit log: pushes and deletes within their own transaction, pulls a
// moment later, several at a time, since a client waits for none of it.
type events struct {
	audit *audit.Log
	db    *store.Store
	log   *slog.Logger
	pulls chan registry.Event

	marks map[string]registry.Event // the last pull of each name that is not written yet; run's
	due   <-chan time.Time          // when they are to be written; nil: there are none

	scanning    *scanning.Service        // nil: pushes are not scanned
	hooks       *webhook.Hooks           // nil: nobody else is told
	host        string                   // of resources in what they are told
	replication *replication.Replication // nil: nothing goes anywhere
}

// pullQueue is how many pulls may wait to be written. Beyond that they are counted, and not kept.
const pullQueue = 10_000

func newEvents(a *audit.Log, db *store.Store, log *slog.Logger) *events {
	return &events{audit: a, db: db, log: log, pulls: make(chan registry.Event, pullQueue)}
}

var _ registry.Observer = (*events)(nil)

func line(x registry.Event) audit.Line {
	l := audit.Line{Time: x.Time, Caller: access.Caller{Name: x.Caller, Method: access.ByToken, Address: x.Address}, Agent: x.Agent, Operation: string(x.Kind),
		Type: "artifact", Resource: x.Artifact.Repository + "@" + x.Artifact.Digest.String(), Project: x.ProjectID, Outcome: 200,
		Detail: strings.Join(x.Tags, " ")}
	if x.Caller == "" {
		l.Caller.Method = access.Anonymous
	}
	return l
}

// Changing implements registry.Observer.
func (e *events) Changing(tx *store.Tx, x registry.Event) error {
	if err := signed(tx, x); err != nil {
		return err
	}
	if err := e.audit.Add(tx, line(x)); err != nil {
		return err
	}
	if e.replication != nil {
		if err := e.replication.Changing(tx, x); err != nil {
			return err
		}
	}
	if x.Kind == registry.EventPush && e.scanning != nil {
		if err := e.scanning.Pushed(tx, x); err != nil {
			return err
		}
	}
	return e.tell(tx, x.ProjectID, x)
}

// tell tells the webhooks of a project.
func (e *events) tell(tx *store.Tx, project int64, x registry.Event) error {
	kind := map[registry.EventKind]string{registry.EventPush: webhook.Push, registry.EventPull: webhook.Pull, registry.EventDelete: webhook.Delete}[x.Kind]
	if e.hooks == nil || kind == "" || project == 0 {
		return nil
	}
	if idle, err := e.hooks.Idle(tx, project); err != nil || idle {
		return err
	}
	if x.Kind == registry.EventPush {
		if err := e.hooks.Quota(tx, project, x.Caller, false); err != nil {
			return err
		}
	}
	if wanted, err := e.hooks.Wants(tx, project, kind); err != nil || !wanted {
		return err
	}
	data, err := e.data(tx, x)
	if err != nil {
		return err
	}
	return e.hooks.Happened(tx, webhook.Event{Type: kind, Project: project, Time: x.Time, Operator: x.Caller, Data: data})
}

// data is what webhooks are told of an artifact.
func (e *events) data(tx *store.Tx, x registry.Event) (webhook.Data, error) {
	full := x.Artifact.Repository
	name := strings.TrimPrefix(full, x.Artifact.Project+"/")
	repo := webhook.Repository{Name: name, Namespace: x.Artifact.Project, FullName: full, Type: "private"}
	var public bool
	err := tx.Row(`SELECT p.public, r.created / 1000 FROM project p JOIN repo r ON r.project_id = p.id WHERE r.name = $1`, full).Scan(&public, &repo.Created)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return webhook.Data{}, err
	}
	if public {
		repo.Type = "public"
	}
	d := webhook.Data{Repository: &repo}
	at := x.Artifact.Digest.String()
	for _, tag := range x.Tags {
		d.Resources = append(d.Resources, webhook.Resource{Digest: at, Tag: tag, URL: e.host + "/" + full + ":" + tag})
	}
	if len(d.Resources) == 0 {
		d.Resources = []webhook.Resource{{Digest: at, Tag: at, URL: e.host + "/" + full + "@" + at}}
	}
	return d, nil
}

// Happened implements registry.Observer.
func (e *events) Happened(_ context.Context, x registry.Event) {
	if x.Kind != registry.EventPull && x.Kind != registry.EventQuota || x.Caller == scanning.Caller {
		return // a scan has its own log, and keeps no artifact from being forgotten
	}
	select {
	case e.pulls <- x:
	default:
		e.log.Warn("pull is not in the audit log: too many wait", "repository", x.Artifact.Repository, "caller", x.Caller)
	}
}

// signedIn keeps a line of who signs in and out at a browser.
func (h *Hub) signedIn(ctx context.Context, e browser.Event) {
	if e.Operation == "sign-in" {
		h.signIns.Keep(ctx, audit.SignIn{Name: e.Name, Method: access.BySession, Address: e.Address, Agent: e.Agent, Outcome: e.Outcome, Detail: e.Detail})
		return
	}
	if e.Known {
		h.audit.Keep(ctx, audit.Line{Caller: access.Caller{Name: e.Name, Method: access.BySession, Address: e.Address}, Agent: e.Agent, Operation: e.Operation,
			Type: "session", Outcome: e.Outcome, Detail: e.Detail})
	}
}

// triedToSignIn keeps a line of who comes with a name and a password, a secret or a robot's.
func (h *Hub) triedToSignIn(ctx context.Context, name, way, address string, err error) {
	x := audit.SignIn{Name: name, Method: access.ByPassword, Address: address, Outcome: http.StatusOK, Detail: way}
	if way != "password" {
		x.Method = access.ByToken
	}
	if err != nil {
		x.Outcome = browser.Status(err)
	}
	h.signIns.Keep(context.WithoutCancel(ctx), x)
}

// account says whether somebody of a name is known to the hub: a user or a robot.
func (h *Hub) account(ctx context.Context, name string) bool {
	if strings.HasPrefix(name, authz.RobotPrefix) {
		_, err := h.robots.Find(ctx, name)
		return err == nil
	}
	_, err := h.people.ByName(ctx, name, auth.User)
	return err == nil
}

// pullsAtOnce bounds one transaction.
const pullsAtOnce = 200

// run writes pulls until ctx ends, and then what still waits.
func (e *events) run(ctx context.Context) {
	for {
		select {
		case x := <-e.pulls:
			e.write(ctx, x, time.After(gather))
		case <-e.due:
			e.mark(ctx)
		case <-ctx.Done():
			for {
				select {
				case x := <-e.pulls:
					e.write(ctx, x, nil)
				default:
					e.mark(ctx)
					return
				}
			}
		}
	}
}

// markLater is how long the time of a name's last pull waits to be written: what is pulled again and again is written once.
// maxMarks is how many names wait at most.
const (
	markLater = 2 * time.Second
	maxMarks  = 1000
)

// mark writes when names were last pulled. A crash loses those of the last moment; the audit log has the pulls.
func (e *events) mark(ctx context.Context) {
	marks := e.marks
	e.marks, e.due = nil, nil
	if len(marks) == 0 {
		return
	}
	err := e.db.Lazy(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		for _, name := range slices.Sorted(maps.Keys(marks)) { // an order that is the same for all hubs
			if err := registry.MarkPulled(tx, marks[name]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		e.log.Error("times of the last pull are not kept", "names", len(marks), "err", err)
	}
}

// gather is how long a pull waits for others to be written with it.
const gather = 100 * time.Millisecond

// write writes one pull and those that come soon behind it. When the hub stops it writes what is there.
func (e *events) write(ctx context.Context, first registry.Event, soon <-chan time.Time) {
	batch := []registry.Event{first}
	for full := false; !full && len(batch) < pullsAtOnce; {
		select {
		case x := <-e.pulls:
			batch = append(batch, x)
			continue
		default:
		}
		select {
		case x := <-e.pulls:
			batch = append(batch, x)
		case <-soon:
			full = true
		case <-ctx.Done():
			full = true
		}
	}
	err := e.db.Lazy(context.WithoutCancel(ctx), func(tx *store.Tx) error { return e.writeAll(tx, batch) })
	if err != nil {
		e.log.Error("pulls are not in the audit log", "pulls", len(batch), "err", err)
	}
	for _, x := range batch {
		if x.Kind != registry.EventPull {
			continue
		}
		if e.marks == nil {
			e.marks, e.due = map[string]registry.Event{}, time.After(markLater)
		}
		e.marks[line(x).Resource+" "+line(x).Detail] = x
	}
	if len(e.marks) >= maxMarks {
		e.mark(ctx)
	}
}

// writeAll writes pulls, and tells of pushes that were refused.
func (e *events) writeAll(tx *store.Tx, batch []registry.Event) error {
	var pulls []registry.Event
	var lines []audit.Line
	for _, x := range batch {
		if x.Kind == registry.EventQuota {
			if e.hooks != nil && x.ProjectID != 0 {
				if err := e.hooks.Quota(tx, x.ProjectID, x.Caller, true); err != nil {
					return err
				}
			}
			continue
		}
		pulls, lines = append(pulls, x), append(lines, line(x))
	}
	if len(lines) == 0 {
		return nil
	}
	if err := e.audit.AddSealed(tx, lines); err != nil {
		return err
	}
	return e.tellPulls(tx, pulls)
}

// tellPulls tells the webhooks of the projects that have any for pulls.
func (e *events) tellPulls(tx *store.Tx, pulls []registry.Event) error {
	if e.hooks == nil {
		return nil
	}
	wanted := map[int64]bool{}
	for _, x := range pulls {
		wants, known := wanted[x.ProjectID]
		if !known {
			var err error
			if wants, err = e.hooks.Wants(tx, x.ProjectID, webhook.Pull); err != nil {
				return err
			}
			wanted[x.ProjectID] = wants
		}
		if !wants {
			continue
		}
		if err := e.tell(tx, x.ProjectID, x); err != nil {
			return err
		}
	}
	return nil
}
