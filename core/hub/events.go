package hub

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/audit"
	"github.com/openvic/vic/core/hub/authz"
	"github.com/openvic/vic/core/hub/browser"
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

	hooks *webhook.Hooks // nil: nobody else is told
	host  string         // of resources in what they are told
}

// pullQueue is how many pulls may wait to be written. Beyond that they are counted, and not kept.
const pullQueue = 10_000

func newEvents(a *audit.Log, db *store.Store, log *slog.Logger) *events {
	return &events{audit: a, db: db, log: log, pulls: make(chan registry.Event, pullQueue)}
}

var _ registry.Observer = (*events)(nil)

func (e *events) line(tx *store.Tx, x registry.Event) (audit.Line, error) {
	l := audit.Line{Time: x.Time, Caller: access.Caller{Name: x.Caller, Method: access.ByToken, Address: x.Address}, Agent: x.Agent, Operation: string(x.Kind),
		Type: "artifact", Resource: x.Artifact.Repository + "@" + x.Artifact.Digest.String(), Outcome: 200}
	if x.Caller == "" {
		l.Caller.Method = access.Anonymous
	}
	for i, t := range x.Tags {
		if i > 0 {
			l.Detail += " "
		}
		l.Detail += t
	}
	err := tx.Row(`SELECT id FROM project WHERE name = $1`, x.Artifact.Project).Scan(&l.Project)
	if errors.Is(err, sql.ErrNoRows) { // removed since the pull, whose line is the whole hub's then
		err = nil
	}
	return l, err
}

// Changing implements registry.Observer.
func (e *events) Changing(tx *store.Tx, x registry.Event) error {
	l, err := e.line(tx, x)
	if err != nil {
		return err
	}
	if err := e.audit.Add(tx, l); err != nil {
		return err
	}
	return e.tell(tx, l.Project, x)
}

// tell tells the webhooks of a project.
func (e *events) tell(tx *store.Tx, project int64, x registry.Event) error {
	kind := map[registry.EventKind]string{registry.EventPush: webhook.Push, registry.EventPull: webhook.Pull, registry.EventDelete: webhook.Delete}[x.Kind]
	if e.hooks == nil || kind == "" || project == 0 {
		return nil
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
	if x.Kind != registry.EventPull && x.Kind != registry.EventQuota {
		return
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
			e.write(context.WithoutCancel(ctx), x)
		case <-ctx.Done():
			for {
				select {
				case x := <-e.pulls:
					e.write(context.WithoutCancel(ctx), x)
				default:
					return
				}
			}
		}
	}
}

// write writes one pull and those that wait behind it.
func (e *events) write(ctx context.Context, first registry.Event) {
	batch := []registry.Event{first}
	for len(batch) < pullsAtOnce {
		select {
		case x := <-e.pulls:
			batch = append(batch, x)
			continue
		default:
		}
		break
	}
	err := e.db.Tx(ctx, func(tx *store.Tx) error {
		for _, x := range batch {
			if err := e.writeOne(tx, x); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		e.log.Error("pulls are not in the audit log", "pulls", len(batch), "err", err)
	}
}

// writeOne writes a pull, or tells of a push that was refused.
func (e *events) writeOne(tx *store.Tx, x registry.Event) error {
	l, err := e.line(tx, x)
	if err != nil {
		return err
	}
	if x.Kind == registry.EventQuota {
		if e.hooks == nil || l.Project == 0 {
			return nil
		}
		return e.hooks.Quota(tx, l.Project, x.Caller, true)
	}
	if err := registry.MarkPulled(tx, x); err != nil {
		return err
	}
	if err := e.audit.Add(tx, l); err != nil {
		return err
	}
	return e.tell(tx, l.Project, x)
}
