package api

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/scanning"
	"github.com/openvic/vic/core/hub/trust"
	"github.com/openvic/vic/core/hub/vchs"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/sdk/errdef"
)

// The routes of VCHs are ours; Harbor has none.
func vchRoutes() []route {
	return []route{
		{method: "GET", path: "/vchs", id: "listVCHs", needs: role.HostManage, run: (*api).listVCHs,
			says: "List the VCHs", gives: []vchForm{}},
		{method: "POST", path: "/vchs", id: "registerVCH", needs: role.HostManage, run: (*api).registerVCH,
			says:  "Register a VCH as a resource of projects, or change one that has the same uid; the answer has the request for the hub's certificate",
			takes: vchRequest{}, gives: vchAnswer{}},
		{method: "POST", path: "/vchs/check", id: "checkVCH", needs: role.HostManage, run: (*api).checkVCH,
			says: "Say whether a VCH could be registered; make nothing", takes: vchRequest{}, gives: vchCheck{}, status: http.StatusOK},
		{method: "GET", path: "/vchs/{vch}", id: "getVCH", needs: role.HostManage, run: (*api).getVCH,
			says: "Get a VCH", gives: vchAnswer{}},
		{method: "PUT", path: "/vchs/{vch}", id: "connectVCH", needs: role.HostManage, run: (*api).connectVCH,
			says: "Say where a VCH serves its Docker API, and give the hub's certificate there", takes: vchConnection{}},
		{method: "DELETE", path: "/vchs/{vch}", id: "deleteVCH", needs: role.HostManage, run: (*api).deleteVCH,
			says: "Forget a VCH, with the hub's key"},
		{method: "GET", path: "/vchs/{vch}/ping", id: "pingVCH", needs: role.HostManage, run: (*api).pingVCH,
			says: "Ask a VCH for its version", gives: vchPing{}},
		{method: "GET", path: "/projects/{project}/vchs", id: "listProjectVCHs", needs: role.ContainerRead, run: (*api).listProjectVCHs,
			says: "List the VCHs that are resources of a project", gives: []vchForm{}},
	}
}

// vchRequest is what registers a VCH.
type vchRequest struct {
	UID      string   `json:"uid"`
	Name     string   `json:"name"`
	Projects []string `json:"projects"` // by name
}

// vchConnection is what connects one; see vchs.Connection.
type vchConnection struct {
	Address     string `json:"address"`
	ServerName  string `json:"server_name,omitempty"`
	ServerCA    string `json:"server_ca"`
	Certificate string `json:"certificate,omitempty"`
}

// vchCheck is what a registration would do.
type vchCheck struct {
	Projects []vchProject `json:"projects"`
	HubOnly  bool         `json:"hub_only"` // as in vchForm
}

// vchPing is whether a VCH answers the hub.
type vchPing struct {
	Status     string `json:"status"` // "ok" or "error"
	Error      string `json:"error,omitempty"`
	Version    string `json:"version,omitempty"`
	APIVersion string `json:"api_version,omitempty"`
}

// vchProject is a project whose resource a VCH is.
type vchProject struct {
	ID   int64  `json:"project_id"`
	Name string `json:"name"`
}

// vchForm is a VCH as lists show it.
type vchForm struct {
	ID        int64        `json:"id"`
	UID       string       `json:"uid"`
	Name      string       `json:"name"`
	Address   string       `json:"address,omitempty"`
	Connected bool         `json:"connected"`
	Projects  []vchProject `json:"projects"`
	Created   string       `json:"creation_time"`
	// HubOnly says that one of its projects demands that it takes images of the hub alone.
	HubOnly bool `json:"hub_only"`
}

// demands say that a project has the hub look at what is pulled: at findings, or at signatures. A VCH that could pull from
// elsewhere would go around it.
var demands = []string{scanning.MetadataPrevent, trust.MetadataNotary, trust.MetadataCosign, trust.MetadataNotation}

// hubOnly says whether a project demands, itself or by the hub's settings, that its VCHs take images of the hub alone.
func (a *api) hubOnly(c *call, project int64) (bool, error) {
	m, err := a.Settings.Metadata(c.r.Context(), a.DB, project)
	if err != nil {
		return false, err
	}
	v, err := a.Settings.Now(c.r.Context())
	byDefault := v.PreventVul && m[scanning.MetadataPrevent] == ""
	return byDefault || slices.ContainsFunc(demands, func(name string) bool { return m[name] == "true" }), err
}

// vchAnswer is what who registers one needs besides.
type vchAnswer struct {
	vchForm
	// Request is what the VCH's authority makes the hub's certificate of.
	Request string `json:"certificate_request"`
}

func (a *api) vchForm(c *call, v vchs.VCH) (vchForm, error) {
	out := vchForm{ID: v.ID, UID: v.UID, Name: v.Name, Address: v.Address, Connected: v.Connected(), Projects: []vchProject{}, Created: stamp(v.Made)}
	for _, n := range v.Projects {
		p, err := a.Registry.ProjectByID(c.r.Context(), a.DB, n)
		if errors.Is(err, errdef.ErrNotFound) { // it was deleted this moment
			continue
		}
		if err != nil {
			return out, err
		}
		out.Projects = append(out.Projects, vchProject{p.ID, p.Name})
		only, err := a.hubOnly(c, p.ID)
		if err != nil {
			return out, err
		}
		out.HubOnly = out.HubOnly || only
	}
	return out, nil
}

