package engine_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

func policy(name guest.PolicyName, most int) option {
	return func(r *engine.CreateRequest) { r.Restart = guest.Restart{Policy: name, Max: most} }
}

func (w *world) restarts(ref string) int {
	c, err := w.Get(ref)
	w.must(err)
	return c.State.Restarts
}

func TestOnFailureGivesUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("c1", []string{"exit", "3"}, policy(guest.PolicyOnFailure, 2))
		w.must(w.Start(ctx(t), "c1"))
		w.eventually("given up", func() bool { return w.status("c1") == engine.StatusExited })
		c, _ := w.Get("c1")
		if c.State.Restarts != 2 || c.State.ExitCode != 3 {
			t.Fatalf("state %+v", c.State)
		}
		want := []string{"create", "start", "die 3", "start", "die 3", "start", "die 3"}
		w.eventually("all told", func() bool { return slices.Equal(w.events.actions(), want) })
	})
}

func TestAlwaysIsEndedByStop(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("c1", []string{"count", "2", "20"}, policy(guest.PolicyAlways, 0))
		w.must(w.Start(ctx(t), "c1"))
		w.eventually("restarted thrice", func() bool { return w.restarts("c1") >= 3 })
		w.must(w.Stop(ctx(t), "c1", engine.StopOptions{}))
		if s := w.status("c1"); s != engine.StatusExited {
			t.Fatalf("after stop: %s", s)
		}
		n := w.restarts("c1")
		w.pass(time.Hour)
		if w.status("c1") != engine.StatusExited || w.restarts("c1") != n {
			t.Fatal("it runs again after stop")
		}
		w.must(w.Start(ctx(t), "c1"))
		w.eventually("counts anew", func() bool { r := w.restarts("c1"); return r > 0 && r < n+3 })
	})
}

func TestAWaitReturnsAtEachExit(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("c1", []string{"count", "3", "20"}, policy(guest.PolicyAlways, 0))
		w.must(w.Start(ctx(t), "c1"))
		for _, cond := range []engine.WaitCondition{engine.WaitNextExit, engine.WaitNotRunning} {
			ch, err := w.Wait(ctx(t), "c1", cond)
			w.must(err)
			if r := <-ch; r.Err != nil || r.State.ExitCode != 0 {
				t.Fatalf("condition %d: %+v", cond, r)
			}
		}
		w.must(w.Remove(ctx(t), "c1", engine.RemoveOptions{Force: true}))
	})
}

func TestAVMThatGoesOffIsStartedAgainByThePolicy(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"sleep"}, policy(guest.PolicyUnlessStopped, 0))
		w.must(w.Start(ctx(t), "c1"))
		w.Compute.PowerOff(c.ID)
		w.eventually("runs again", func() bool { return w.status("c1") == engine.StatusRunning && w.restarts("c1") == 1 })
		if got, want := w.events.actions(), []string{"create", "start", "die 137", "start"}; !slices.Equal(got, want) {
			t.Fatalf("events %v", got)
		}
		w.restart() // the count survives
		w.eventually("known again", func() bool { return w.status("c1") == engine.StatusRunning && w.restarts("c1") == 1 })
		w.must(w.Stop(ctx(t), "c1", engine.StopOptions{}))
		if s := w.status("c1"); s != engine.StatusExited {
			t.Fatalf("after stop: %s", s)
		}
	})
}

func TestAnEngineThatStartsStartsWhatShouldRun(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		names := []string{"always", "unless", "stopped", "plain", "never"}
		policies := []guest.PolicyName{guest.PolicyAlways, guest.PolicyUnlessStopped, guest.PolicyUnlessStopped, guest.PolicyNo, guest.PolicyAlways}
		ids := map[string]string{}
		for i, n := range names {
			ids[n] = w.create(n, []string{"sleep"}, policy(policies[i], 0)).ID
			if n != "never" {
				w.must(w.Start(ctx(t), n))
			}
		}
		w.must(w.Stop(ctx(t), "always", engine.StopOptions{}))
		w.must(w.Stop(ctx(t), "stopped", engine.StopOptions{}))
		w.eventually("off", func() bool {
			vm, err := w.Compute.Get(ctx(t), ids["stopped"])
			return err == nil && vm.State == "off"
		})
		w.shut()
		w.Compute.PowerOff(ids["unless"])
		w.Compute.PowerOff(ids["plain"])
		w.restart()
		for n, want := range map[string]engine.Status{"always": engine.StatusRunning, "unless": engine.StatusRunning, "stopped": engine.StatusExited,
			"plain": engine.StatusExited, "never": engine.StatusCreated} {
			w.eventually(n+" is "+string(want), func() bool { return w.status(n) == want })
		}
	})
}

