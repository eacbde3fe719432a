package api

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/webhook"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/secret"
)

func webhookRoutes() []route {
	const all, one, runs = "/projects/{project}/webhook/policies", "/projects/{project}/webhook/policies/{policy}",
		"/projects/{project}/webhook/policies/{policy}/executions"
	return []route{
		{method: "GET", path: all, id: "ListWebhookPoliciesOfProject", needs: role.WebhookManage, run: (*api).listWebhooks,
			says: "List the webhook policies of a project", gives: []webhookForm{}},
		{method: "POST", path: all, id: "CreateWebhookPolicyOfProject", needs: role.WebhookManage, run: (*api).createWebhook,
			says: "Make a webhook policy", takes: webhookRequest{}},
		{method: "GET", path: one, id: "GetWebhookPolicyOfProject", needs: role.WebhookManage, run: (*api).getWebhook,
			says: "Get a webhook policy", gives: webhookForm{}},
		{method: "PUT", path: one, id: "UpdateWebhookPolicyOfProject", needs: role.WebhookManage, run: (*api).updateWebhook,
			says:  "Change a webhook policy; a target whose address stays keeps the header and the secret that are left out",
			takes: webhookRequest{}},
		{method: "DELETE", path: one, id: "DeleteWebhookPolicyOfProject", needs: role.WebhookManage, run: (*api).deleteWebhook,
			says: "Remove a webhook policy and its history; what waits is not delivered"},
		{method: "GET", path: "/projects/{project}/webhook/events", id: "GetSupportedEventTypes", needs: role.WebhookManage, run: (*api).webhookEvents,
			says: "List what webhooks can tell, and how", gives: webhookEventsForm{}},
		{method: "GET", path: "/projects/{project}/webhook/lasttrigger", id: "LastTrigger", needs: role.WebhookManage, run: (*api).lastTrigger,
			says: "Say when each policy last told each event", gives: []lastTriggerForm{}, whole: true},
		{method: "GET", path: "/projects/{project}/webhook/jobs", id: "ListWebhookJobs", needs: role.WebhookManage, run: (*api).webhookJobs,
			says: "List the deliveries of a policy, the latest first", query: []string{"policy_id", "status"}, gives: []webhookJobForm{}},
		{method: "GET", path: runs, id: "ListExecutionsOfWebhookPolicy", needs: role.WebhookManage, run: (*api).webhookExecutions,
			says: "List the deliveries of a policy, the latest first", query: []string{"q:status,trigger"}, gives: []executionForm{}},
		{method: "POST", path: runs + "/{execution}/retry", id: "retryWebhookExecution", needs: role.WebhookManage, run: (*api).retryWebhook,
			says: "Send a delivery that has ended once more"},
		{method: "GET", path: runs + "/{execution}/tasks", id: "ListTasksOfWebhookExecution", needs: role.WebhookManage, run: (*api).webhookTasks,
			says: "List the tasks of a delivery", gives: []taskForm{}},
		{method: "GET", path: runs + "/{execution}/tasks/{task}/log", id: "GetLogsOfWebhookTask", needs: role.WebhookManage, run: (*api).webhookLog,
			says: "Get the log of a delivery", media: "text/plain"},
	}
}

// targetForm is Harbor's form of where events go. The header is not told; Signed is ours.
type targetForm struct {
	Type     string `json:"type"`
	Address  string `json:"address"`
	Header   string `json:"auth_header,omitempty"` // hiddenHeader, if there is one
	Insecure bool   `json:"skip_cert_verify"`
	Format   string `json:"payload_format"`
	Signed   bool   `json:"signed"`
}

// hiddenHeader stands for a header that is not told. A client that sends it back keeps the header.
const hiddenHeader = "********"

// targetRequest is a target as clients set it.
type targetRequest struct {
	Type     string  `json:"type"`
	Address  string  `json:"address"`
	Header   *string `json:"auth_header"` // the value of the header Authorization
	Secret   *string `json:"secret"`      // ours: what deliveries are signed with
	Insecure bool    `json:"skip_cert_verify"`
	Format   string  `json:"payload_format"`
}

// webhookRequest is a policy as clients set it.
type webhookRequest struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Enabled     bool            `json:"enabled"`
	Events      []string        `json:"event_types"`
	Targets     []targetRequest `json:"targets"`
}

// webhookForm is Harbor's form of a policy.
type webhookForm struct {
	ID          int64        `json:"id"`
	Name        string       `json:"name"`
	Description string       `json:"description"`
	Project     int64        `json:"project_id"`
	Enabled     bool         `json:"enabled"`
	Events      []string     `json:"event_types"`
	Targets     []targetForm `json:"targets"`
	Creator     string       `json:"creator"`
	Created     string       `json:"creation_time"`
	Updated     string       `json:"update_time"`
}

