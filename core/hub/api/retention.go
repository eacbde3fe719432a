package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/retention"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/selector"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

func retentionRoutes() []route {
	const one, runs = "/retentions/{retention}", "/retentions/{retention}/executions"
	return []route{
		{method: "GET", path: "/retentions/metadatas", id: "getRetentionMetadata", signed: true, run: (*api).retentionMetadata,
			says: "Get what retention rules can be made of", gives: retentionMetadataForm{}},
		{method: "POST", path: "/retentions", id: "createRetention", signed: true, needs: role.Configuration, within: (*api).retentionGiven,
			run: (*api).createRetention, says: "Make the retention policy of a project", takes: retentionForm{}},
		{method: "GET", path: one, id: "getRetention", signed: true, needs: role.Configuration, within: (*api).retentionNamed, run: (*api).getRetention,
			says: "Get a retention policy", gives: retentionForm{}},
		{method: "PUT", path: one, id: "updateRetention", signed: true, needs: role.Configuration, within: (*api).retentionNamed, run: (*api).updateRetention,
			says: "Set the rules and the schedule of a retention policy", takes: retentionForm{}},
		{method: "DELETE", path: one, id: "deleteRetention", signed: true, needs: role.Configuration, within: (*api).retentionNamed, run: (*api).deleteRetention,
			says: "Delete a retention policy"},
		{method: "GET", path: runs, id: "listRetentionExecutions", signed: true, needs: role.Configuration, within: (*api).retentionNamed,
			run: (*api).listRetentionRuns, says: "List the runs of a retention policy, the latest first",
			query: []string{"q:status,trigger"}, gives: []retentionRunForm{}},
		{method: "POST", path: runs, id: "triggerRetentionExecution", signed: true, needs: role.Configuration, within: (*api).retentionNamed,
			run: (*api).startRetention, says: "Run a retention policy, or see what it would do", takes: retentionRunRequest{}},
		{method: "PATCH", path: runs + "/{execution}", id: "operateRetentionExecution", signed: true, needs: role.Configuration, within: (*api).retentionNamed,
			run: (*api).stopRetention, says: "Stop a run of a retention policy", takes: retentionStopRequest{}},
		{method: "GET", path: runs + "/{execution}/tasks", id: "listRetentionTasks", signed: true, needs: role.Configuration, within: (*api).retentionNamed,
			run: (*api).listRetentionTasks, says: "List what a run did, by repository", gives: []retentionTaskForm{}},
		{method: "GET", path: runs + "/{execution}/tasks/{task}", id: "getRetentionTaskLog", signed: true, needs: role.Configuration, within: (*api).retentionNamed,
			run: (*api).retentionLog, says: "Get what a run decided about each artifact of a repository, and why", media: "text/plain"},
	}
}

// Harbor's words.
const (
	retainAction    = "retain"
	retainAlgorithm = "or"
	scopeLevel      = "project"
	triggerSchedule = "Schedule"
	stopAction      = "stop"
)

// retentionForm is Harbor's form of a policy.
type retentionForm struct {
	ID        int64               `json:"id"`
	Algorithm string              `json:"algorithm"`
	Rules     []retentionRuleForm `json:"rules"`
	Trigger   triggerForm         `json:"trigger"`
	Scope     retentionScopeForm  `json:"scope"`
}

type retentionScopeForm struct {
	Level string `json:"level"`
	Ref   int64  `json:"ref"` // the project's number
}

type triggerForm struct {
	Kind       string              `json:"kind"`
	References map[string]int64    `json:"references"`
	Settings   triggerSettingsForm `json:"settings"`
}

type triggerSettingsForm struct {
	Cron string `json:"cron"`
}

type retentionRuleForm struct {
	ID       int                            `json:"id"`
	Priority int                            `json:"priority"`
	Disabled bool                           `json:"disabled"`
	Action   string                         `json:"action"`
	Template string                         `json:"template"`
	Params   map[string]any                 `json:"params"` // the number, under the template's name
	Tags     []selector.Selector            `json:"tag_selectors"`
	Scopes   map[string][]selector.Selector `json:"scope_selectors"`
}

