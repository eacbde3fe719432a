package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/bundle"
	"github.com/openvic/vic/core/hub/audit"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/systemlog"
)

// Support is what tells why a hub does not do as it should.
type Support struct {
	// Logs are the latest lines of this process and its plugins.
	Logs *systemlog.Log
	// Bundle gathers a log bundle for somebody, whose name is asked.
	Bundle func(ctx context.Context, who string) *bundle.Bundle

	one chan struct{} // a bundle is made
}

// NewSupport makes one.
func NewSupport(logs *systemlog.Log, gather func(ctx context.Context, who string) *bundle.Bundle) *Support {
	return &Support{Logs: logs, Bundle: gather, one: make(chan struct{}, 1)}
}

func supportRoutes() []route {
	return []route{
		{method: "GET", path: "/system/logs", id: "listSystemLogs", needs: role.SystemLog, run: (*api).listSystemLogs,
			says:  "Search the latest lines that the hub and its plugins have logged, the latest first",
			query: []string{"q:level,plugin,text,time", "after"}, gives: []systemLineForm{}},
		{method: "GET", path: "/system/support-bundle", id: "getSupportBundle", needs: role.SystemLog, run: (*api).getSupportBundle,
			says: "Get a log bundle, a tar.gz with logs, states and configuration, without secrets", media: "application/gzip"},
	}
}

// systemLineForm is a line of the hub's own log.
type systemLineForm struct {
	ID      int64  `json:"id"` // larger for a later line
	Time    string `json:"time"`
	Level   string `json:"level"`            // debug, info, warning or error
	Plugin  string `json:"plugin,omitempty"` // left out: the hub itself
	Message string `json:"message"`
	Fields  string `json:"fields,omitempty"` // KEY=VALUE ...
}

// levels are the words of the API, the worst first.
var levels = []struct {
	word  string
	level slog.Level
}{{"error", slog.LevelError}, {"warning", slog.LevelWarn}, {"info", slog.LevelInfo}, {"debug", slog.LevelDebug}}

func levelWord(l slog.Level) string {
	for _, x := range levels {
		if l >= x.level {
			return x.word
		}
	}
	return "debug"
}

func (a *api) listSystemLogs(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	want, err := c.systemLogQuery()
	if err != nil {
		return err
	}
	list, total := a.Support.Logs.Search(want, p.size, p.offset())
	out := []systemLineForm{}
	for _, x := range list {
		out = append(out, systemLineForm{x.ID, stamp(x.Time), levelWord(x.Level), x.Plugin, x.Message, x.Fields})
	}
	return c.list(p, total, out)
}

func (c *call) systemLogQuery() (want systemlog.Query, err error) {
	q, err := c.query("level", "plugin", "text", "time")
	if err != nil {
		return want, err
	}
	want.Plugin, want.Text = q["plugin"], q["text"]
	if v := q["level"]; v != "" {
		for _, x := range levels {
			if x.word == v {
				want.Level = &x.level
			}
		}
		if want.Level == nil {
			return want, badRequest("level: %.40q is not one of error, warning, info, debug", v)
		}
	}
	if v := q["time"]; v != "" {
		if want.From, want.To, err = span(v); err != nil {
			return want, err
		}
	}
	if v := c.r.URL.Query().Get("after"); v != "" {
		if want.After, err = strconv.ParseInt(v, 10, 64); err != nil || want.After < 0 {
			return want, badRequest("after: %.40q is no id of a line", v)
		}
	}
	return want, nil
}

// getSupportBundle makes a bundle; one at a time, since each is held in memory.
func (a *api) getSupportBundle(c *call) error {
	select {
	case a.Support.one <- struct{}{}:
		defer func() { <-a.Support.one }()
	default:
		return &Error{Status: http.StatusConflict, Code: "CONFLICT", Message: "another log bundle is being made; try again when it is done"}
	}
	ctx := c.r.Context()
	made := a.Support.Bundle(ctx, c.who.Name)
	name := "vic-hub-" + a.Now().UTC().Format("20060102T150405Z")
	h := c.w.Header()
	h.Set("Content-Type", "application/gzip")
	h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name+".tar.gz"))
	c.w.WriteHeader(http.StatusOK)
	err := made.Write(c.w, name, a.Now())
	a.Audit.Keep(context.WithoutCancel(ctx), audit.Line{
		Caller: access.Caller{Name: c.who.Name, Method: c.method, Session: c.session, Address: access.Address(c.r)},
		Agent:  c.r.UserAgent(), Operation: "read", Type: "support-bundle", Resource: name, Outcome: http.StatusOK, Time: a.Now().Truncate(time.Microsecond)})
	if err != nil {
		panic(http.ErrAbortHandler) // the client must not take what came for all
	}
	return nil
}
