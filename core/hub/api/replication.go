package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/openvic/vic/core/hub/replication"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/sdk/errdef"
)

func replicationRoutes() []route {
	const policies, one, runs, run = "/replication/policies", "/replication/policies/{policy}", "/replication/executions", "/replication/executions/{execution}"
	return []route{
		{method: "GET", path: policies, id: "listReplicationPolicies", needs: role.ReplicationManage, run: (*api).listReplicationPolicies,
			says: "List the rules of replication", query: []string{"q:name", "name"}, gives: []replicationPolicyForm{}},
		{method: "POST", path: policies, id: "createReplicationPolicy", needs: role.ReplicationManage, run: (*api).createReplicationPolicy,
			says: "Make a rule of replication", takes: replicationPolicyForm{}},
		{method: "GET", path: one, id: "getReplicationPolicy", needs: role.ReplicationManage, run: (*api).getReplicationPolicy,
			says: "Get a rule of replication", gives: replicationPolicyForm{}},
		{method: "PUT", path: one, id: "updateReplicationPolicy", needs: role.ReplicationManage, run: (*api).updateReplicationPolicy,
			says: "Set a rule of replication anew", takes: replicationPolicyForm{}},
		{method: "DELETE", path: one, id: "deleteReplicationPolicy", needs: role.ReplicationManage, run: (*api).deleteReplicationPolicy,
			says: "Delete a rule of replication, and stop what runs of it"},
		{method: "GET", path: runs, id: "listReplicationExecutions", needs: role.ReplicationManage, run: (*api).listReplicationRuns,
			says: "List the runs of replication, the latest first", query: []string{"policy_id", "status", "trigger"}, gives: []replicationRunForm{}},
		{method: "POST", path: runs, id: "startReplication", needs: role.ReplicationManage, run: (*api).startReplication,
			says: "Run a rule of replication", takes: replicationRunRequest{}},
		{method: "GET", path: run, id: "getReplicationExecution", needs: role.ReplicationManage, run: (*api).getReplicationRun,
			says: "Get a run of replication", gives: replicationRunForm{}},
		{method: "PUT", path: run, id: "stopReplication", needs: role.ReplicationManage, run: (*api).stopReplication, says: "Stop a run of replication"},
		{method: "POST", path: run + "/retry", id: "retryReplication", needs: role.ReplicationManage, run: (*api).retryReplication, status: 200,
			says: "Do again what did not succeed of a run of replication"},
		{method: "GET", path: run + "/tasks", id: "listReplicationTasks", needs: role.ReplicationManage, run: (*api).listReplicationTasks,
			says: "List the artifacts that a run copies or deletes", gives: []replicationTaskForm{}},
		{method: "GET", path: run + "/tasks/{task}/log", id: "getReplicationLog", needs: role.ReplicationManage, run: (*api).replicationLog,
			says: "Get the log of a task of replication", media: "text/plain"},
	}
}

// replicationPolicyForm is Harbor's form of a rule: one of the two registries is the hub itself, and null.
type replicationPolicyForm struct {
	ID           int64                   `json:"id"`
	Name         string                  `json:"name"`
	Description  string                  `json:"description"`
	From         *registryForm           `json:"src_registry"`
	To           *registryForm           `json:"dest_registry"`
	Namespace    string                  `json:"dest_namespace"`
	Replace      *int                    `json:"dest_namespace_replace_count"`
	Trigger      *replicationTriggerForm `json:"trigger"`
	Filters      []replicationFilterForm `json:"filters"`
	Deletion     bool                    `json:"replicate_deletion"`
	OldDeletion  bool                    `json:"deletion"` // the same, before
	Override     bool                    `json:"override"`
	Enabled      bool                    `json:"enabled"`
	Speed        *int64                  `json:"speed"` // KB per second; below 1: no limit
	CopyByChunk  bool                    `json:"copy_by_chunk"`
	Single       bool                    `json:"single_active_replication"`
	CreationTime string                  `json:"creation_time,omitempty"`
	UpdateTime   string                  `json:"update_time,omitempty"`
}

type replicationTriggerForm struct {
	Type     replication.Trigger `json:"type"`
	Settings triggerSettingsForm `json:"trigger_settings"`
}

type replicationFilterForm struct {
	Type       string `json:"type"`
	Value      any    `json:"value"` // a text, a list of texts or a number
	Decoration string `json:"decoration,omitempty"`
}

const kilobyte = 1024

// noSpeed is Harbor's for no limit.
const noSpeed = -1

func (a *api) policyOf(c *call, p replication.Policy) (replicationPolicyForm, error) {
	replace, speed := p.Replace, int64(noSpeed)
	if p.Speed > 0 {
		speed = p.Speed / kilobyte
	}
	f := replicationPolicyForm{ID: p.ID, Name: p.Name, Description: p.Description, Namespace: p.Namespace, Replace: &replace, Filters: []replicationFilterForm{},
		Deletion: p.Deletion, OldDeletion: p.Deletion, Override: p.Override, Enabled: p.Enabled, Speed: &speed, CopyByChunk: true, Single: p.Single,
		CreationTime: stamp(p.Created), UpdateTime: stamp(p.Updated),
		Trigger: &replicationTriggerForm{Type: p.Trigger, Settings: triggerSettingsForm{p.Cron}}}
	for _, x := range p.Filters {
		var v any = x.Text
		switch x.Type {
		case replication.FilterLabel:
			v = x.Labels
		case replication.FilterAge:
			v = x.Days
		}
		decoration := ""
		if x.Type != replication.FilterName && x.Type != replication.FilterResource {
			decoration = map[bool]string{false: "matches", true: "excludes"}[x.Exclude]
		}
		f.Filters = append(f.Filters, replicationFilterForm{x.Type, v, decoration})
	}
	e, err := a.Registries.Get(c.r.Context(), p.Endpoint)
	if err != nil {
		return f, err
	}
	there, here := a.registryOf(e), registryForm{Name: "Local", Type: "harbor", Status: "healthy"}
	if f.From, f.To = &here, &there; p.Pull {
		f.From, f.To = &there, &here
	}
	return f, nil
}

