package api

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/openvic/vic/core/hub/gc"
	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

func gcRoutes() []route {
	return []route{
		{method: "GET", path: "/system/gc", id: "getGCHistory", needs: role.GarbageCollection, run: (*api).listGC,
			says: "List the runs of garbage collection, the latest first", query: []string{"q:status,trigger"}, gives: []gcForm{}},
		{method: "GET", path: "/system/gc/schedule", id: "getGCSchedule", needs: role.GarbageCollection, run: (*api).getGCSchedule,
			says: "Get the schedule of garbage collection; an empty object if there is none", gives: gcScheduleForm{}},
		{method: "POST", path: "/system/gc/schedule", id: "createGCSchedule", needs: role.GarbageCollection, run: (*api).setGCSchedule,
			says: "Start a run of garbage collection (type Manual), or set its schedule", takes: gcRequest{}},
		{method: "PUT", path: "/system/gc/schedule", id: "updateGCSchedule", needs: role.GarbageCollection, run: (*api).setGCSchedule,
			says: "Set the schedule of garbage collection, or remove it (type None)", takes: gcRequest{}},
		{method: "GET", path: "/system/gc/{gc}", id: "getGC", needs: role.GarbageCollection, run: (*api).getGC,
			says: "Get a run of garbage collection, with what it has done so far", gives: gcForm{}},
		{method: "PUT", path: "/system/gc/{gc}", id: "stopGC", needs: role.GarbageCollection, run: (*api).stopGC,
			says: "Stop a run of garbage collection", status: http.StatusAccepted},
		{method: "GET", path: "/system/gc/{gc}/log", id: "getGCLog", needs: role.GarbageCollection, run: (*api).getGCLog,
			says: "Get the log of a run of garbage collection", media: "text/plain"},
	}
}

// gcRequest is Harbor's form of what is to be done, and when.
type gcRequest struct {
	Schedule   scheduleForm `json:"schedule"`
	Parameters gc.Params    `json:"parameters"`
}

// gcScheduleForm is Harbor's form of the schedule; without one all is left out.
type gcScheduleForm struct {
	ID         int64         `json:"id,omitempty"`
	Kind       string        `json:"job_kind,omitempty"`       // the cron text
	Parameters string        `json:"job_parameters,omitempty"` // JSON
	Schedule   *scheduleForm `json:"schedule,omitempty"`
	Created    string        `json:"creation_time,omitempty"`
	Updated    string        `json:"update_time,omitempty"`
}

// gcForm is Harbor's form of a run.
type gcForm struct {
	ID         int64        `json:"id"`
	Name       string       `json:"job_name"`
	Kind       string       `json:"job_kind"`       // MANUAL, SCHEDULE or EVENT
	Parameters string       `json:"job_parameters"` // JSON: what was asked for, and what was done so far
	Status     string       `json:"job_status"`
	Message    string       `json:"status_message,omitempty"` // ours: why it did not succeed
	Deleted    bool         `json:"deleted"`
	Schedule   scheduleForm `json:"schedule"`
	Created    string       `json:"creation_time"`
	Updated    string       `json:"update_time"`
}

// runOf makes the form of a run: Harbor's clients read what it did from job_parameters.
func (a *api) runOf(c *call, e jobs.Execution) (gcForm, error) {
	x := gcForm{ID: e.ID, Name: e.Kind, Kind: string(e.Cause), Status: string(e.Status), Message: e.Message, Created: stamp(e.Created), Updated: stamp(e.Ended)}
	x.Schedule.Type = string(e.Cause[:1]) + strings.ToLower(string(e.Cause[1:]))
	all := map[string]json.RawMessage{}
	tasks, _, err := a.Jobs.Tasks(c.r.Context(), e.ID, 1, 0)
	if err != nil {
		return x, err
	}
	parts := []json.RawMessage{e.Params}
	for _, t := range tasks {
		parts = append(parts, t.Report)
		if e.Ended.IsZero() {
			x.Updated = stamp(t.Updated)
		}
	}
	for _, p := range parts {
		if len(p) == 0 {
			continue
		}
		some := map[string]json.RawMessage{}
		if err := json.Unmarshal(p, &some); err != nil {
			return x, err
		}
		maps.Copy(all, some)
	}
	b, err := json.Marshal(all)
	x.Parameters = string(b)
	return x, err
}

func (a *api) listGC(c *call) error { return a.listRuns(c, gc.Kind) }

// listRuns lists the executions of a kind that has one task each.
func (a *api) listRuns(c *call, kind string) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	f, err := c.executionFilter(kind)
	if err != nil {
		return err
	}
	list, total, err := a.Jobs.Executions(c.r.Context(), f, p.size, p.offset())
	if err != nil {
		return err
	}
	out := []gcForm{}
	for _, e := range list {
		x, err := a.runOf(c, e)
		if err != nil {
			return err
		}
		out = append(out, x)
	}
	return c.list(p, total, out)
}

func (a *api) getGC(c *call) error {
	e, err := a.oneExecution(c, "gc", gc.Kind, nil)
	if err != nil {
		return err
	}
	x, err := a.runOf(c, e)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, x)
}

func (a *api) stopGC(c *call) error {
	e, err := a.oneExecution(c, "gc", gc.Kind, nil)
	if err != nil {
		return err
	}
	return a.stopExecution(c, e, http.StatusAccepted)
}

func (a *api) getGCLog(c *call) error {
	e, err := a.oneExecution(c, "gc", gc.Kind, nil)
	if err != nil {
		return err
	}
	tasks, _, err := a.Jobs.Tasks(c.r.Context(), e.ID, 1, 0)
	if err != nil || len(tasks) == 0 {
		return errors.Join(err, notFound("garbage collection %d has no log", e.ID))
	}
	return a.writeLog(c, tasks[0].ID)
}

// getGCSchedule answers with the schedule that users set; Harbor answers with an empty object if there is none.
func (a *api) getGCSchedule(c *call) error {
	s, err := a.Jobs.Schedule(c.r.Context(), a.DB, gc.Kind, gc.ByUser)
	if errors.Is(err, errdef.ErrNotFound) {
		return c.answer(http.StatusOK, gcScheduleForm{})
	}
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, keptSchedule(s))
}

// setGCSchedule starts a run, or sets or removes the schedule, by the type that is asked for, as Harbor does.
func (a *api) setGCSchedule(c *call) error {
	var want gcRequest
	if err := c.body(&want); err != nil {
		return err
	}
	types := append(slices.Sorted(maps.Keys(crons)), "Custom", "Manual", "None")
	if !slices.Contains(types, want.Schedule.Type) {
		return badRequest("schedule.type: want one of %s", strings.Join(types, ", "))
	}
	text, err := want.Schedule.cron()
	if err != nil {
		return err
	}
	var id int64
	err = a.DB.Tx(c.r.Context(), func(tx *store.Tx) (err error) {
		switch want.Schedule.Type {
		case "Manual":
			id, err = gc.Start(tx, a.Jobs, jobs.ByHand, gc.ByUser, want.Parameters)
		case "None":
			err = a.Jobs.Unschedule(tx, gc.Kind, gc.ByUser)
		default:
			err = a.Jobs.SetSchedule(tx, gc.Kind, gc.ByUser, text, want.Parameters)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case id != 0:
		return c.created("/system/gc/%d", id)
	case c.r.Method == http.MethodPost:
		return c.created("/system/gc/schedule")
	}
	return c.empty(http.StatusOK)
}