func retentionOf(p retention.Policy) retentionForm {
	f := retentionForm{ID: p.ID, Algorithm: retainAlgorithm, Rules: []retentionRuleForm{}, Scope: retentionScopeForm{scopeLevel, p.Project},
		Trigger: triggerForm{Kind: triggerSchedule, References: map[string]int64{}, Settings: triggerSettingsForm{p.Cron}}}
	for i, r := range p.Rules {
		x := retentionRuleForm{ID: i + 1, Disabled: r.Disabled, Action: retainAction, Template: r.Template, Params: map[string]any{}, Tags: orEmpty(r.Tags),
			Scopes: scopesOf(r.Repositories)}
		if r.Number != 0 {
			x.Params[r.Template] = r.Number
		}
		f.Rules = append(f.Rules, x)
	}
	return f
}

// policy reads a request.
func (f retentionForm) policy() (retention.Policy, error) {
	p := retention.Policy{Cron: f.Trigger.Settings.Cron}
	switch {
	case f.Algorithm != "" && f.Algorithm != retainAlgorithm:
		return p, badRequest("algorithm: want %q: what any rule keeps stays", retainAlgorithm)
	case f.Trigger.Kind != "" && f.Trigger.Kind != triggerSchedule:
		return p, badRequest("trigger.kind: want %q, with an empty cron text to run by hand alone", triggerSchedule)
	}
	for i, x := range f.Rules {
		if x.Action != "" && x.Action != retainAction {
			return p, badRequest("rule %d: action: want %q", i+1, retainAction)
		}
		if err := onlyRepositories(x.Scopes); err != nil {
			return p, err
		}
		r := retention.Rule{Disabled: x.Disabled, Template: x.Template, Repositories: x.Scopes[scopeRepository], Tags: x.Tags}
		if v, ok := x.Params[x.Template]; ok && x.Template != retention.Always {
			n, ok := v.(float64)
			if r.Number = int(n); !ok || float64(r.Number) != n {
				return p, badRequest("rule %d: params: %.40q wants a whole number", i+1, x.Template)
			}
		}
		p.Rules = append(p.Rules, r)
	}
	return p, nil
}

// retentionGiven finds the project of a policy that is to be made. A body that cannot be read asks for the permission of
// the whole hub, so that only who has it is told what is wrong.
func (a *api) retentionGiven(c *call) (role.Permission, string, error) {
	b, err := io.ReadAll(c.r.Body)
	c.r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(b), broken{err}))
	var q retentionForm
	if err != nil || json.Unmarshal(b, &q) != nil || q.Scope.Level != scopeLevel || q.Scope.Ref < 1 {
		return role.Configuration, "", nil
	}
	return a.ofProject(c, q.Scope.Ref, role.ProjectWrite)
}

// retentionNamed finds the project of the policy of the path, as labelNamed does.
func (a *api) retentionNamed(c *call) (role.Permission, string, error) {
	n, err := c.number("retention")
	if err != nil {
		return role.Configuration, "", nil // the handler tells whoever may know
	}
	p, err := a.Retention.Get(c.r.Context(), n)
	if errors.Is(err, errdef.ErrNotFound) {
		return role.Configuration, "", nil
	}
	if err != nil {
		return role.Configuration, "", err
	}
	project, err := orNone(a.Registry.ProjectByID(c.r.Context(), a.DB, p.Project))
	if err != nil || project.ID == 0 {
		return role.Configuration, "", err
	}
	answer, err := a.Authority.InProject(c.r.Context(), c.who, role.ProjectWrite, project.Name)
	if err != nil || answer != role.Allowed {
		return role.Configuration, "", err
	}
	c.project = project
	return role.ProjectWrite, project.Name, nil
}

