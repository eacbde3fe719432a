package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/replication"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Harbor's words for states and triggers of replication, which differ from those of other jobs.
var (
	replicationStates = map[jobs.Status]string{jobs.Pending: "Pending", jobs.Running: "InProgress", jobs.Success: "Succeed", jobs.Error: "Failed",
		jobs.Stopped: "Stopped"}
	replicationCauses = map[jobs.Cause]string{jobs.ByHand: "manual", jobs.BySchedule: "scheduled", jobs.ByEvent: "event_based"}
)

// replicationRunForm is Harbor's form of a run.
type replicationRunForm struct {
	ID         int64  `json:"id"`
	PolicyID   int64  `json:"policy_id"`
	Status     string `json:"status"` // Pending, InProgress, Succeed, Failed or Stopped
	StatusText string `json:"status_text"`
	Trigger    string `json:"trigger"`
	Start      string `json:"start_time"`
	End        string `json:"end_time,omitempty"`
	Total      int64  `json:"total"`
	Succeed    int64  `json:"succeed"`
	Failed     int64  `json:"failed"`
	InProgress int64  `json:"in_progress"`
	Stopped    int64  `json:"stopped"`
}

func replicationRunOf(e jobs.Execution) replicationRunForm {
	return replicationRunForm{ID: e.ID, PolicyID: e.Subject, Status: replicationStates[e.Status], StatusText: e.Message, Trigger: replicationCauses[e.Cause],
		Start: stamp(e.Created), End: stampOrNone(e.Ended), Total: e.Tasks, Succeed: e.Succeeded, Failed: e.Failed, Stopped: e.Stopped,
		InProgress: e.Tasks - e.Succeeded - e.Failed - e.Stopped}
}

func (a *api) listReplicationRuns(c *call) error {
	pg, err := c.page()
	if err != nil {
		return err
	}
	f := jobs.Filter{Kind: replication.Kind}
	q := c.r.URL.Query()
	if s := q.Get("policy_id"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return badRequest("policy_id: want a number")
		}
		f.Subject = &n
	}
	if s := q.Get("status"); s != "" {
		for status, word := range replicationStates {
			if strings.EqualFold(s, word) || strings.EqualFold(s, string(status)) {
				f.Status = status
			}
		}
		if f.Status == "" {
			return badRequest("status: want InProgress, Succeed, Failed or Stopped")
		}
	}
	if s := q.Get("trigger"); s != "" {
		for cause, word := range replicationCauses {
			if strings.EqualFold(s, word) {
				f.Cause = cause
			}
		}
		if f.Cause == "" {
			return badRequest("trigger: want manual, scheduled or event_based")
		}
	}
	list, total, err := a.Jobs.Executions(c.r.Context(), f, pg.size, pg.offset())
	if err != nil {
		return err
	}
	out := []replicationRunForm{}
	for _, e := range list {
		out = append(out, replicationRunOf(e))
	}
	return c.list(pg, total, out)
}

// replicationRun is the execution of the path.
func (a *api) replicationRun(c *call) (jobs.Execution, error) {
	return a.oneExecution(c, "execution", replication.Kind, nil)
}

func (a *api) getReplicationRun(c *call) error {
	e, err := a.replicationRun(c)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, replicationRunOf(e))
}

func (a *api) stopReplication(c *call) error {
	e, err := a.replicationRun(c)
	if err != nil {
		return err
	}
	return a.stopExecution(c, e, http.StatusOK)
}

func (a *api) retryReplication(c *call) error {
	e, err := a.replicationRun(c)
	if err != nil {
		return err
	}
	err = a.DB.Tx(c.r.Context(), func(tx *store.Tx) error { return a.Jobs.Retry(tx, e.ID) })
	if errors.Is(err, errdef.ErrConflict) {
		return &Error{http.StatusPreconditionFailed, "PRECONDITION", err.Error()}
	}
	if err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

// replicationTaskForm is Harbor's form of what a run does with one artifact; from sent on ours.
type replicationTaskForm struct {
	ID        int64  `json:"id"`
	Execution int64  `json:"execution_id"`
	Status    string `json:"status"`
	JobID     string `json:"job_id"`
	Operation string `json:"operation"` // copy or deletion; find for the task that finds the artifacts
	Resource  string `json:"resource_type"`
	From      string `json:"src_resource"`
	To        string `json:"dst_resource"`
	Start     string `json:"start_time,omitempty"`
	End       string `json:"end_time,omitempty"`
	Message   string `json:"status_message,omitempty"`
	Runs      int    `json:"run_count"`
	Sent      int64  `json:"sent"`    // bytes
	Skipped   int64  `json:"skipped"` // bytes that the destination had
	Done      int64  `json:"done"`    // bytes of both, of the attempt under way
	Total     int64  `json:"total"`
	Referrers int    `json:"referrers"`
}

func replicationTaskOf(t jobs.Task) (replicationTaskForm, error) {
	f := replicationTaskForm{ID: t.ID, Execution: t.Execution, Status: replicationStates[t.Status], JobID: strconv.FormatInt(t.ID, 10), Operation: "find",
		Resource: replication.Image, Start: stampOrNone(t.Started), End: stampOrNone(t.Ended), Message: t.Message, Runs: t.Run, Done: t.Done, Total: t.Total}
	w, err := replication.Describe(t.Payload)
	if err != nil || w.Operation == "" {
		return f, err
	}
	names := func(repository string) string {
		if len(w.Tags) == 0 {
			return repository + "@" + w.Digest
		}
		return repository + " [" + strings.Join(w.Tags, ", ") + "]"
	}
	f.Operation, f.From, f.To = w.Operation, names(w.Repository), names(w.To)
	if len(t.Report) == 0 {
		return f, nil
	}
	var r replication.Report
	if err := json.Unmarshal(t.Report, &r); err != nil {
		return f, err
	}
	f.Sent, f.Skipped, f.Referrers = r.Sent, r.Skipped, r.Referrers
	return f, nil
}

func (a *api) listReplicationTasks(c *call) error {
	pg, err := c.page()
	if err != nil {
		return err
	}
	e, err := a.replicationRun(c)
	if err != nil {
		return err
	}
	list, total, err := a.Jobs.Tasks(c.r.Context(), e.ID, pg.size, pg.offset())
	if err != nil {
		return err
	}
	out := []replicationTaskForm{}
	for _, t := range list {
		f, err := replicationTaskOf(t)
		if err != nil {
			return err
		}
		out = append(out, f)
	}
	return c.list(pg, total, out)
}

func (a *api) replicationLog(c *call) error {
	e, err := a.replicationRun(c)
	if err != nil {
		return err
	}
	return a.writeTaskLog(c, e.ID)
}
