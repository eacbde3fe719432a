package api

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/openvic/vic/core/hub/provision"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/token"
)

func provisionRoutes() []route {
	const all = "/projects/{project}/provisions"
	const one = all + "/{provision}"
	const rules = "/approval-rules"
	return []route{
		{method: "GET", path: all, id: "listProvisions", needs: role.ContainerRead, run: (*api).listProvisions, query: []string{"status:"},
			says: "List the requests for containers of a project, the latest first", gives: []provisionForm{}},
		{method: "POST", path: all, id: "createProvision", needs: role.ContainerWrite, run: (*api).createProvision, does: "provision",
			says:  "Make a container on one of the project's VCHs, or request it if somebody has to approve it",
			takes: provisionRequest{}, gives: provisionForm{}},
		{method: "POST", path: all + "/plan", id: "planProvision", needs: role.ContainerWrite, run: (*api).planProvision, status: http.StatusOK, told: true,
			says:  "Say where a container would be made and why, whether somebody would have to approve it, and what it needs; make nothing",
			takes: provisionRequest{}, gives: provisionPlan{}},
		{method: "GET", path: one, id: "getProvision", needs: role.ContainerRead, run: (*api).getProvision,
			says: "Get a request for a container", gives: provisionForm{}},
		{method: "POST", path: one + "/approve", id: "approveProvision", needs: role.ApprovalDecide, run: decideProvision(true), does: "approve",
			says: "Approve a request that waits", takes: decisionRequest{}, gives: provisionForm{}, status: http.StatusOK},
		{method: "POST", path: one + "/refuse", id: "refuseProvision", needs: role.ApprovalDecide, run: decideProvision(false), does: "refuse",
			says: "Refuse a request that waits", takes: decisionRequest{}, gives: provisionForm{}, status: http.StatusOK},
		{method: "DELETE", path: one, id: "cancelProvision", needs: role.ContainerWrite, run: (*api).cancelProvision, does: "cancel",
			says: "Take back a request of the caller's that waits"},

		{method: "GET", path: "/projects/{project}/allowance", id: "getAllowance", needs: role.ContainerRead, run: (*api).getAllowance,
			says: "Get what the project may use of its VCHs, and what it does", gives: allowanceForm{}},
		{method: "PUT", path: "/projects/{project}/allowance", id: "setAllowance", needs: role.QuotaManage, run: (*api).setAllowance,
			says: "Set what the project may use of its VCHs", takes: allowanceRequest{}},

		{method: "GET", path: "/projects/{project}" + rules, id: "listProjectApprovalRules", needs: role.ContainerRead, run: (*api).listApprovalRules,
			says: "List the rules by which requests of a project wait for an approval, with those of all projects", gives: []ruleForm{}, whole: true},
		{method: "POST", path: "/projects/{project}" + rules, id: "createProjectApprovalRule", needs: role.ProjectWrite, run: (*api).createApprovalRule,
			says: "Make a rule by which requests of a project wait for an approval", takes: ruleForm{}},
		{method: "DELETE", path: "/projects/{project}" + rules + "/{rule}", id: "deleteProjectApprovalRule", needs: role.ProjectWrite,
			run: (*api).deleteApprovalRule, says: "Delete a rule of a project"},
		{method: "GET", path: rules, id: "listApprovalRules", needs: role.Configuration, run: (*api).listApprovalRules,
			says: "List the rules by which requests of all projects wait for an approval", gives: []ruleForm{}, whole: true},
		{method: "POST", path: rules, id: "createApprovalRule", needs: role.Configuration, run: (*api).createApprovalRule,
			says: "Make a rule by which requests of all projects wait for an approval", takes: ruleForm{}},
		{method: "DELETE", path: rules + "/{rule}", id: "deleteApprovalRule", needs: role.Configuration, run: (*api).deleteApprovalRule,
			says: "Delete a rule of all projects"},
	}
}