func webhookOf(p webhook.Policy) webhookForm {
	f := webhookForm{ID: p.ID, Name: p.Name, Description: p.Description, Project: p.Project, Enabled: p.Enabled, Events: p.Events, Creator: p.Creator,
		Created: stamp(p.Created), Updated: stamp(p.Updated), Targets: []targetForm{}}
	for _, t := range p.Targets {
		x := targetForm{Type: "http", Address: t.Address, Insecure: t.Insecure, Format: t.Format, Signed: t.HasSecret()}
		if t.HasAuthorization() {
			x.Header = hiddenHeader
		}
		f.Targets = append(f.Targets, x)
	}
	return f
}

// webhookPolicy reads a policy from the body.
func (c *call) webhookPolicy() (webhook.Policy, error) {
	var q webhookRequest
	if err := c.body(&q); err != nil {
		return webhook.Policy{}, err
	}
	p := webhook.Policy{Project: c.project.ID, Name: q.Name, Description: q.Description, Enabled: q.Enabled, Events: q.Events, Creator: c.who.Name}
	for i, t := range q.Targets {
		if t.Type != "" && t.Type != "http" {
			return p, badRequest("targets[%d].type: %.40q: the hub knows http alone", i, t.Type)
		}
		x := webhook.Target{Address: t.Address, Insecure: t.Insecure, Format: t.Format}
		if t.Header != nil && *t.Header != hiddenHeader {
			text := secret.Text(*t.Header)
			x.Authorization = &text
		}
		if t.Secret != nil {
			text := secret.Text(*t.Secret)
			x.Secret = &text
		}
		p.Targets = append(p.Targets, x)
	}
	return p, nil
}

func (a *api) listWebhooks(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	list, err := a.Webhooks.List(c.r.Context(), c.project.ID)
	if err != nil {
		return err
	}
	out := []webhookForm{}
	for i, x := range list {
		if i >= p.offset() && len(out) < p.size {
			out = append(out, webhookOf(x))
		}
	}
	return c.list(p, len(list), out)
}

func (a *api) createWebhook(c *call) error {
	p, err := c.webhookPolicy()
	if err != nil {
		return err
	}
	id, err := a.Webhooks.Create(c.r.Context(), p)
	if err != nil {
		return err
	}
	return c.created("/projects/%s/webhook/policies/%d", c.project.Name, id)
}

// webhook finds the policy of the path.
func (a *api) webhook(c *call) (webhook.Policy, error) {
	n, err := c.number("policy")
	if err != nil {
		return webhook.Policy{}, err
	}
	return a.Webhooks.Get(c.r.Context(), a.DB, c.project.ID, n)
}

func (a *api) getWebhook(c *call) error {
	p, err := a.webhook(c)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, webhookOf(p))
}

