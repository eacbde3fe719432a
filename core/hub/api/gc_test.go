package api

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/openvic/vic/core/hub/gc"
	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

// work does the jobs that wait until the test ends.
func (r *rig) work() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { r.jobs.Run(ctx); close(done) }()
	r.t.Cleanup(func() { cancel(); <-done })
}

func eachRig(t *testing.T, test func(r *rig)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, _ func(...store.Schema) *store.Store) {
		test(newRig(t, storetest.URL(t, t.Name()[strings.LastIndex(t.Name(), "/")+1:])))
	})
}

func TestGarbageCollectionByTheAPI(t *testing.T) {
	eachRig(t, func(r *rig) {
		const admin = "cloud-admin"
		header := r.api(admin, "POST", "/system/gc/schedule", `{"schedule":{"type":"Manual"},"parameters":{"dry_run":true,"delete_untagged":true}}`, 201, nil)
		at := strings.TrimPrefix(header.Get("Location"), Prefix)
		r.api(admin, "POST", "/system/gc/schedule", `{"schedule":{"type":"Manual"}}`, 409, nil)
		var x gcForm
		if r.api(admin, "GET", at, "", 200, &x); x.Status != "Pending" || x.Kind != "MANUAL" || x.Schedule.Type != "Manual" || x.Name != gc.Kind {
			r.t.Errorf("%+v", x)
		}
		r.api(admin, "PUT", at, "", 202, nil)
		if r.api(admin, "GET", at, "", 200, &x); x.Status != "Stopped" {
			r.t.Errorf("%+v", x)
		}

		header = r.api(admin, "POST", "/system/gc/schedule", `{"schedule":{"type":"Manual"},"parameters":{"dry_run":true,"delete_untagged":true}}`, 201, nil)
		at = strings.TrimPrefix(header.Get("Location"), Prefix)
		r.work()
		for x.Status = ""; !jobs.Status(x.Status).Ended(); {
			r.api(admin, "GET", at, "", 200, &x)
		}
		var did struct {
			gc.Params
			Freed *int64 `json:"freed_space"`
		}
		must(r.t, json.Unmarshal([]byte(x.Parameters), &did))
		if x.Status != "Success" || !did.DryRun || !did.Untagged || did.Freed == nil {
			r.t.Errorf("%+v %+v", x, did)
		}
		if status, _, text := r.do(admin, "GET", Prefix+at+"/log", "", ""); status != 200 || !strings.Contains(text, "dry run: true") || !strings.Contains(text, "would remove 0 objects") {
			r.t.Errorf("%d %s", status, text)
		}
		var list []gcForm
		if header := r.api(admin, "GET", "/system/gc?page_size=1", "", 200, &list); len(list) != 1 || list[0].ID != x.ID || header.Get("X-Total-Count") != "2" {
			r.t.Errorf("%+v", list)
		}
		if r.api(admin, "GET", "/system/gc?q=status=Stopped", "", 200, &list); len(list) != 1 {
			r.t.Errorf("%+v", list)
		}
		r.api(admin, "GET", "/system/gc/4711", "", 404, nil)
		r.api(admin, "GET", "/system/gc/x", "", 400, nil)
	})
}

func TestScheduleOfGarbageCollection(t *testing.T) {
	eachRig(t, func(r *rig) {
		const admin = "cloud-admin"
		if _, _, text := r.do(admin, "GET", Prefix+"/system/gc/schedule", "", ""); text != "{}\n" {
			r.t.Error(text)
		}
		var x gcScheduleForm
		for _, c := range []struct{ method, body, kind, cron string }{
			{"POST", `{"schedule":{"type":"Daily","cron":"0 0 0 * * *"},"parameters":{"delete_untagged":true}}`, "Daily", "0 0 0 * * *"},
			{"PUT", `{"schedule":{"type":"Weekly"}}`, "Weekly", "0 0 0 * * 0"},
			{"PUT", `{"schedule":{"type":"Custom","cron":"0 30  4 * * 1-5"}}`, "Custom", "0 30 4 * * 1-5"},
		} {
			r.api(admin, c.method, "/system/gc/schedule", c.body, map[string]int{"POST": 201, "PUT": 200}[c.method], nil)
			if r.api(admin, "GET", "/system/gc/schedule", "", 200, &x); x.Schedule.Type != c.kind || x.Schedule.Cron != c.cron || x.Schedule.Next == "" {
				r.t.Errorf("%+v, want %+v", x, c)
			}
		}
		for _, body := range []string{`{}`, `{"schedule":{"type":"Custom"}}`, `{"schedule":{"type":"Custom","cron":"* * * * *"}}`, `{"schedule":{"type":"Monthly"}}`,
			`{"schedule":{"type":"Custom","cron":"0 0 0 31 2 *"}}`, `{"schedule":{"type":"Custom","cron":"1 0 0 * * *"}}`} {
			r.api(admin, "PUT", "/system/gc/schedule", body, 400, nil)
		}
		var all []scheduledForm
		if r.api(admin, "GET", "/schedules", "", 200, &all); len(all) != 1 || all[0].Kind != gc.Kind {
			r.t.Errorf("%+v", all)
		}
		r.api(admin, "PUT", "/system/gc/schedule", `{"schedule":{"type":"None"}}`, 200, nil)
		if _, _, text := r.do(admin, "GET", Prefix+"/system/gc/schedule", "", ""); text != "{}\n" {
			r.t.Error(text)
		}
	})
}