// maxVCHs bounds what is read for one list.
const maxVCHs = 10_000

func (a *api) listOf(c *call, project int64) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	list, _, err := a.VCHs.List(c.r.Context(), project, 0, maxVCHs)
	if err != nil {
		return err
	}
	out := []vchForm{}
	for i := p.offset(); i < len(list) && i < p.offset()+p.size; i++ {
		f, err := a.vchForm(c, list[i])
		if err != nil {
			return err
		}
		if project != 0 { // what else it is a resource of is not for the members of one project
			f.Projects = []vchProject{{c.project.ID, c.project.Name}}
		}
		out = append(out, f)
	}
	return c.list(p, len(list), out)
}

func (a *api) listVCHs(c *call) error        { return a.listOf(c, 0) }
func (a *api) listProjectVCHs(c *call) error { return a.listOf(c, c.project.ID) }

// vch is the one that the path names.
func (a *api) vch(c *call) (vchs.VCH, error) {
	n, err := c.number("vch")
	if err != nil {
		return vchs.VCH{}, err
	}
	return a.VCHs.Get(c.r.Context(), n)
}

func (a *api) getVCH(c *call) error {
	v, err := a.vch(c)
	if err != nil {
		return err
	}
	f, err := a.vchForm(c, v)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, vchAnswer{f, v.Request})
}

// projectsByName finds the projects of a registration, by name or number.
func (a *api) projectsByName(c *call, names []string) ([]registry.Project, error) {
	if len(names) == 0 || len(names) > vchs.MaxProjects {
		return nil, badRequest("projects: name 1 to %d projects whose resource the VCH is", vchs.MaxProjects)
	}
	var out []registry.Project
	for _, name := range names {
		p, err := a.Registry.FindProject(c.r.Context(), a.DB, name)
		if errors.Is(err, errdef.ErrNotFound) {
			if n, nerr := strconv.ParseInt(name, 10, 64); nerr == nil {
				p, err = a.Registry.ProjectByID(c.r.Context(), a.DB, n)
			}
		}
		if errors.Is(err, errdef.ErrNotFound) {
			return nil, badRequest("projects: there is no project %.100q", name)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// registration reads what a client wants to register.
func (a *api) registration(c *call) (r vchs.Registration, projects []registry.Project, err error) {
	var q vchRequest
	if err := c.body(&q); err != nil {
		return r, nil, err
	}
	if projects, err = a.projectsByName(c, q.Projects); err != nil {
		return r, nil, err
	}
	r = vchs.Registration{UID: q.UID, Name: q.Name}
	for _, p := range projects {
		r.Projects = append(r.Projects, p.ID)
	}
	return r, projects, r.Check()
}

func (a *api) checkVCH(c *call) error {
	_, projects, err := a.registration(c)
	if err != nil {
		return err
	}
	out := vchCheck{Projects: []vchProject{}}
	for _, p := range projects {
		out.Projects = append(out.Projects, vchProject{p.ID, p.Name})
		only, err := a.hubOnly(c, p.ID)
		if err != nil {
			return err
		}
		out.HubOnly = out.HubOnly || only
	}
	return c.answer(http.StatusOK, out)
}

func (a *api) registerVCH(c *call) error {
	r, _, err := a.registration(c)
	if err != nil {
		return err
	}
	v, err := a.VCHs.Register(c.r.Context(), r)
	if err != nil {
		return err
	}
	a.Fleet.Look()
	f, err := a.vchForm(c, v)
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", Prefix+"/vchs/"+strconv.FormatInt(v.ID, 10))
	return c.answer(http.StatusCreated, vchAnswer{f, v.Request})
}

func (a *api) connectVCH(c *call) error {
	n, err := c.number("vch")
	if err != nil {
		return err
	}
	var q vchConnection
	if err := c.body(&q); err != nil {
		return err
	}
	if err := a.VCHs.Connect(c.r.Context(), n, vchs.Connection(q)); err != nil {
		return err
	}
	a.Fleet.Look()
	return c.empty(http.StatusOK)
}

func (a *api) deleteVCH(c *call) error {
	n, err := c.number("vch")
	if err != nil {
		return err
	}
	if err := a.VCHs.Remove(c.r.Context(), n); err != nil {
		return err
	}
	a.Fleet.Look()
	return c.empty(http.StatusOK)
}

// pingVCH says whether the VCH's Docker API answers the hub. That it does not is an answer, not an error of the hub's.
func (a *api) pingVCH(c *call) error {
	v, err := a.vch(c)
	if err != nil {
		return err
	}
	out := vchPing{Status: "ok"}
	version, err := a.VCHs.Ping(c.r.Context(), v)
	switch {
	case errors.Is(err, errdef.ErrUnavailable), errors.Is(err, errdef.ErrConflict):
		out.Status, out.Error = "error", err.Error()
	case err != nil:
		return err
	}
	out.Version, out.APIVersion = version.Version, version.APIVersion
	return c.answer(http.StatusOK, out)
}
