package api

import (
	"net/http"
	"strings"
	"time"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/role"
)

func queueRoutes() []route {
	const one = "/jobservice/jobs/{execution}"
	return []route{
		{method: "GET", path: "/jobservice/queues", id: "listJobQueues", needs: role.Configuration, run: (*api).listQueues,
			says: "Tell of each kind of work how much waits, and for how long", gives: []queueForm{}, whole: true},
		{method: "GET", path: "/jobservice/jobs", id: "listJobs", needs: role.Configuration, run: (*api).listJobs,
			says: "List the work of all kinds, the latest first", query: []string{"q:vendor_type,status,trigger"}, gives: []executionForm{}},
		{method: "GET", path: one, id: "getJob", needs: role.Configuration, run: (*api).getJob,
			says: "Get one piece of work", gives: executionForm{}},
		{method: "PUT", path: one, id: "actionJob", needs: role.Configuration, run: (*api).stopJob,
			says: "Stop one", status: http.StatusAccepted},
		{method: "GET", path: one + "/log", id: "actionGetJobLog", needs: role.Configuration, run: (*api).getJobLog,
			says: "Get the logs of the first hundred tasks of one", media: "text/plain"},
	}
}

// queueForm is Harbor's form of a kind of work; none is ever paused.
type queueForm struct {
	Kind    string `json:"job_type"`
	Count   int64  `json:"count"`
	Latency int64  `json:"latency"` // seconds that the oldest has been due for
	Paused  bool   `json:"paused"`
}

func (a *api) listQueues(c *call) error {
	all, err := a.Jobs.Waiting(c.r.Context())
	if err != nil {
		return err
	}
	out := []queueForm{}
	for _, x := range all {
		f := queueForm{Kind: x.Kind, Count: x.Tasks}
		if x.Tasks > 0 {
			f.Latency = max(0, int64(a.Now().Sub(x.Due)/time.Second))
		}
		out = append(out, f)
	}
	return c.answer(http.StatusOK, out)
}

func (a *api) listJobs(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	q, err := c.query("vendor_type", "status", "trigger")
	if err != nil {
		return err
	}
	f := jobs.Filter{Kind: q["vendor_type"], Status: jobs.Status(q["status"]), Cause: jobs.Cause(strings.ToUpper(q["trigger"]))}
	list, total, err := a.Jobs.Executions(c.r.Context(), f, p.size, p.offset())
	if err != nil {
		return err
	}
	out := []executionForm{}
	for _, e := range list {
		out = append(out, executionOf(e))
	}
	return c.list(p, total, out)
}

func (a *api) job(c *call) (jobs.Execution, error) {
	n, err := c.number("execution")
	if err != nil {
		return jobs.Execution{}, err
	}
	return a.Jobs.Execution(c.r.Context(), a.DB, n)
}

func (a *api) getJob(c *call) error {
	e, err := a.job(c)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, executionOf(e))
}

func (a *api) stopJob(c *call) error {
	e, err := a.job(c)
	if err != nil {
		return err
	}
	return a.stopExecution(c, e, http.StatusAccepted)
}

func (a *api) getJobLog(c *call) error {
	e, err := a.job(c)
	if err != nil {
		return err
	}
	return a.writeRunLog(c, e)
}

// maxLogs is of how many tasks one answer has the logs.
const maxLogs = 100

// writeRunLog answers with the logs of an execution's tasks, one after the other.
func (a *api) writeRunLog(c *call, e jobs.Execution) error {
	tasks, _, err := a.Jobs.Tasks(c.r.Context(), e.ID, maxLogs, 0)
	if err != nil {
		return err
	}
	if len(tasks) == 0 {
		return notFound("execution %d has no log", e.ID)
	}
	var lines []jobs.LogLine
	for _, t := range tasks {
		some, err := a.Jobs.TaskLog(c.r.Context(), t.ID)
		if err != nil {
			return err
		}
		lines = append(lines, some...)
	}
	return writeLines(c, lines)
}
