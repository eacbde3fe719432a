package jobs

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

func TestSchedules(t *testing.T) {
	for text, want := range map[string]string{
		"0 0 2 * * *": "2026-03-02T02:00:00Z", "0 */15 * * * *": "2026-03-01T10:45:00Z", "0 30 4 1 JAN ?": "2027-01-01T04:30:00Z", "0 0 0 * * 0": "2026-03-08T00:00:00Z",
	} {
		if at, err := next(text, time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)); err != nil || at.Format(time.RFC3339) != want {
			t.Errorf("%s: %s, %v; want %s", text, at, err, want)
		}
	}
	for _, text := range []string{"", "0 0 2 * *", "* * * * * *", "30 * * * * *", "0 61 * * * *", "@daily", "TZ=Asia/Tokyo 0 0 0 * *", "0 0 0 30 2 *", "0 x * * * *",
		strings.Repeat("0 ", 200)} {
		if at, err := next(text, time.Now()); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%q: %s, %v", text, at, err)
		}
	}
}

func TestSeveralHubsBeginAScheduleOnce(t *testing.T) {
	each(t, func(*rig) []Kind { return []Kind{{Name: "K"}} }, func(r *rig) {
		now := time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)
		clock := func() time.Time { return now }
		r.q.o.Now = clock
		r.tx(func(tx *store.Tx) error {
			return r.q.SetSchedule(tx, "K", 3, "0 0 * * * *", map[string]bool{"x": true})
		})
		hubs := []*Queue{r.q}
		for range 3 {
			q := r.queue()
			q.o.Now = clock
			hubs = append(hubs, q)
		}
		fire := func() {
			var wg sync.WaitGroup
			for _, q := range hubs {
				wg.Go(func() {
					if err := q.fire(t.Context()); err != nil {
						r.t.Error(err)
					}
				})
			}
			wg.Wait()
		}
		expect := func(n int) {
			r.t.Helper()
			list, total, err := r.q.Executions(t.Context(), Filter{Kind: "K"}, 100, 0)
			if err != nil || total != n {
				r.t.Fatalf("%d executions, %v; want %d", total, err, n)
			}
			for _, e := range list {
				if e.Cause != BySchedule || e.Subject != 3 || string(e.Params) != `{"x":true}` {
					r.t.Errorf("%+v", e)
				}
			}
		}
		fire()
		expect(0)
		for i := range 5 {
			now = now.Add(time.Hour)
			if i == 3 {
				now = now.Add(24 * time.Hour) // no hub ran for a day
			}
			fire()
			expect(i + 1)
			list, _, err := r.q.Executions(t.Context(), Filter{Status: Pending}, 1, 0)
			must(t, err)
			if i < 4 {
				r.tx(func(tx *store.Tx) error { return r.q.Stop(tx, list[0].ID) })
			}
		}
		now = now.Add(time.Hour) // the one before has not ended
		fire()
		expect(5)
		s, err := r.q.Schedule(t.Context(), r.db, "K", 3)
		if err != nil || !s.Next.After(now) || s.Cron != "0 0 * * * *" {
			r.t.Errorf("%+v %v", s, err)
		}
		if list, total, err := r.q.Schedules(t.Context(), 10, 0); err != nil || total != 1 || len(list) != 1 {
			r.t.Errorf("%d %v", total, err)
		}
		r.tx(func(tx *store.Tx) error { return r.q.Unschedule(tx, "K", 3) })
		now = now.Add(time.Hour)
		fire()
		expect(5)
	})
}

func FuzzCron(f *testing.F) {
	for _, s := range []string{"0 0 2 * * *", "0 */15 1-5 * JAN,FEB MON-FRI", "0 0 0 L * ?", "0 * * * * *", "@every 1s", "0 0 0 29 2 *"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		first, err := next(s, at)
		if err != nil {
			if !errors.Is(err, errdef.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		second, err := next(s, first)
		if err == nil && second.Sub(first) < time.Minute || !first.After(at) {
			t.Errorf("%q: %s, %s", s, first, second)
		}
	})
}