func TestPauseOverARestartOfTheEngine(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"sleep"})
		if err := w.Pause(ctx(t), "c1"); !errors.Is(err, errdef.ErrConflict) || !strings.Contains(err.Error(), "is not running") {
			t.Fatal(err)
		}
		w.must(w.Start(ctx(t), "c1"))
		w.must(w.Pause(ctx(t), "c1"))
		if err := w.Pause(ctx(t), "c1"); err == nil || err.Error() != "Container "+c.ID+" is already paused" {
			t.Fatal(err)
		}
		if _, err := w.CreateExec("c1", engine.ExecRequest{Process: guest.Process{Args: []string{"true"}}}); err == nil ||
			err.Error() != "Container "+c.ID+" is paused, unpause the container before exec" {
			t.Fatal(err)
		}
		w.restart()
		w.eventually("still paused", func() bool { return w.status("c1") == engine.StatusPaused })
		w.must(w.Unpause(ctx(t), "c1"))
		if err := w.Unpause(ctx(t), "c1"); err == nil || err.Error() != "Container "+c.ID+" is not paused" {
			t.Fatal(err)
		}
		w.must(w.Pause(ctx(t), "c1"))
		w.must(w.Stop(ctx(t), "c1", engine.StopOptions{})) // goes on so that the signal arrives
		if s := w.status("c1"); s != engine.StatusExited {
			t.Fatalf("after the stop of a paused one: %s", s)
		}
	})
}

func TestHealthIsToldAndCaughtUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"sleep"}, func(r *engine.CreateRequest) { r.Guest.Health = &guest.Health{Args: []string{"true"}} })
		w.must(w.Start(ctx(t), "c1"))
		health := func() string {
			c, _ := w.Get("c1")
			if c.State.Health == nil {
				return ""
			}
			return c.State.Health.Status
		}
		w.Tether(c.ID).SetHealth("healthy", 0)
		w.eventually("healthy", func() bool { return health() == "healthy" })
		w.eventually("told", func() bool { return slices.Contains(w.events.actions(), "health_status: healthy") })
		w.shut()
		w.Tether(c.ID).SetHealth("unhealthy", 3)
		w.restart()
		w.eventually("unhealthy", func() bool { return health() == "unhealthy" })
	})
}

func TestUpdate(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"sleep"}, func(r *engine.CreateRequest) { r.Memory = 256 << 20 })
		more, less, cpus := int64(510<<20), int64(100<<20), int64(15e8)
		always := guest.Restart{Policy: guest.PolicyAlways}
		w.must(w.Update(ctx(t), "c1", engine.UpdateRequest{Memory: &more, NanoCPUs: &cpus}))
		vm, _ := w.Compute.Get(ctx(t), c.ID)
		if vm.MemoryMB != 512 || vm.CPUs != 2 {
			t.Fatalf("VM of %d MB, %d CPUs", vm.MemoryMB, vm.CPUs)
		}
		w.must(w.Start(ctx(t), "c1"))
		w.must(w.Update(ctx(t), "c1", engine.UpdateRequest{Memory: &less, Restart: &always}))
		if l := w.Tether(c.ID).Limits(); l.Memory != less {
			t.Fatalf("limits %+v", l)
		}
		huge := int64(4 << 30)
		err := w.Update(ctx(t), "c1", engine.UpdateRequest{Memory: &huge})
		if !errors.Is(err, errdef.ErrConflict) || !strings.Contains(err.Error(), "stop the container first") {
			t.Fatal(err)
		}
		now, _ := w.Get("c1")
		if now.MemoryMB != 512 || now.Limits.Memory != less || now.Restart != always {
			t.Fatalf("%+v", now.Definition)
		}
		req, _ := w.Compute.Request(c.ID)
		if u := req.Guest[guest.KeyUpdate]; !strings.Contains(u, `"always"`) || !strings.Contains(u, `"memory":104857600`) {
			t.Fatalf("the guest finds %s", u)
		}
	})
}

func TestStatsAndProcesses(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("c1", []string{"sleep"})
		if err := w.Stats(ctx(t), "c1", false, nil); !errors.Is(err, errdef.ErrConflict) {
			t.Fatal(err)
		}
		w.must(w.Start(ctx(t), "c1"))
		n, enough := 0, errors.New("enough")
		if err := w.Stats(ctx(t), "c1", true, func(s link.Stats) error {
			if n++; n == 2 {
				return enough
			}
			return nil
		}); !errors.Is(err, enough) {
			t.Fatal(err)
		}
		p, err := w.Processes(ctx(t), "c1")
		if err != nil || len(p.Processes) != 1 || p.Processes[0].Command != "sleep" {
			t.Fatal(p, err)
		}
	})
}