// provisionRequest is a container that somebody wants.
type provisionRequest struct {
	Name   string          `json:"name"`
	Config json.RawMessage `json:"config"` // Docker's body of POST /containers/create
	// Start is true if it is left out.
	Start    *bool  `json:"start"`
	VCH      int64  `json:"vch"`
	Strategy string `json:"strategy"` // spread or pack
	Near     string `json:"near"`     // an application
	Apart    string `json:"apart"`
}

// sizeForm is what is held of an allowance, or how much there is; -1: no limit.
type sizeForm struct {
	Containers int64   `json:"containers"`
	CPUs       float64 `json:"cpus"`
	Memory     int64   `json:"memory"` // bytes
}

func sizeOf(s provision.Size) sizeForm {
	f := sizeForm{s.Containers, float64(s.CPUs) / 1e9, s.Memory}
	if s.CPUs < 0 {
		f.CPUs = -1
	}
	return f
}

// planForm is where a container goes, and why.
type planForm struct {
	Chosen  int64        `json:"chosen"`
	Choices []choiceForm `json:"choices"`
}

type choiceForm struct {
	VCH  int64  `json:"vch"`
	Name string `json:"name"`
	Fits bool   `json:"fits"`
	Why  string `json:"why"`
}

func planOf(p provision.Plan) planForm {
	f := planForm{p.Chosen, []choiceForm{}}
	for _, c := range p.Choices {
		f.Choices = append(f.Choices, choiceForm{c.VCH, c.Name, c.Fits, c.Why})
	}
	return f
}

// provisionPlan is what a request would do.
type provisionPlan struct {
	Plan     planForm `json:"plan"`
	Size     sizeForm `json:"size"`
	Approval string   `json:"approval"` // why somebody would have to approve it; empty: nobody would
	Over     string   `json:"over"`     // what is lacking of the project's allowance; empty: nothing
}

// provisionForm is a request.
type provisionForm struct {
	ID          int64    `json:"id"`
	Name        string   `json:"name"`
	Image       string   `json:"image"`
	Status      string   `json:"status"` // waiting, pending, done, failed, refused, expired, cancelled or removed
	RequestedBy string   `json:"requested_by"`
	Mine        bool     `json:"mine"`
	Created     string   `json:"creation_time"`
	Updated     string   `json:"update_time"`
	Expires     string   `json:"expires,omitempty"`
	Approval    string   `json:"approval"`
	DecidedBy   string   `json:"decided_by"`
	Comment     string   `json:"comment"`
	Size        sizeForm `json:"size"`
	Start       bool     `json:"start"`
	VCH         int64    `json:"vch"`
	Plan        planForm `json:"plan"`
	Container   string   `json:"container"`
	Execution   int64    `json:"execution_id"`
	Message     string   `json:"message"`
	// Step, Done and Total (bytes) are how far a pending one is.
	Step  string `json:"step"`
	Done  int64  `json:"done"`
	Total int64  `json:"total"`
}

func (a *api) provisionForm(c *call, x provision.Provision) (provisionForm, error) {
	f := provisionForm{ID: x.ID, Name: x.Name, Image: x.Image, Status: string(x.Status), RequestedBy: x.RequestedBy, Mine: x.Principal == c.who.ID,
		Created: stamp(x.Made), Updated: stamp(x.Updated), Approval: x.Reason, DecidedBy: x.DecidedBy, Comment: x.Comment, Size: sizeOf(x.Size), Start: x.Start,
		VCH: x.VCH, Plan: planOf(x.Plan), Container: x.Container, Execution: x.Execution, Message: x.Message}
	if x.Status == provision.Waiting {
		f.Expires = stamp(x.Expires)
	}
	if x.Status != provision.Pending {
		return f, nil
	}
	tasks, _, err := a.Jobs.Tasks(c.r.Context(), x.Execution, 1, 0)
	if err != nil || len(tasks) == 0 {
		return f, err
	}
	var r struct{ Step string }
	if len(tasks[0].Report) > 0 {
		if err := json.Unmarshal(tasks[0].Report, &r); err != nil {
			return f, err
		}
	}
	f.Step, f.Done, f.Total, f.Message = r.Step, tasks[0].Done, tasks[0].Total, tasks[0].Message
	return f, nil
}

