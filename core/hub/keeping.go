package hub

import (
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/retention"
	"github.com/openvic/vic/core/hub/webhook"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
)

// keeping is the kind of jobs that keep projects to their retention rules. Webhooks are told of the end of each run.
func (h *Hub) keeping(reg func() *registry.Registry) jobs.Kind {
	k := retention.Parts{DB: h.db, Policies: h.policies, Labels: h.labels, Immutable: h.rules, Registry: reg}.Jobs()
	k.Ended = h.kept
	return k
}

// retained is what webhooks are told of a run, in Harbor's form.
type retained struct {
	Total    int         `json:"total"`
	Retained int         `json:"retained"`
	Project  string      `json:"project_name"`
	Policy   int64       `json:"retention_policy_id"`
	Result   jobs.Status `json:"result"`
	DryRun   bool        `json:"dry_run"` // ours
}

func (h *Hub) kept(tx *store.Tx, e jobs.Execution) error {
	var project int64
	x := retained{Policy: e.Subject, Result: e.Status}
	err := tx.Row(`SELECT p.id, p.name FROM retention_policy r JOIN project p ON p.id = r.project WHERE r.id = $1`, e.Subject).Scan(&project, &x.Project)
	if errors.Is(err, sql.ErrNoRows) { // removed with its policy
		return nil
	}
	if err != nil {
		return err
	}
	if wanted, err := h.hooks.Wants(tx, project, webhook.Retention); err != nil || !wanted {
		return err
	}
	var params retention.Params
	if err := json.Unmarshal(e.Params, &params); err == nil {
		x.DryRun = params.DryRun
	}
	err = h.jobs.Reports(tx, e.ID, func(b json.RawMessage) error {
		var r retention.Report
		err := json.Unmarshal(b, &r)
		x.Total, x.Retained = x.Total+r.Total, x.Retained+r.Retained
		return err
	})
	if err != nil {
		return err
	}
	return h.hooks.Happened(tx, webhook.Event{Type: webhook.Retention, Project: project, Time: e.Ended, Operator: string(e.Cause),
		Data: webhook.Data{Retention: x}})
}
