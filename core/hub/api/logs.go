package api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/openvic/vic/core/hub/audit"
	"github.com/openvic/vic/core/hub/role"
)

func logRoutes() []route {
	const newer = "/auditlog-exts" // as Harbor calls them from 2.13 on
	return []route{
		{method: "GET", path: newer, id: "listAuditLogExts", needs: role.SystemLog, run: (*api).listLogs,
			says: "Search the log of the hub, the latest first", query: []string{"q:operation,resource_type,username,resource,op_time"}, gives: []line{}},
		{method: "GET", path: "/projects/{project}" + newer, id: "getLogExts", needs: role.ProjectLog, run: (*api).listLogs,
			says: "Search the log of a project, the latest first", query: []string{"q:operation,resource_type,username,resource,op_time"}, gives: []line{}},
		{method: "GET", path: "/audit-logs", id: "listAuditLogs", needs: role.SystemLog, run: (*api).listLogs,
			says: "Search the log of the hub, the latest first", query: []string{"q:operation,resource_type,username,resource,op_time"}, gives: []line{}},
		{method: "GET", path: "/projects/{project}/logs", id: "getLogs", needs: role.ProjectLog, run: (*api).listLogs,
			says: "Search the log of a project, the latest first", query: []string{"q:operation,resource_type,username,resource,op_time"}, gives: []line{}},
		{method: "GET", path: "/audit-logs/export/{format}", id: "exportAuditLogs", needs: role.SystemLog, run: (*api).exportLogs,
			says:  "Export the log of the hub, or what q finds of it, the oldest line first, as jsonl (a JSON object a line) or csv",
			query: []string{"q:operation,resource_type,username,resource,op_time"}, media: "application/octet-stream"},
		{method: "GET", path: "/projects/{project}/logs/export/{format}", id: "exportLogs", needs: role.ProjectLog, run: (*api).exportLogs,
			says:  "Export the log of a project, or what q finds of it, the oldest line first, as jsonl (a JSON object a line) or csv",
			query: []string{"q:operation,resource_type,username,resource,op_time"}, media: "application/octet-stream"},
	}
}

// line is Harbor's form of one; what is behind Time is ours.
type line struct {
	ID        int64  `json:"id"`
	User      string `json:"username"`
	Resource  string `json:"resource"`
	Type      string `json:"resource_type"`
	Operation string `json:"operation"`
	Time      string `json:"op_time"`
	Done      bool   `json:"operation_result"`
	Says      string `json:"operation_description"`
	By        string `json:"authentication"`
	Address   string `json:"address"`
	Agent     string `json:"agent"`
	Outcome   int    `json:"outcome"` // an HTTP status
	Detail    string `json:"detail,omitempty"`
}

func lineOf(x audit.Line) line {
	return line{x.ID, x.Caller.Name, x.Resource, x.Type, x.Operation, stamp(x.Time), x.Outcome < http.StatusBadRequest,
		x.Operation + " " + x.Type + " " + x.Resource, string(x.Caller.Method), x.Caller.Address, x.Agent, x.Outcome, x.Detail}
}

// logQuery reads the parameter q of a search.
func (c *call) logQuery() (audit.Query, error) {
	q, err := c.query("operation", "resource_type", "username", "resource", "op_time")
	if err != nil {
		return audit.Query{}, err
	}
	want := audit.Query{Project: c.project.ID, Operation: q["operation"], Type: q["resource_type"], Caller: q["username"], Resource: q["resource"]}
	if v := q["op_time"]; v != "" {
		want.From, want.To, err = span(v)
	}
	return want, err
}

// listLogs searches the log of the hub or of one project, the latest first.
func (a *api) listLogs(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	want, err := c.logQuery()
	if err != nil {
		return err
	}
	list, total, err := a.Audit.Search(c.r.Context(), want, p.size, p.offset())
	if err != nil {
		return err
	}
	out := []line{}
	for _, x := range list {
		out = append(out, lineOf(x))
	}
	return c.list(p, total, out)
}

// span reads "[from~to]", of which one may be missing: times as RFC 3339, "2006-01-02 15:04:05" or seconds since 1970.
func span(s string) (from, to time.Time, err error) {
	inner, ok := strings.CutPrefix(s, "[")
	inner, ok2 := strings.CutSuffix(inner, "]")
	a, b, ok3 := strings.Cut(inner, "~")
	if !ok || !ok2 || !ok3 {
		return from, to, badRequest("op_time: want [FROM~TO]")
	}
	if from, err = instant(a); err == nil {
		to, err = instant(b)
	}
	return from, to, err
}

func instant(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 && n < 1<<40 {
		return time.Unix(n, 0), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, badRequest("op_time: %.40q is no time", s)
}