// provisionRequest reads what a client wants.
func (a *api) provisionRequest(c *call) (provision.Request, error) {
	var q provisionRequest
	if err := c.body(&q); err != nil {
		return provision.Request{}, err
	}
	r := provision.Request{Project: c.project.ID, ProjectName: c.project.Name, Principal: c.who.ID, RequestedBy: c.who.Name, Name: q.Name, Body: q.Config,
		Start: q.Start == nil || *q.Start, Wish: provision.Wish{VCH: q.VCH, Strategy: provision.Strategy(q.Strategy), Near: q.Near, Apart: q.Apart}}
	if len(q.Config) == 0 {
		return r, badRequest("config: give the body of Docker's POST /containers/create, with an Image at least")
	}
	answer, err := a.Authority.InProject(c.r.Context(), c.who, role.ApprovalDecide, c.project.Name)
	r.Decides = answer == role.Allowed
	return r, err
}

func (a *api) planProvision(c *call) error {
	r, err := a.provisionRequest(c)
	if err != nil {
		return err
	}
	p, err := a.Provisions.Preview(c.r.Context(), r)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, provisionPlan{planOf(p.Plan), sizeOf(p.Size), p.Reason, p.Over})
}

func (a *api) createProvision(c *call) error {
	r, err := a.provisionRequest(c)
	if err != nil {
		return err
	}
	if c.who.Kind != token.User {
		return &Error{Status: http.StatusForbidden, Code: "FORBIDDEN", Message: "a robot cannot request containers: it is people who are asked about them"}
	}
	x, err := a.Provisions.Create(c.r.Context(), r)
	if err != nil {
		return err
	}
	c.detail = x.Name + " of " + x.Image
	f, err := a.provisionForm(c, x)
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", Prefix+"/projects/"+c.project.Name+"/provisions/"+strconv.FormatInt(x.ID, 10))
	return c.answer(http.StatusCreated, f)
}

func (a *api) listProvisions(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	list, total, err := a.Provisions.List(c.r.Context(), c.project.ID, provision.Status(c.r.URL.Query().Get("status")), p.size, p.offset())
	if err != nil {
		return err
	}
	out := []provisionForm{}
	for _, x := range list {
		f, err := a.provisionForm(c, x)
		if err != nil {
			return err
		}
		out = append(out, f)
	}
	return c.list(p, total, out)
}

func (a *api) getProvision(c *call) error {
	n, err := c.number("provision")
	if err != nil {
		return err
	}
	x, err := a.Provisions.Get(c.r.Context(), c.project.ID, n)
	if err != nil {
		return err
	}
	f, err := a.provisionForm(c, x)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, f)
}

type decisionRequest struct {
	Comment string `json:"comment"`
}

func decideProvision(approve bool) func(*api, *call) error {
	return func(a *api, c *call) error {
		n, err := c.number("provision")
		if err != nil {
			return err
		}
		if c.who.Kind != token.User { // whoever made it could have it decide about a request of their own
			return &Error{Status: http.StatusForbidden, Code: "FORBIDDEN", Message: "a robot cannot decide about requests: it is people who answer for them"}
		}
		var q decisionRequest
		if err := c.body(&q); err != nil {
			return err
		}
		d := provision.Decision{Approve: approve, Principal: c.who.ID, By: c.who.Name, Comment: q.Comment}
		if d.Beyond, err = a.mayEverywhere(c, role.ApproveBeyond); err != nil {
			return err
		}
		x, err := a.Provisions.Decide(c.r.Context(), c.project.ID, n, d)
		if err != nil {
			return err
		}
		f, err := a.provisionForm(c, x)
		if err != nil {
			return err
		}
		return c.answer(http.StatusOK, f)
	}
}

func (a *api) mayEverywhere(c *call, p role.Permission) (bool, error) {
	answer, err := a.Authority.Everywhere(c.r.Context(), c.who, p)
	return answer == role.Allowed, err
}