func (f replicationFilterForm) filter() (x replication.Filter, err error) {
	x.Type = f.Type
	switch f.Decoration {
	case "", "matches":
	case "excludes":
		x.Exclude = true
	default:
		return x, badRequest("filters: decoration: want matches or excludes")
	}
	var to any = &x.Text
	switch f.Type {
	case replication.FilterLabel:
		to = &x.Labels
	case replication.FilterAge:
		to = &x.Days
	}
	b, err := json.Marshal(f.Value)
	if err != nil || f.Value == nil || json.Unmarshal(b, to) != nil {
		return x, badRequest("filters: %.40s: value: want a text, for label a list of texts, for age a number of days", f.Type)
	}
	return x, nil
}

// policy reads a request.
func (f replicationPolicyForm) policy() (p replication.Policy, err error) {
	p = replication.Policy{Name: f.Name, Enabled: f.Enabled, Trigger: replication.Manual}
	p.Spec = replication.Spec{Description: f.Description, Namespace: f.Namespace, Replace: -1,
		Override: f.Override, Deletion: f.Deletion || f.OldDeletion, Single: f.Single}
	from, to := f.From != nil && f.From.ID != 0, f.To != nil && f.To.ID != 0
	switch {
	case from == to:
		return p, badRequest("src_registry, dest_registry: name one of them by its id; the other is the hub itself, and null")
	case from:
		p.Pull, p.Endpoint = true, f.From.ID
	default:
		p.Endpoint = f.To.ID
	}
	if f.Replace != nil {
		p.Replace = *f.Replace
	}
	if f.Speed != nil && *f.Speed > 0 {
		const most = 1 << 30
		p.Speed = min(*f.Speed, most) * kilobyte
	}
	if f.Trigger != nil && f.Trigger.Type != "" {
		p.Trigger, p.Cron = f.Trigger.Type, f.Trigger.Settings.Cron
	}
	for _, x := range f.Filters {
		y, err := x.filter()
		if err != nil {
			return p, err
		}
		p.Filters = append(p.Filters, y)
	}
	return p, nil
}

func (a *api) listReplicationPolicies(c *call) error {
	pg, err := c.page()
	if err != nil {
		return err
	}
	q, err := c.query("name")
	if err != nil {
		return err
	}
	name := c.r.URL.Query().Get("name")
	if v, ok := q["name"]; ok {
		name = v
	}
	list, total, err := a.Replication.List(c.r.Context(), name, pg.size, pg.offset())
	if err != nil {
		return err
	}
	out := []replicationPolicyForm{}
	for _, p := range list {
		f, err := a.policyOf(c, p)
		if err != nil {
			return err
		}
		out = append(out, f)
	}
	return c.list(pg, total, out)
}

func (a *api) createReplicationPolicy(c *call) error {
	var q replicationPolicyForm
	if err := c.body(&q); err != nil {
		return err
	}
	p, err := q.policy()
	if err != nil {
		return err
	}
	p.Creator = c.who.Name
	id, err := a.Replication.Make(c.r.Context(), p)
	if err != nil {
		return err
	}
	return c.created("/replication/policies/%d", id)
}

// replicationPolicy is the rule of the path.
func (a *api) replicationPolicy(c *call) (replication.Policy, error) {
	n, err := c.number("policy")
	if err != nil {
		return replication.Policy{}, err
	}
	return a.Replication.Get(c.r.Context(), n)
}

func (a *api) getReplicationPolicy(c *call) error {
	p, err := a.replicationPolicy(c)
	if err != nil {
		return err
	}
	f, err := a.policyOf(c, p)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, f)
}

func (a *api) updateReplicationPolicy(c *call) error {
	var q replicationPolicyForm
	if err := c.body(&q); err != nil {
		return err
	}
	old, err := a.replicationPolicy(c)
	if err != nil {
		return err
	}
	p, err := q.policy()
	if err != nil {
		return err
	}
	p.ID = old.ID
	if err := a.Replication.Change(c.r.Context(), p); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (a *api) deleteReplicationPolicy(c *call) error {
	p, err := a.replicationPolicy(c)
	if err != nil {
		return err
	}
	if err := a.Replication.Remove(c.r.Context(), p.ID); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

// replicationRunRequest is what a client sends to run a rule.
type replicationRunRequest struct {
	Policy int64 `json:"policy_id"`
}

func (a *api) startReplication(c *call) error {
	var q replicationRunRequest
	if err := c.body(&q); err != nil {
		return err
	}
	id, err := a.Replication.Start(c.r.Context(), q.Policy)
	if errors.Is(err, errdef.ErrConflict) {
		return &Error{http.StatusPreconditionFailed, "PRECONDITION", err.Error()}
	}
	if err != nil {
		return err
	}
	return c.created("/replication/executions/%d", id)
}