func (a *api) updateWebhook(c *call) error {
	n, err := c.number("policy")
	if err != nil {
		return err
	}
	p, err := c.webhookPolicy()
	if err != nil {
		return err
	}
	p.ID = n
	if err := a.Webhooks.Update(c.r.Context(), p); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (a *api) deleteWebhook(c *call) error {
	n, err := c.number("policy")
	if err != nil {
		return err
	}
	if err := a.Webhooks.Remove(c.r.Context(), c.project.ID, n); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

// webhookEventsForm is Harbor's form of what there is to choose.
type webhookEventsForm struct {
	Events  []string            `json:"event_type"`
	Types   []string            `json:"notify_type"`
	Formats []payloadFormatForm `json:"payload_formats"`
}

type payloadFormatForm struct {
	Type    string   `json:"notify_type"`
	Formats []string `json:"formats"`
}

func (a *api) webhookEvents(c *call) error {
	return c.answer(http.StatusOK, webhookEventsForm{Events: webhook.Types(), Types: []string{"http"},
		Formats: []payloadFormatForm{{"http", []string{webhook.FormatDefault, webhook.FormatCloudEvents}}}})
}

// lastTriggerForm is Harbor's form.
type lastTriggerForm struct {
	Policy  string `json:"policy_name"`
	Event   string `json:"event_type"`
	Enabled bool   `json:"enabled"`
	Created string `json:"creation_time"`
	Last    string `json:"last_trigger_time,omitempty"`
}

func (a *api) lastTrigger(c *call) error {
	list, err := a.Webhooks.List(c.r.Context(), c.project.ID)
	if err != nil {
		return err
	}
	out := []lastTriggerForm{}
	for _, p := range list {
		last, err := a.Webhooks.Last(c.r.Context(), p.ID)
		if err != nil {
			return err
		}
		for _, e := range p.Events {
			x := lastTriggerForm{Policy: p.Name, Event: e, Enabled: p.Enabled, Created: stamp(p.Created)}
			if t, ok := last[e]; ok {
				x.Last = stamp(t)
			}
			out = append(out, x)
		}
	}
	return c.answer(http.StatusOK, out)
}

// webhookJobForm is Harbor's older form of a delivery.
type webhookJobForm struct {
	ID      int64       `json:"id"`
	Policy  int64       `json:"policy_id"`
	Event   string      `json:"event_type"`
	Type    string      `json:"notify_type"`
	Status  jobs.Status `json:"status"`
	Detail  string      `json:"job_detail"` // JSON of the event
	Created string      `json:"creation_time"`
	Updated string      `json:"update_time"`
}

func (a *api) webhookJobs(c *call) error {
	n, err := strconv.ParseInt(c.r.URL.Query().Get("policy_id"), 10, 64)
	if err != nil {
		return badRequest("policy_id: want the number of a policy")
	}
	pol, err := a.Webhooks.Get(c.r.Context(), a.DB, c.project.ID, n)
	if err != nil {
		return err
	}
	p, err := c.page()
	if err != nil {
		return err
	}
	f := jobs.Filter{Kind: webhook.Kind, Subject: &pol.ID, Status: jobs.Status(c.r.URL.Query().Get("status"))}
	list, total, err := a.Jobs.Executions(c.r.Context(), f, p.size, p.offset())
	if err != nil {
		return err
	}
	out := []webhookJobForm{}
	for _, e := range list {
		kind, _, data := webhook.Describe(e.Params)
		x := webhookJobForm{ID: e.ID, Policy: pol.ID, Event: kind, Type: "http", Status: e.Status, Detail: string(data), Created: stamp(e.Created),
			Updated: stamp(e.Created)}
		if !e.Ended.IsZero() {
			x.Updated = stamp(e.Ended)
		}
		out = append(out, x)
	}
	return c.list(p, total, out)
}

// deliveryAttrs is what an execution or a task shows of its event.
type deliveryAttrs struct {
	Event   string          `json:"event_type"`
	Address string          `json:"address"`
	Payload json.RawMessage `json:"payload"`
}

func deliveryOf(payload json.RawMessage) deliveryAttrs {
	kind, address, data := webhook.Describe(payload)
	return deliveryAttrs{kind, address, data}
}

func (a *api) webhookExecutions(c *call) error {
	pol, err := a.webhook(c)
	if err != nil {
		return err
	}
	p, err := c.page()
	if err != nil {
		return err
	}
	f, err := c.executionFilter(webhook.Kind)
	if err != nil {
		return err
	}
	f.Subject = &pol.ID
	list, total, err := a.Jobs.Executions(c.r.Context(), f, p.size, p.offset())
	if err != nil {
		return err
	}
	out := []executionForm{}
	for _, e := range list {
		x := executionOf(e)
		x.Extra = deliveryOf(e.Params)
		out = append(out, x)
	}
	return c.list(p, total, out)
}

// webhookExecution finds the execution of the path, of the policy of the path.
func (a *api) webhookExecution(c *call) (jobs.Execution, error) {
	p, err := a.webhook(c)
	if err != nil {
		return jobs.Execution{}, err
	}
	return a.oneExecution(c, "execution", webhook.Kind, &p.ID)
}

func (a *api) retryWebhook(c *call) error {
	e, err := a.webhookExecution(c)
	if err != nil {
		return err
	}
	var id int64
	err = a.DB.Tx(c.r.Context(), func(tx *store.Tx) (err error) {
		id, err = a.Webhooks.Again(tx, e)
		return err
	})
	if err != nil {
		return err
	}
	return c.created("/projects/%d/webhook/policies/%d/executions/%d", c.project.ID, e.Subject, id)
}

func (a *api) webhookTasks(c *call) error {
	e, err := a.webhookExecution(c)
	if err != nil {
		return err
	}
	p, err := c.page()
	if err != nil {
		return err
	}
	list, total, err := a.Jobs.Tasks(c.r.Context(), e.ID, p.size, p.offset())
	if err != nil {
		return err
	}
	out := []taskForm{}
	for _, t := range list {
		out = append(out, taskOf(t, deliveryOf(t.Payload)))
	}
	return c.list(p, total, out)
}

func (a *api) webhookLog(c *call) error {
	e, err := a.webhookExecution(c)
	if err != nil {
		return err
	}
	return a.writeTaskLog(c, e.ID)
}