func (a *api) cancelProvision(c *call) error {
	n, err := c.number("provision")
	if err != nil {
		return err
	}
	return c.done(a.Provisions.Cancel(c.r.Context(), c.project.ID, n, c.who.ID))
}

// allowanceForm is what a project may use, and what it does.
type allowanceForm struct {
	Most sizeForm `json:"most"`
	Used sizeForm `json:"used"`
}

func (a *api) getAllowance(c *call) error {
	x, err := a.Provisions.Allowance(c.r.Context(), c.project.ID)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, allowanceForm{sizeOf(x.Most), sizeOf(x.Used)})
}

// allowanceRequest sets limits; -1: none. What is left out stays as it is.
type allowanceRequest struct {
	Containers *int64   `json:"containers"`
	CPUs       *float64 `json:"cpus"`
	Memory     *int64   `json:"memory"` // bytes
}

func (a *api) setAllowance(c *call) error {
	var q allowanceRequest
	if err := c.body(&q); err != nil {
		return err
	}
	if q == (allowanceRequest{}) {
		return badRequest("give containers, cpus or memory")
	}
	now, err := a.Provisions.Allowance(c.r.Context(), c.project.ID)
	if err != nil {
		return err
	}
	size := now.Most
	if q.Containers != nil {
		size.Containers = *q.Containers
	}
	if q.Memory != nil {
		size.Memory = *q.Memory
	}
	if q.CPUs != nil {
		const most = 1 << 20 // CPUs; it keeps the billionths in their bounds
		if *q.CPUs > most {
			return badRequest("cpus: want at most %d, or -1 for no limit", most)
		}
		if size.CPUs = int64(*q.CPUs * 1e9); *q.CPUs < 0 {
			size.CPUs = provision.Unlimited
		}
	}
	return c.done(a.Provisions.SetAllowance(c.r.Context(), c.project.ID, size))
}

// ruleForm is a rule by which requests wait for an approval: those of which all is true that it names.
type ruleForm struct {
	ID         int64   `json:"id"`
	Name       string  `json:"name"`
	Everywhere bool    `json:"everywhere"`  // a rule of all projects; set by the hub
	MemoryOver int64   `json:"memory_over"` // bytes
	CPUsOver   float64 `json:"cpus_over"`
	Publishes  bool    `json:"publishes"`
	Privileged bool    `json:"privileged"`
	Everybody  bool    `json:"everybody"` // also for those who may approve
	Created    string  `json:"creation_time"`
}

func (a *api) listApprovalRules(c *call) error {
	list, err := a.Provisions.Rules(c.r.Context(), c.project.ID, true)
	if err != nil {
		return err
	}
	out := []ruleForm{}
	for _, r := range list {
		out = append(out, ruleForm{r.ID, r.Name, r.Project == 0, r.MemoryOver, float64(r.CPUsOver) / 1e9, r.Publishes, r.Privileged, r.Everybody, stamp(r.Made)})
	}
	return c.answer(http.StatusOK, out)
}

func (a *api) createApprovalRule(c *call) error {
	var q ruleForm
	if err := c.body(&q); err != nil {
		return err
	}
	r, err := a.Provisions.AddRule(c.r.Context(), provision.Rule{Project: c.project.ID, Name: q.Name, MemoryOver: q.MemoryOver,
		CPUsOver: int64(min(q.CPUsOver, 1<<20) * 1e9), Publishes: q.Publishes, Privileged: q.Privileged, Everybody: q.Everybody})
	if err != nil {
		return err
	}
	if c.project.ID == 0 {
		return c.created("/approval-rules/%d", r.ID)
	}
	return c.created("/projects/%s/approval-rules/%d", c.project.Name, r.ID)
}

func (a *api) deleteApprovalRule(c *call) error {
	n, err := c.number("rule")
	if err != nil {
		return err
	}
	return c.done(a.Provisions.RemoveRule(c.r.Context(), c.project.ID, n))
}
