package api

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/scanning"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

func scanAllRoutes() []route {
	const at = "/system/scanAll"
	return []route{
		{method: "GET", path: at + "/schedule", id: "getScanAllSchedule", needs: role.ScannerManage, run: (*api).getScanAllSchedule,
			says: "Get the schedule of scans of all images; an empty object if there is none", gives: scanAllScheduleForm{}},
		{method: "POST", path: at + "/schedule", id: "createScanAllSchedule", needs: role.ScannerManage, run: (*api).setScanAllSchedule,
			says: "Scan all images (type Manual), or set the schedule of that", takes: scanAllRequest{}},
		{method: "PUT", path: at + "/schedule", id: "updateScanAllSchedule", needs: role.ScannerManage, run: (*api).setScanAllSchedule,
			says: "Set the schedule of scans of all images, or remove it (type None)", takes: scanAllRequest{}},
		{method: "POST", path: at + "/stop", id: "stopScanAll", needs: role.ScannerManage, run: (*api).stopScanAll,
			says: "Stop the scan of all images", status: http.StatusAccepted},
		{method: "GET", path: "/scans/all/metrics", id: "getLatestScanAllMetrics", needs: role.ScannerManage, run: (*api).scanAllMetrics,
			says: "Tell how far the last scan of all images is", gives: scanMetricsForm{}},
		{method: "GET", path: "/scans/schedule/metrics", id: "getLatestScheduledScanAllMetrics", needs: role.ScannerManage, run: (*api).scheduledScanMetrics,
			says: "Tell how far the last scheduled scan of all images is", gives: scanMetricsForm{}},
	}
}

// scanAllRequest is Harbor's.
type scanAllRequest struct {
	Schedule scheduleForm `json:"schedule"`
}

// scanAllScheduleForm is Harbor's form of the schedule; without one all is left out.
type scanAllScheduleForm struct {
	ID       int64         `json:"id,omitempty"`
	Kind     string        `json:"job_kind,omitempty"` // the cron text
	Schedule *scheduleForm `json:"schedule,omitempty"`
	Created  string        `json:"creation_time,omitempty"`
	Updated  string        `json:"update_time,omitempty"`
}

// scanMetricsForm is Harbor's form of how far a scan of all is.
type scanMetricsForm struct {
	Total     int64            `json:"total"`
	Completed int64            `json:"completed"`
	Metrics   map[string]int64 `json:"metrics"` // by status
	Ongoing   bool             `json:"ongoing"`
	Trigger   string           `json:"trigger"`
}

func (a *api) getScanAllSchedule(c *call) error {
	s, err := a.Jobs.Schedule(c.r.Context(), a.DB, scanning.All, 0)
	if errors.Is(err, errdef.ErrNotFound) {
		return c.answer(http.StatusOK, scanAllScheduleForm{})
	}
	if err != nil {
		return err
	}
	form := scheduleOf(s)
	return c.answer(http.StatusOK, scanAllScheduleForm{ID: s.ID, Kind: s.Cron, Schedule: &form, Created: stamp(s.Created), Updated: stamp(s.Updated)})
}

// setScanAllSchedule starts a scan, or sets or removes the schedule, by the type that is asked for, as Harbor does.
func (a *api) setScanAllSchedule(c *call) error {
	var want scanAllRequest
	if err := c.body(&want); err != nil {
		return err
	}
	types := append(slices.Sorted(maps.Keys(crons)), "Custom", "Manual", "None")
	if !slices.Contains(types, want.Schedule.Type) {
		return badRequest("schedule.type: want one of %s", strings.Join(types, ", "))
	}
	if want.Schedule.Type == "Manual" {
		if _, err := a.Scanning.StartAll(c.r.Context(), 0, jobs.ByHand); err != nil {
			return err
		}
		return c.created("/system/scanAll/schedule")
	}
	text, err := want.Schedule.cron()
	if err != nil {
		return err
	}
	err = a.DB.Tx(c.r.Context(), func(tx *store.Tx) error {
		if want.Schedule.Type == "None" {
			return a.Jobs.Unschedule(tx, scanning.All, 0)
		}
		return a.Jobs.SetSchedule(tx, scanning.All, 0, text, nil)
	})
	switch {
	case err != nil:
		return err
	case c.r.Method == http.MethodPost:
		return c.created("/system/scanAll/schedule")
	}
	return c.empty(http.StatusOK)
}

// lastScanAll is the last scan of all images of the hub; errdef.ErrNotFound.
func (a *api) lastScanAll(c *call, cause jobs.Cause) (jobs.Execution, error) {
	hub := int64(0)
	list, _, err := a.Jobs.Executions(c.r.Context(), jobs.Filter{Kind: scanning.All, Subject: &hub, Cause: cause}, 1, 0)
	if err != nil {
		return jobs.Execution{}, err
	}
	if len(list) == 0 {
		return jobs.Execution{}, notFound("nobody has had all images scanned")
	}
	return list[0], nil
}

func (a *api) stopScanAll(c *call) error {
	e, err := a.lastScanAll(c, "")
	if err != nil {
		return err
	}
	return a.stopExecution(c, e, http.StatusAccepted)
}

func (a *api) scanAllMetrics(c *call) error { return a.scanMetrics(c, "") }

func (a *api) scheduledScanMetrics(c *call) error { return a.scanMetrics(c, jobs.BySchedule) }

func (a *api) scanMetrics(c *call, cause jobs.Cause) error {
	e, err := a.lastScanAll(c, cause)
	var none *Error
	if errors.As(err, &none) {
		return c.answer(http.StatusOK, scanMetricsForm{Metrics: map[string]int64{}})
	}
	if err != nil {
		return err
	}
	// The first task finds the images, and is none itself.
	out := scanMetricsForm{Total: max(0, e.Tasks-1), Ongoing: !e.Status.Ended(), Trigger: string(e.Cause), Metrics: map[string]int64{}}
	done := e.Succeeded + e.Failed + e.Stopped
	out.Completed = max(0, done-1)
	counts := map[jobs.Status]int64{jobs.Success: max(0, e.Succeeded-1), jobs.Error: e.Failed, jobs.Stopped: e.Stopped, jobs.Running: e.Tasks - done}
	for status, n := range counts {
		if n > 0 {
			out.Metrics[string(status)] = n
		}
	}
	return c.answer(http.StatusOK, out)
}
