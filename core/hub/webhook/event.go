package webhook

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/store"
)

// Event is something that happened in a project.
type Event struct {
	Type     string
	Project  int64
	Time     time.Time
	Operator string // who did it
	Data     Data
}

// Data is what happened, in Harbor's form.
type Data struct {
	Resources  []Resource  `json:"resources,omitempty"`
	Repository *Repository `json:"repository,omitempty"`
	// Replication, Retention and Scan are made by those who do such things, in Harbor's forms.
	Replication any               `json:"replication,omitempty"`
	Retention   any               `json:"retention,omitempty"`
	Scan        any               `json:"scan,omitempty"`
	Custom      map[string]string `json:"custom_attributes,omitempty"`
}

// Resource is an artifact.
type Resource struct {
	Digest       string         `json:"digest,omitempty"`
	Tag          string         `json:"tag"` // the digest if there is no tag
	URL          string         `json:"resource_url,omitempty"`
	ScanOverview map[string]any `json:"scan_overview,omitempty"`
}

// Repository is where an artifact is.
type Repository struct {
	Created   int64  `json:"date_created,omitempty"` // seconds since 1970
	Name      string `json:"name"`
	Namespace string `json:"namespace"` // the project
	FullName  string `json:"repo_full_name"`
	Type      string `json:"repo_type"` // public or private
}

// Kind is the name of the jobs, Harbor's.
const Kind = "WEBHOOK"

// maxWaiting is how many deliveries of one policy may wait. A target that is away must not fill the database.
const maxWaiting = 1000

// delivery is the payload of a job. It holds no secret: those are read when it is delivered.
type delivery struct {
	ID       string          `json:"id"` // the same in each attempt; "": it follows from the execution
	Type     string          `json:"type"`
	Project  int64           `json:"project"`
	Policy   int64           `json:"policy"`
	Target   int             `json:"target"`
	Address  string          `json:"address"`
	Time     int64           `json:"occur_at"` // seconds since 1970
	Operator string          `json:"operator"`
	Data     json.RawMessage `json:"event_data"`
}

// idleKey is of what is remembered of a project.
type idleKey int64

// Idle says that no policy of a project is on, as of the moment of the request that the transaction belongs to: whatever happens,
// nobody is told.
func (h *Hooks) Idle(tx *store.Tx, project int64) (bool, error) {
	return store.Remember(tx.Context(), idleKey(project), func() (bool, error) {
		var some bool
		err := tx.Row(`SELECT EXISTS (SELECT 1 FROM webhook_policy WHERE project = $1 AND enabled)`, project).Scan(&some)
		return !some, err
	})
}

// Wants says whether a project has a policy for a type of events.
func (h *Hooks) Wants(tx *store.Tx, project int64, kind string) (wants bool, err error) {
	err = tx.Row(`SELECT EXISTS (SELECT 1 FROM webhook_policy WHERE project = $1 AND enabled AND events LIKE $2 ESCAPE '\')`, project,
		store.Containing(`"`+kind+`"`)).Scan(&wants)
	return wants, err
}

// Happened has an event delivered to whom the project's policies name, if the transaction of the caller's is committed, which
// is that of what happened.
func (h *Hooks) Happened(tx *store.Tx, e Event) error {
	list, _, err := store.List(tx.Context(), tx, maxPolicies, func(r *sql.Rows) (wanted, error) { return scanWanted(r.Scan) },
		`SELECT id, events, targets FROM webhook_policy WHERE project = $1 AND enabled ORDER BY id LIMIT $2`, e.Project)
	if err != nil || len(list) == 0 {
		return err
	}
	data, err := json.Marshal(e.Data)
	if err != nil {
		return err
	}
	for _, w := range list {
		if !slices.Contains(w.events, e.Type) {
			continue
		}
		full, err := h.full(tx, w.id)
		if err != nil {
			return err
		}
		if full {
			h.log.Warn("event is not delivered: too many wait for the policy's target", "policy", w.id, "event", e.Type)
			continue
		}
		for i, t := range w.targets {
			d := delivery{Type: e.Type, Project: e.Project, Policy: w.id, Target: i, Address: t.Address, Time: e.Time.Unix(), Operator: e.Operator, Data: data}
			if _, err := h.queue().Enqueue(tx, jobs.Request{Kind: Kind, Subject: w.id, Cause: jobs.ByEvent, Payload: d}); err != nil {
				return err
			}
		}
	}
	return nil
}

// wanted is what Happened needs of a policy.
type wanted struct {
	id      int64
	events  []string
	targets []Target
}

func scanWanted(scan func(...any) error) (w wanted, err error) {
	var events, targets string
	if err := scan(&w.id, &events, &targets); err != nil {
		return w, err
	}
	if err := json.Unmarshal([]byte(events), &w.events); err != nil {
		return w, fmt.Errorf("webhook policy %d: %w", w.id, err)
	}
	if err := json.Unmarshal([]byte(targets), &w.targets); err != nil {
		return w, fmt.Errorf("webhook policy %d: %w", w.id, err)
	}
	return w, nil
}

func (h *Hooks) full(tx *store.Tx, policy int64) (bool, error) {
	var n int
	err := tx.Row(`SELECT COUNT(*) FROM (SELECT 1 FROM job_execution WHERE kind = $1 AND subject = $2 AND ended = 0 LIMIT $3) w`,
		Kind, policy, maxWaiting).Scan(&n)
	return n >= maxWaiting, err
}

// quotaPause is how long a project is not warned again of the same.
const quotaPause = time.Hour

// warnAt is from which part of its quota on a project is warned, in hundredths, as Harbor does.
const warnAt = 85

// Quota tells of a project whose quota in bytes is almost used up, within the transaction that used it, or, if exceeded, that
// something was refused. The same is told once in an hour.
func (h *Hooks) Quota(tx *store.Tx, project int64, operator string, exceeded bool) error {
	var name string
	var used, quota int64
	if err := tx.Row(`SELECT name, used, quota FROM project WHERE id = $1`, project).Scan(&name, &used, &quota); err != nil {
		return err
	}
	kind, text := QuotaWarning, "quota usage reach %d%%: resource storage used %d of %d"
	if exceeded {
		kind, text = QuotaExceed, "quota exceeded at %d%%: resource storage used %d of %d"
	}
	if quota <= 0 || !exceeded && used/warnAt < quota/100 {
		return nil
	}
	if wanted, err := h.Wants(tx, project, kind); err != nil || !wanted {
		return err
	}
	now := h.now()
	n, err := tx.Exec(`INSERT INTO webhook_quota (project, event, at) VALUES ($1, $2, $3)
		ON CONFLICT (project, event) DO UPDATE SET at = excluded.at WHERE webhook_quota.at <= $4`, project, kind, now.UnixMilli(), now.Add(-quotaPause).UnixMilli())
	if err != nil || n == 0 {
		return err
	}
	return h.Happened(tx, Event{Type: kind, Project: project, Time: now, Operator: operator, Data: Data{
		Repository: &Repository{Namespace: name}, Custom: map[string]string{"Details": fmt.Sprintf(text, used/max(quota/100, 1), used, quota)}}})
}
