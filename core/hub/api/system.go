package api

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/openvic/vic/core/hub/robots"
	"github.com/openvic/vic/core/hub/role"
)

func systemRoutes() []route {
	return []route{
		{method: "GET", path: "/ping", id: "getPing", run: (*api).ping,
			says: "Say that the API answers", media: "text/plain"},
		{method: "GET", path: "/health", id: "getHealth", run: (*api).health,
			says: "Tell of each part of the hub whether it works", gives: healthForm{}},
		{method: "GET", path: "/systeminfo", id: "getSystemInfo", run: (*api).systemInfo,
			says: "Tell what a client must know of the hub before it signs in", gives: systemInfoForm{}},
		{method: "GET", path: "/systeminfo/getcert", id: "getCert", run: (*api).certificate,
			says: "Get the authority that signed the hub's certificate", media: "application/x-pem-file"},
		{method: "GET", path: "/statistics", id: "getStatistic", signed: true, run: (*api).statistics,
			says: "Count the projects and repositories that the caller sees", gives: statisticsForm{}},
		{method: "GET", path: "/permissions", id: "getPermissions", signed: true, run: (*api).permissions,
			says: "List the permissions that a robot can be given", gives: permissionsForm{}},
	}
}

func (a *api) ping(c *call) error {
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = c.w.Write([]byte("Pong"))
	return nil
}

type componentForm struct {
	Name   string `json:"name"`
	Status string `json:"status"` // healthy or unhealthy
	Error  string `json:"error,omitempty"`
}

type healthForm struct {
	Status     string          `json:"status"`
	Components []componentForm `json:"components"`
}

// health tells of each part whether it works, as Harbor does: always with status 200. Why a part does not work is in the
// log, since anybody may ask.
func (a *api) health(c *call) error {
	out := healthForm{Status: "healthy", Components: []componentForm{}}
	for name, err := range a.Health(c.r.Context()) {
		p := componentForm{Name: name, Status: "healthy"}
		if err != nil {
			a.Log.Warn("part of the hub is not healthy", "part", name, "err", err)
			p.Status, p.Error, out.Status = "unhealthy", "it does not answer as it should; the hub's log says more", "unhealthy"
		}
		out.Components = append(out.Components, p)
	}
	slices.SortFunc(out.Components, func(x, y componentForm) int { return strings.Compare(x.Name, y.Name) })
	return c.answer(http.StatusOK, out)
}

// authMode is the word of Harbor that fits best: users are not the hub's, their passwords are not changed through Harbor's
// clients, and groups come with them.
const authMode = "oidc_auth"

// systemInfoForm is Harbor's form of what is told before a sign-in.
type systemInfoForm struct {
	AuthMode         string `json:"auth_mode"`
	PrimaryAuthMode  bool   `json:"primary_auth_mode"`
	SelfRegistration bool   `json:"self_registration"`
	Creation         string `json:"project_creation_restriction"`
	Registry         string `json:"registry_url"`
	External         string `json:"external_url"`
	HasCA            bool   `json:"has_ca_root"`
	ReadOnly         bool   `json:"read_only"`
	Banner           string `json:"banner_message,omitempty"`
	Version          string `json:"harbor_version,omitempty"`
}

func (a *api) systemInfo(c *call) error {
	host := c.r.Host
	if a.URL != "" {
		host = strings.TrimPrefix(strings.TrimPrefix(a.URL, "https://"), "http://")
	}
	ca, err := a.authorities()
	if err != nil {
		return err
	}
	v, err := a.Settings.Now(c.r.Context())
	if err != nil {
		return err
	}
	info := systemInfoForm{AuthMode: authMode, Creation: creation, Registry: host, External: "https://" + host, HasCA: ca != nil,
		ReadOnly: v.ReadOnly, Banner: v.Banner}
	if c.who.Known() { // strangers need not know what to look up faults for
		info.Version = a.Version
	}
	return c.answer(http.StatusOK, info)
}

func (a *api) authorities() ([]byte, error) {
	if a.Authorities == nil {
		return nil, nil
	}
	return a.Authorities()
}

// certificate is the authority that clients must trust.
func (a *api) certificate(c *call) error {
	pem, err := a.authorities()
	if err != nil {
		return err
	}
	if pem == nil {
		return notFound("the hub's certificate is signed by an authority that it does not know")
	}
	c.w.Header().Set("Content-Type", "application/x-pem-file")
	c.w.Header().Set("Content-Disposition", `attachment; filename="ca.crt"`)
	_, _ = c.w.Write(pem)
	return nil
}

type statisticsForm struct {
	PrivateProjects int64 `json:"private_project_count"`
	PublicProjects  int64 `json:"public_project_count"`
	Projects        int64 `json:"total_project_count"`
	PrivateRepos    int64 `json:"private_repo_count"`
	PublicRepos     int64 `json:"public_repo_count"`
	Repos           int64 `json:"total_repo_count"`
	Storage         int64 `json:"total_storage_consumption"` // bytes
}

// statistics counts what the caller sees.
func (a *api) statistics(c *call) error {
	var n statisticsForm
	sees, who := a.sees(c, role.ProjectRead)
	err := a.DB.QueryRow(c.r.Context(), `SELECT
			COALESCE(SUM(CASE WHEN public THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN public THEN 0 ELSE 1 END), 0),
			COALESCE(SUM(CASE WHEN public THEN repos ELSE 0 END), 0), COALESCE(SUM(CASE WHEN public THEN 0 ELSE repos END), 0), COALESCE(SUM(used), 0)
		FROM project WHERE `+sees, who).Scan(&sum{&n.PublicProjects}, &sum{&n.PrivateProjects}, &sum{&n.PublicRepos},
		&sum{&n.PrivateRepos}, &sum{&n.Storage})
	if err != nil {
		return err
	}
	n.Projects, n.Repos = n.PublicProjects+n.PrivateProjects, n.PublicRepos+n.PrivateRepos
	return c.answer(http.StatusOK, n)
}

// sum scans a column that adds numbers up.
type sum struct{ to *int64 }

// Scan implements sql.Scanner. PostgreSQL gives sums as text.
func (s *sum) Scan(src any) (err error) {
	switch x := src.(type) {
	case int64:
		*s.to = x
	case string:
		*s.to, err = strconv.ParseInt(x, 10, 64)
	default:
		err = fmt.Errorf("a sum is %T", src)
	}
	return err
}

type permissionForm struct {
	Resource string `json:"resource"`
	Action   string `json:"action"`
}

type permissionsForm struct {
	System  []permissionForm `json:"system"`
	Project []permissionForm `json:"project"`
}

// permissions are those that a robot can be given.
func (a *api) permissions(c *call) error {
	out := permissionsForm{System: []permissionForm{}, Project: []permissionForm{}}
	for scope, to := range map[role.Scope]*[]permissionForm{role.Global: &out.System, role.Project: &out.Project} {
		for _, pair := range robots.Pairs(scope) {
			resource, action, _ := strings.Cut(pair, ":")
			*to = append(*to, permissionForm{resource, action})
		}
	}
	return c.answer(http.StatusOK, out)
}
