package api

import (
	"net/http"
	"time"

	"github.com/openvic/vic/core/hub/cveallow"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/store"
)

func allowlistRoutes() []route {
	return []route{
		{method: "GET", path: "/system/CVEAllowlist", id: "getSystemCVEAllowlist", signed: true, run: (*api).systemAllowlist,
			says: "Tell which vulnerabilities are allowed in projects that have no list of their own", gives: allowlistForm{}},
		{method: "PUT", path: "/system/CVEAllowlist", id: "putSystemCVEAllowlist", needs: role.Configuration, run: (*api).setSystemAllowlist,
			says: "Set which vulnerabilities are allowed in projects that have no list of their own", takes: allowlistRequest{}},
	}
}

// allowlistItem is Harbor's form of one vulnerability.
type allowlistItem struct {
	CVE string `json:"cve_id"`
}

// allowlistForm is Harbor's form of a list; its expiry is in seconds, null for never.
type allowlistForm struct {
	ID      int64           `json:"id"`
	Project int64           `json:"project_id"`
	Expires *int64          `json:"expires_at"`
	Items   []allowlistItem `json:"items"`
	Created string          `json:"creation_time,omitempty"`
	Updated string          `json:"update_time,omitempty"`
}

func allowlistOf(l cveallow.List) allowlistForm {
	out := allowlistForm{ID: l.ID, Project: l.Project, Items: make([]allowlistItem, len(l.Items))}
	for i, item := range l.Items {
		out.Items[i].CVE = item
	}
	if !l.Expires.IsZero() {
		n := l.Expires.Unix()
		out.Expires = &n
	}
	if l.ID != 0 {
		out.Created, out.Updated = stamp(l.Created), stamp(l.Updated)
	}
	return out
}

// allowlistRequest is what a client sends to set one.
type allowlistRequest struct {
	Expires *int64          `json:"expires_at"` // seconds; 0 and none: never
	Items   []allowlistItem `json:"items"`
}

// keepAllowlist sets the list of a project, or of the whole hub, within a transaction. nil leaves it as it is.
func (a *api) keepAllowlist(tx *store.Tx, project int64, q *allowlistRequest) error {
	if q == nil {
		return nil
	}
	l := cveallow.List{Project: project}
	for _, item := range q.Items {
		l.Items = append(l.Items, item.CVE)
	}
	if q.Expires != nil && *q.Expires != 0 {
		if *q.Expires < 0 || *q.Expires > maxSeconds {
			return badRequest("expires_at: want seconds since 1970, or nothing for never")
		}
		l.Expires = time.Unix(*q.Expires, 0)
	}
	return a.Allowlists.Keep(tx, l)
}

// maxSeconds is the end of the year 9999, the last that a time is written with.
const maxSeconds = 253402300799

func (a *api) systemAllowlist(c *call) error {
	l, err := a.Allowlists.Of(c.r.Context(), a.DB, cveallow.Hub)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, allowlistOf(l))
}

func (a *api) setSystemAllowlist(c *call) error {
	var q allowlistRequest
	if err := c.body(&q); err != nil {
		return err
	}
	if err := a.DB.Tx(c.r.Context(), func(tx *store.Tx) error { return a.keepAllowlist(tx, cveallow.Hub, &q) }); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}
