package api

import (
	"errors"
	"net/http"

	"github.com/openvic/vic/core/hub/audit"
	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/sdk/errdef"
)

func purgeRoutes() []route {
	const schedule, one = "/system/purgeaudit/schedule", "/system/purgeaudit/{purge}"
	return []route{
		{method: "GET", path: "/system/purgeaudit", id: "getPurgeHistory", needs: role.Configuration, run: (*api).listPurges,
			says: "List the runs that forgot old lines of the audit log, the latest first", query: []string{"q:status,trigger"}, gives: []gcForm{}},
		{method: "GET", path: schedule, id: "getPurgeSchedule", needs: role.Configuration, run: (*api).getPurgeSchedule,
			says: "Tell when old lines of the audit log are forgotten; an empty object if they are kept for ever", gives: gcScheduleForm{}},
		{method: "POST", path: schedule, id: "createPurgeSchedule", needs: role.Configuration, run: (*api).refusePurge,
			says: "Refused: hub.toml alone says how long the audit log is kept", takes: purgeRequest{}},
		{method: "PUT", path: schedule, id: "updatePurgeSchedule", needs: role.Configuration, run: (*api).refusePurge,
			says: "Refused: hub.toml alone says how long the audit log is kept", takes: purgeRequest{}},
		{method: "GET", path: one, id: "getPurgeJob", needs: role.Configuration, run: (*api).getPurge,
			says: "Get a run that forgot old lines of the audit log", gives: gcForm{}},
		{method: "GET", path: one + "/log", id: "getPurgeJobLog", needs: role.Configuration, run: (*api).getPurgeLog,
			says: "Get the log of such a run", media: "text/plain"},
	}
}

// purgeRequest is Harbor's form of what is not taken here.
type purgeRequest struct {
	Schedule   scheduleForm   `json:"schedule"`
	Parameters map[string]any `json:"parameters"`
}

// refusePurge keeps those whose doings the log tells from shortening it.
func (*api) refusePurge(*call) error {
	return badRequest("the audit log is kept for [audit] keep_days of hub.toml, which nobody changes by the API: it tells what they did there")
}

func (a *api) listPurges(c *call) error { return a.listRuns(c, audit.Purge) }

func (a *api) getPurge(c *call) error {
	e, err := a.oneExecution(c, "purge", audit.Purge, nil)
	if err != nil {
		return err
	}
	x, err := a.runOf(c, e)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, x)
}

func (a *api) getPurgeLog(c *call) error {
	e, err := a.oneExecution(c, "purge", audit.Purge, nil)
	if err != nil {
		return err
	}
	return a.writeRunLog(c, e)
}

func (a *api) getPurgeSchedule(c *call) error {
	s, err := a.Jobs.Schedule(c.r.Context(), a.DB, audit.Purge, 0)
	if errors.Is(err, errdef.ErrNotFound) {
		return c.answer(http.StatusOK, gcScheduleForm{})
	}
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, keptSchedule(s))
}

func keptSchedule(s jobs.Schedule) gcScheduleForm {
	form := scheduleOf(s)
	return gcScheduleForm{ID: s.ID, Kind: s.Cron, Parameters: string(s.Params), Schedule: &form, Created: stamp(s.Created), Updated: stamp(s.Updated)}
}
