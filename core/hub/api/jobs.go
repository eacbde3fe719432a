package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

func jobRoutes() []route {
	return []route{
		{method: "GET", path: "/schedules", id: "listSchedules", needs: role.Configuration, run: (*api).listSchedules,
			says: "List what begins by itself, and when", gives: []scheduledForm{}},
	}
}

// schedule is Harbor's form of when something begins by itself.
type scheduleForm struct {
	Type string `json:"type"` // Hourly, Daily, Weekly, Custom, Manual or None
	Cron string `json:"cron"`
	Next string `json:"next_scheduled_time,omitempty"`
}

// crons are the schedules that have a name, all in UTC.
var crons = map[string]string{"Hourly": "0 0 * * * *", "Daily": "0 0 0 * * *", "Weekly": "0 0 0 * * 0"}

// cron is the cron text of a schedule: the given one, or that of its name.
func (s scheduleForm) cron() (string, error) {
	if s.Type == "Custom" && s.Cron == "" {
		return "", badRequest("schedule.cron: is empty: a schedule of type Custom has six fields, as in \"0 0 2 * * *\"")
	}
	if s.Cron != "" {
		return s.Cron, nil
	}
	return crons[s.Type], nil
}

// scheduleOf is the form of a schedule that is kept.
func scheduleOf(s jobs.Schedule) scheduleForm {
	out := scheduleForm{Type: "Custom", Cron: s.Cron, Next: stamp(s.Next)}
	for name, text := range crons {
		if text == s.Cron {
			out.Type = name
		}
	}
	return out
}

// scheduledForm is Harbor's form of a schedule with what it is for.
type scheduledForm struct {
	ID      int64  `json:"id"`
	Kind    string `json:"vendor_type"`
	Subject int64  `json:"vendor_id"`
	Extra   any    `json:"extra_attrs"`
	Cron    string `json:"cron"`
	Next    string `json:"next_scheduled_time"`
	Created string `json:"creation_time"`
	Updated string `json:"update_time"`
}

func (a *api) listSchedules(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	list, total, err := a.Jobs.Schedules(c.r.Context(), p.size, p.offset())
	if err != nil {
		return err
	}
	out := []scheduledForm{}
	for _, s := range list {
		out = append(out, scheduledForm{s.ID, s.Kind, s.Subject, s.Params, s.Cron, stamp(s.Next), stamp(s.Created), stamp(s.Updated)})
	}
	return c.list(p, total, out)
}

// execution is Harbor's form of one.
type executionForm struct {
	ID      int64            `json:"id"`
	Kind    string           `json:"vendor_type"`
	Subject int64            `json:"vendor_id"`
	Status  jobs.Status      `json:"status"`
	Message string           `json:"status_message"`
	Metrics map[string]int64 `json:"metrics"`
	Cause   jobs.Cause       `json:"trigger"`
	Extra   any              `json:"extra_attrs"`
	Start   string           `json:"start_time"`
	End     string           `json:"end_time,omitempty"`
}

func executionOf(e jobs.Execution) executionForm {
	open := e.Tasks - e.Succeeded - e.Failed - e.Stopped
	metrics := map[string]int64{"task_count": e.Tasks, "success_task_count": e.Succeeded, "error_task_count": e.Failed, "stopped_task_count": e.Stopped,
		"pending_task_count": 0, "running_task_count": 0}
	if e.Status == jobs.Pending {
		metrics["pending_task_count"] = open
	} else {
		metrics["running_task_count"] = open
	}
	x := executionForm{ID: e.ID, Kind: e.Kind, Subject: e.Subject, Status: e.Status, Message: e.Message, Metrics: metrics, Cause: e.Cause, Extra: e.Params,
		Start: stamp(e.Created)}
	if !e.Ended.IsZero() {
		x.End = stamp(e.Ended)
	}
	return x
}

// task is Harbor's form of one.
type taskForm struct {
	ID        int64       `json:"id"`
	Execution int64       `json:"execution_id"`
	Status    jobs.Status `json:"status"`
	Message   string      `json:"status_message"`
	Runs      int         `json:"run_count"`
	Extra     any         `json:"extra_attrs"`
	Done      int64       `json:"done"`
	Total     int64       `json:"total"`
	Created   string      `json:"creation_time"`
	Start     string      `json:"start_time,omitempty"`
	Updated   string      `json:"update_time"`
	End       string      `json:"end_time,omitempty"`
}

// taskOf makes the form of a task; extra is what its kind shows of it.
func taskOf(t jobs.Task, extra any) taskForm {
	x := taskForm{ID: t.ID, Execution: t.Execution, Status: t.Status, Message: t.Message, Runs: t.Run, Extra: extra, Done: t.Done, Total: t.Total,
		Created: stamp(t.Created), Updated: stamp(t.Updated)}
	if !t.Started.IsZero() {
		x.Start = stamp(t.Started)
	}
	if !t.Ended.IsZero() {
		x.End = stamp(t.Ended)
	}
	return x
}

// executionFilter reads the parameter q of a list of executions.
func (c *call) executionFilter(kind string) (jobs.Filter, error) {
	q, err := c.query("status", "trigger")
	return jobs.Filter{Kind: kind, Status: jobs.Status(q["status"]), Cause: jobs.Cause(strings.ToUpper(q["trigger"]))}, err
}

// oneExecution finds an execution of a kind, and of a subject unless that is nil.
func (a *api) oneExecution(c *call, name, kind string, subject *int64) (jobs.Execution, error) {
	n, err := c.number(name)
	if err != nil {
		return jobs.Execution{}, err
	}
	e, err := a.Jobs.Execution(c.r.Context(), a.DB, n)
	if err == nil && (e.Kind != kind || subject != nil && e.Subject != *subject) {
		return e, notFound("execution %d not found", n)
	}
	return e, err
}

// stopExecution stops one and answers; code is Harbor's.
func (a *api) stopExecution(c *call, e jobs.Execution, code int) error {
	if err := a.DB.Tx(c.r.Context(), func(tx *store.Tx) error { return a.Jobs.Stop(tx, e.ID) }); err != nil {
		return err
	}
	return c.empty(code)
}

// writeTaskLog answers with the log of the task that the path names, which is one of an execution.
func (a *api) writeTaskLog(c *call, execution int64) error {
	n, err := c.number("task")
	if err != nil {
		return err
	}
	t, err := a.Jobs.Task(c.r.Context(), n)
	if errors.Is(err, errdef.ErrNotFound) || err == nil && t.Execution != execution {
		return notFound("task %d not found", n)
	}
	if err != nil {
		return err
	}
	return a.writeLog(c, t.ID)
}

// writeLog answers with the log of a task as text.
func (a *api) writeLog(c *call, id int64) error {
	lines, err := a.Jobs.TaskLog(c.r.Context(), id)
	if err != nil {
		return err
	}
	return writeLines(c, lines)
}

func writeLines(c *call, lines []jobs.LogLine) error {
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	c.w.WriteHeader(http.StatusOK)
	for _, l := range lines {
		if _, err := fmt.Fprintf(c.w, "%s %s\n", l.Time.UTC().Format(time.RFC3339), oneLine(l.Text)); err != nil {
			return nil // the client has gone
		}
	}
	return nil
}

// oneLine keeps a text from looking like several lines.
func oneLine(s string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(s) }
