package api

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/role"
)

func systemRoutes() []route {
	return []route{
		{method: "GET", path: "/ping", id: "getPing", run: (*api).ping},
		{method: "GET", path: "/health", id: "getHealth", run: (*api).health},
		{method: "GET", path: "/systeminfo", id: "getSystemInfo", run: (*api).systemInfo},
		{method: "GET", path: "/systeminfo/getcert", id: "getCert", run: (*api).certificate},
		{method: "GET", path: "/statistics", id: "getStatistic", signed: true, run: (*api).statistics},
		{method: "GET", path: "/permissions", id: "getPermissions", signed: true, run: (*api).permissions},
	}
}

func (a *api) ping(c *call) error {
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = c.w.Write([]byte("Pong"))
	return nil
}

// health tells of each part whether it works, as Harbor does: always with status 200. Why a part does not work is in the
// log, since anybody may ask.
func (a *api) health(c *call) error {
	type component struct {
		Name   string `json:"name"`
		Status string `json:"status"`
		Error  string `json:"error,omitempty"`
	}
	out := struct {
		Status     string      `json:"status"`
		Components []component `json:"components"`
	}{Status: "healthy", Components: []component{}}
	for name, err := range a.Health(c.r.Context()) {
		p := component{Name: name, Status: "healthy"}
		if err != nil {
			a.Log.Warn("part of the hub is not healthy", "part", name, "err", err)
			p.Status, p.Error, out.Status = "unhealthy", "it does not answer as it should; the hub's log says more", "unhealthy"
		}
		out.Components = append(out.Components, p)
	}
	slices.SortFunc(out.Components, func(x, y component) int { return strings.Compare(x.Name, y.Name) })
	return c.answer(http.StatusOK, out)
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
	info := map[string]any{"auth_mode": "oidc_auth", "self_registration": false, "project_creation_restriction": "adminonly",
		"registry_url": host, "external_url": "https://" + host, "has_ca_root": ca != nil, "read_only": false, "primary_auth_mode": false}
	if c.who.Known() { // strangers need not know what to look up faults for
		info["harbor_version"] = a.Version
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

// statistics counts what the caller sees.
func (a *api) statistics(c *call) error {
	n := map[string]int64{"private_project_count": 0, "public_project_count": 0, "private_repo_count": 0, "public_repo_count": 0}
	err := a.DB.QueryRow(c.r.Context(), `SELECT
			COALESCE(SUM(CASE WHEN public THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN public THEN 0 ELSE 1 END), 0),
			COALESCE(SUM(CASE WHEN public THEN repos ELSE 0 END), 0), COALESCE(SUM(CASE WHEN public THEN 0 ELSE repos END), 0), COALESCE(SUM(used), 0)
		FROM project WHERE `+people.Sees, c.who.ID).Scan(values(n, "public_project_count", "private_project_count", "public_repo_count",
		"private_repo_count", "total_storage_consumption")...)
	if err != nil {
		return err
	}
	n["total_project_count"] = n["public_project_count"] + n["private_project_count"]
	n["total_repo_count"] = n["public_repo_count"] + n["private_repo_count"]
	return c.answer(http.StatusOK, n)
}

// value scans a column into an entry of a map.
type value struct {
	m   map[string]int64
	key string
}

// Scan implements sql.Scanner. PostgreSQL gives sums as text.
func (v value) Scan(src any) error {
	switch x := src.(type) {
	case int64:
		v.m[v.key] = x
	case string:
		n, err := strconv.ParseInt(x, 10, 64)
		v.m[v.key] = n
		return err
	default:
		return fmt.Errorf("%s: a number is %T", v.key, src)
	}
	return nil
}

func values(m map[string]int64, keys ...string) []any {
	out := make([]any, len(keys))
	for i, k := range keys {
		out[i] = value{m, k}
	}
	return out
}

// permissions are those that a robot can be given.
func (a *api) permissions(c *call) error {
	type pair struct {
		Resource string `json:"resource"`
		Action   string `json:"action"`
	}
	out := map[string][]pair{"system": {}, "project": {}}
	for _, p := range role.All() {
		resource, action, _ := strings.Cut(p.String(), ":")
		scope := "project"
		if p.Row().Scope == role.Global {
			scope = "system"
		}
		out[scope] = append(out[scope], pair{resource, action})
	}
	return c.answer(http.StatusOK, out)
}