// retention is the policy of the path.
func (a *api) retention(c *call) (retention.Policy, error) {
	n, err := c.number("retention")
	if err != nil {
		return retention.Policy{}, err
	}
	p, err := a.Retention.Get(c.r.Context(), n)
	if errors.Is(err, errdef.ErrNotFound) || err == nil && p.Project != c.project.ID {
		return p, notFound("retention policy %d not found", n)
	}
	return p, err
}

func (a *api) createRetention(c *call) error {
	var q retentionForm
	if err := c.body(&q); err != nil {
		return err
	}
	if c.project.ID == 0 {
		return badRequest("scope: want level %q and the project's number as ref", scopeLevel)
	}
	p, err := q.policy()
	if err != nil {
		return err
	}
	p.Project = c.project.ID
	id, err := a.Retention.Make(c.r.Context(), a.Jobs, p)
	if err != nil {
		return err
	}
	return c.created("/retentions/%d", id)
}

func (a *api) getRetention(c *call) error {
	p, err := a.retention(c)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, retentionOf(p))
}

func (a *api) updateRetention(c *call) error {
	var q retentionForm
	if err := c.body(&q); err != nil {
		return err
	}
	old, err := a.retention(c)
	if err != nil {
		return err
	}
	if q.Scope.Ref != 0 && q.Scope.Ref != old.Project {
		return badRequest("scope: a policy keeps its project")
	}
	p, err := q.policy()
	if err != nil {
		return err
	}
	p.ID = old.ID
	if err := a.Retention.Change(c.r.Context(), a.Jobs, p); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (a *api) deleteRetention(c *call) error {
	p, err := a.retention(c)
	if err != nil {
		return err
	}
	if err := a.Retention.Remove(c.r.Context(), a.Jobs, p.ID); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

// retentionRunRequest is what a client sends to run a policy.
type retentionRunRequest struct {
	DryRun bool `json:"dry_run"`
}

// retentionStopRequest is what a client sends to stop a run.
type retentionStopRequest struct {
	Action string `json:"action"`
}

// retentionRunForm is Harbor's form of a run.
type retentionRunForm struct {
	ID       int64       `json:"id"`
	PolicyID int64       `json:"policy_id"`
	Start    string      `json:"start_time"`
	End      string      `json:"end_time,omitempty"`
	Status   jobs.Status `json:"status"`
	Trigger  jobs.Cause  `json:"trigger"`
	DryRun   bool        `json:"dry_run"`
	Message  string      `json:"status_message,omitempty"` // ours
}

func (a *api) startRetention(c *call) error {
	var q retentionRunRequest
	if err := c.body(&q); err != nil {
		return err
	}
	p, err := a.retention(c)
	if err != nil {
		return err
	}
	var id int64
	err = a.DB.Tx(c.r.Context(), func(tx *store.Tx) (err error) {
		id, err = retention.Start(tx, a.Jobs, p.ID, q.DryRun)
		return err
	})
	if err != nil {
		return err
	}
	return c.created("/retentions/%d/executions/%d", p.ID, id)
}

func (a *api) listRetentionRuns(c *call) error {
	pg, err := c.page()
	if err != nil {
		return err
	}
	f, err := c.executionFilter(retention.Kind)
	if err != nil {
		return err
	}
	p, err := a.retention(c)
	if err != nil {
		return err
	}
	f.Subject = &p.ID
	list, total, err := a.Jobs.Executions(c.r.Context(), f, pg.size, pg.offset())
	if err != nil {
		return err
	}
	out := []retentionRunForm{}
	for _, e := range list {
		var params retention.Params
		if err := json.Unmarshal(e.Params, &params); err != nil {
			return err
		}
		out = append(out, retentionRunForm{e.ID, p.ID, stamp(e.Created), stampOrNone(e.Ended), e.Status, e.Cause, params.DryRun, e.Message})
	}
	return c.list(pg, total, out)
}

// retentionRun is the execution of the path, of its policy.
func (a *api) retentionRun(c *call) (jobs.Execution, error) {
	p, err := a.retention(c)
	if err != nil {
		return jobs.Execution{}, err
	}
	return a.oneExecution(c, "execution", retention.Kind, &p.ID)
}

func (a *api) stopRetention(c *call) error {
	var q retentionStopRequest
	if err := c.body(&q); err != nil {
		return err
	}
	if q.Action != stopAction {
		return badRequest("action: want %q", stopAction)
	}
	e, err := a.retentionRun(c)
	if err != nil {
		return err
	}
	return a.stopExecution(c, e, http.StatusOK)
}

// retentionTaskForm is Harbor's form of what a run did in one repository.
type retentionTaskForm struct {
	ID         int64       `json:"id"`
	Execution  int64       `json:"execution_id"`
	Repository string      `json:"repository"`
	JobID      string      `json:"job_id"`
	Status     jobs.Status `json:"status"`
	Start      string      `json:"start_time,omitempty"`
	End        string      `json:"end_time,omitempty"`
	Total      int         `json:"total"`
	Retained   int         `json:"retained"`
}

// listRetentionTasks leaves out the first task, which finds the repositories.
func (a *api) listRetentionTasks(c *call) error {
	pg, err := c.page()
	if err != nil {
		return err
	}
	e, err := a.retentionRun(c)
	if err != nil {
		return err
	}
	list, total, err := a.Jobs.Tasks(c.r.Context(), e.ID, pg.size, pg.offset()+1)
	if err != nil {
		return err
	}
	out := []retentionTaskForm{}
	for _, t := range list {
		var params retention.Params
		var report retention.Report
		if err := json.Unmarshal(t.Payload, &params); err != nil {
			return err
		}
		if len(t.Report) > 0 {
			if err := json.Unmarshal(t.Report, &report); err != nil {
				return err
			}
		}
		out = append(out, retentionTaskForm{ID: t.ID, Execution: e.ID, Repository: params.Repository, Status: t.Status, Start: stampOrNone(t.Started),
			End: stampOrNone(t.Ended), Total: report.Total, Retained: report.Retained})
	}
	return c.list(pg, max(total-1, 0), out)
}

func (a *api) retentionLog(c *call) error {
	e, err := a.retentionRun(c)
	if err != nil {
		return err
	}
	return a.writeTaskLog(c, e.ID)
}

// retentionMetadataForm is Harbor's form of what rules can be made of.
type retentionMetadataForm struct {
	Templates []retentionTemplateForm `json:"templates"`
	Scopes    []retentionSelectorForm `json:"scope_selectors"`
	Tags      []retentionSelectorForm `json:"tag_selectors"`
}

type retentionTemplateForm struct {
	Template string               `json:"rule_template"`
	Text     string               `json:"display_text"`
	Action   string               `json:"action"`
	Params   []retentionParamForm `json:"params"`
}

type retentionParamForm struct {
	Type     string `json:"type"`
	Unit     string `json:"unit"`
	Required bool   `json:"required"`
}

type retentionSelectorForm struct {
	Text        string   `json:"display_text"`
	Kind        string   `json:"kind"`
	Decorations []string `json:"decorations"`
}

func (a *api) retentionMetadata(c *call) error {
	out := retentionMetadataForm{Templates: []retentionTemplateForm{},
		Scopes: []retentionSelectorForm{{"Repositories", selector.Doublestar, []string{selector.RepoMatches, selector.RepoExcludes}}},
		Tags: []retentionSelectorForm{{"Tags", selector.Doublestar, []string{selector.Matches, selector.Excludes}},
			{"Labels", selector.Label, []string{selector.WithLabels, selector.WithoutLabels}}}}
	for _, t := range retention.Templates() {
		f := retentionTemplateForm{t.Name, t.Text, retainAction, []retentionParamForm{}}
		if t.Unit != "" {
			f.Params = append(f.Params, retentionParamForm{"int", t.Unit, true})
		}
		out.Templates = append(out.Templates, f)
	}
	return c.answer(http.StatusOK, out)
}
