package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/core/engine/enginetest"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

func TestAttachBeforeStartGetsEveryByte(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("c1", []string{"echo", "hello"})
		out, _, done := w.attach("c1", nil)
		w.must(w.Start(ctx(t), "c1"))
		w.await(done)
		if out.String() != "hello\n" {
			t.Errorf("output %q", out)
		}
		w.eventually("VM off", func() bool { vm, _ := w.Compute.Get(ctx(t), w.List()[0].ID); return vm.State == compute.StateOff })
		if got, want := w.events.actions(), []string{"create", "attach", "start", "die 0"}; !slices.Equal(got, want) {
			t.Errorf("events %v, want %v", got, want)
		}
	})
}

func TestStdinReachesTheProcessAndItsEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("c1", []string{"cat"}, withStdin)
		out, _, done := w.attach("c1", strings.NewReader("one\ntwo\n"))
		w.must(w.Start(ctx(t), "c1"))
		w.await(done)
		if out.String() != "one\ntwo\n" || w.exitCode("c1") != 0 {
			t.Errorf("output %q, code %d", out, w.exitCode("c1"))
		}
	})
}

func TestExitCodeAndSecondRun(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("c1", []string{"exit", "7"})
		w.must(w.Start(ctx(t), "c1"))
		if code := w.exitCode("c1"); code != 7 {
			t.Errorf("code %d", code)
		}
		w.must(w.Start(ctx(t), "c1")) // waits for the VM to be off
		if code := w.exitCode("c1"); code != 7 {
			t.Errorf("second run: code %d", code)
		}
	})
}

func TestSecondRunsAttachSeesOnlyItsOwnOutput(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("c1", []string{"echo", "x"})
		for range 2 {
			out, _, done := w.attach("c1", nil)
			w.must(w.Start(ctx(t), "c1"))
			w.await(done)
			if out.String() != "x\n" {
				t.Errorf("output %q", out)
			}
		}
		if got := w.logs("c1", engine.LogOptions{}); got != "x\nx\n" {
			t.Errorf("logs %q", got)
		}
	})
}

func TestStartOfAMissingProgramFails(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("c1", []string{"nosuch"})
		err := w.Start(ctx(t), "c1")
		if !errors.Is(err, errdef.ErrInvalid) || !strings.Contains(err.Error(), "executable file not found") {
			t.Errorf("err %v", err)
		}
		c, _ := w.Get("c1")
		if c.State.Status != engine.StatusCreated || c.State.ExitCode != 127 {
			t.Errorf("state %+v", c.State)
		}
	})
}

func TestBrokenLinkLosesAndDoublesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"count", "60", "5"})
		out, _, done := w.attach("c1", nil)
		w.must(w.Start(ctx(t), "c1"))
		follow := make(chan string, 1)
		go func() { follow <- w.logs("c1", engine.LogOptions{Follow: true}) }()
		for range 8 {
			w.pass(20 * time.Millisecond)
			w.Tether(c.ID).Break()
		}
		w.await(done)
		var want strings.Builder
		for i := range 60 {
			fmt.Fprintf(&want, "line %d\n", i)
		}
		if out.String() != want.String() {
			t.Errorf("attach: %q", out)
		}
		if got := <-follow; got != want.String() {
			t.Errorf("logs -f: %q", got)
		}
	})
}

func TestBrokenLinkKeepsInputInOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"cat"}, withStdin)
		in, feed := io.Pipe()
		out, _, done := w.attach("c1", in)
		w.must(w.Start(ctx(t), "c1"))
		var want strings.Builder
		for i := range 40 {
			line := fmt.Sprintf("in %d\n", i)
			want.WriteString(line)
			_, _ = io.WriteString(feed, line)
			if i%5 == 0 {
				w.Tether(c.ID).Break()
			}
		}
		feed.Close()
		w.await(done)
		if out.String() != want.String() {
			t.Errorf("output %q", out)
		}
	})
}

func TestStopSignalsAndThenKills(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("good", []string{"sleep"})
		w.create("bad", []string{"stubborn"})
		w.must(w.Start(ctx(t), "good"))
		w.must(w.Start(ctx(t), "bad"))
		w.must(w.Stop(ctx(t), "good", engine.StopOptions{}))
		zero := 0
		w.must(w.Stop(ctx(t), "bad", engine.StopOptions{Timeout: &zero}))
		if a, b := w.exitCode("good"), w.exitCode("bad"); a != 143 || b != 137 {
			t.Errorf("codes %d %d", a, b)
		}
		if err := w.Stop(ctx(t), "good", engine.StopOptions{}); !errors.Is(err, engine.ErrNotModified) {
			t.Errorf("second stop: %v", err)
		}
		if err := w.Kill(ctx(t), "good", 15); !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("kill of a stopped one: %v", err)
		}
	})
}

func TestStopWithoutTether(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"sleep"})
		w.Mute(true)
		go func() { _ = w.Start(context.Background(), "c1") }()
		w.eventually("VM on", func() bool { vm, _ := w.Compute.Get(ctx(t), c.ID); return vm.State == compute.StateRunning })
		w.must(w.Remove(ctx(t), "c1", engine.RemoveOptions{Force: true}))
		if _, err := w.Get("c1"); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("get: %v", err)
		}
	})
}

func TestAutoRemoveLeavesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"echo", "bye"}, autoRemove)
		out, _, done := w.attach("c1", nil)
		wait, err := w.Wait(ctx(t), "c1", engine.WaitRemoved)
		w.must(err)
		w.must(w.Start(ctx(t), "c1"))
		w.await(done)
		if r := <-wait; r.Err != nil || out.String() != "bye\n" {
			t.Errorf("wait %v, output %q", r.Err, out)
		}
		if w.Images.Held() != 0 || w.Storage.HasDisk(c.ID) || len(w.List()) != 0 {
			t.Errorf("left behind: images %d, disk %v", w.Images.Held(), w.Storage.HasDisk(c.ID))
		}
	})
}

func TestFailedCreateIsUndone(t *testing.T) {
	for _, step := range []string{"disk", "network", "vm"} {
		t.Run(step, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				switch step {
				case "disk":
					w.Storage.Fail("PrepareDisk", errdef.ErrExhausted)
				case "network":
					w.World.Network.Fail("Join", errdef.ErrExhausted)
				case "vm":
					w.Compute.Fail("Create", errdef.ErrExhausted)
				}
				req := engine.CreateRequest{Name: "c1", Spec: engine.Spec{Image: engine.Image{Layer: enginetest.Layer}, Process: guest.Process{Args: []string{"true"}}}}
				if _, err := w.Create(ctx(t), req); !errors.Is(err, errdef.ErrExhausted) {
					t.Fatalf("err %v", err)
				}
				if w.Images.Held() != 0 {
					t.Error("the image stays held")
				}
				w.create("c1", []string{"true"}) // the name is free again
				if c := w.List()[0]; c.Networks[0].Addresses[0].Addr().String() != "172.16.0.2" {
					t.Errorf("the address was not given back: %v", c.Networks)
				}
			})
		})
	}
}

func TestNamesAreUnique(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"true"})
		w.create("other", []string{"true"})
		_, err := w.Create(ctx(t), engine.CreateRequest{Name: "c1"})
		want := fmt.Sprintf("Conflict. The container name \"/c1\" is already in use by container %q. "+
			"You have to remove (or rename) that container to be able to reuse that name.", c.ID)
		if err == nil || err.Error() != want || !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("err %v", err)
		}
		if err := w.Rename(ctx(t), "other", "c1"); !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("rename: %v", err)
		}
		w.must(w.Rename(ctx(t), "c1", "d1"))
		w.create("c1", []string{"true"})
		w.restart()
		if got, err := w.Get("d1"); err != nil || got.ID != c.ID {
			t.Errorf("after a restart: %v %v", got.Name, err)
		}
	})
}

func TestAdministratorPowersOff(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"sleep"})
		w.must(w.Start(ctx(t), "c1"))
		out, _, done := w.attach("c1", nil)
		w.Compute.PowerOff(c.ID)
		w.await(done)
		w.eventually("exited", func() bool { return w.status("c1") == engine.StatusExited })
		if w.exitCode("c1") != 137 || out.Len() != 0 {
			t.Errorf("code %d, output %q", w.exitCode("c1"), out)
		}
		w.eventually("die", func() bool { return slices.Contains(w.events.actions(), "die 137") })
		w.restart()
		w.eventually("still exited", func() bool { return w.status("c1") == engine.StatusExited })
		w.must(w.Start(ctx(t), "c1"))
		if w.status("c1") != engine.StatusRunning {
			t.Error("does not run again")
		}
	})
}

func TestAdministratorPowersOnAndDestroys(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"sleep"})
		w.must(w.Compute.Start(ctx(t), c.ID))
		w.eventually("start event", func() bool { return slices.Contains(w.events.actions(), "start") })
		if w.status("c1") != engine.StatusRunning {
			t.Error("not running")
		}
		w.Compute.Delete(c.ID)
		w.eventually("destroy event", func() bool { return slices.Contains(w.events.actions(), "destroy") })
		if _, err := w.Get("c1"); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("get: %v", err)
		}
		w.eventually("image released", func() bool { return w.Images.Held() == 0 })
	})
}

func TestRestartOfTheHost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("running", []string{"count", "100000", "5"})
		w.create("created", []string{"true"})
		w.create("exited", []string{"exit", "3"})
		gone := w.create("gone", []string{"sleep"}, autoRemove)
		for _, n := range []string{"running", "exited", "gone"} {
			w.must(w.Start(ctx(t), n))
		}
		w.exitCode("exited")
		w.eventually("exit record", func() bool { c, _ := w.Get("exited"); vm, _ := w.Compute.Get(ctx(t), c.ID); return vm.Exit != nil })
		w.stop()
		w.Compute.Exit(gone.ID, compute.Exit{Code: 1, Finished: time.Now()})
		w.restart()
		if a, b, c := w.status("running"), w.status("created"), w.status("exited"); a != "running" || b != "created" || c != "exited" {
			t.Errorf("statuses %s %s %s", a, b, c)
		}
		if w.exitCode("exited") != 3 {
			t.Errorf("code %d", w.exitCode("exited"))
		}
		w.eventually("--rm container gone", func() bool { return len(w.List()) == 3 })
		w.eventually("logs go on", func() bool {
			return strings.HasPrefix(w.logs("running", engine.LogOptions{}), "line 0\nline 1\nline 2\n")
		})
		w.must(w.Stop(ctx(t), "running", engine.StopOptions{}))
		if w.exitCode("running") != 143 {
			t.Errorf("code %d", w.exitCode("running"))
		}
	})
}

func TestLogsOfAStoppedContainer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"count", "10", "0"})
		w.must(w.Start(ctx(t), "c1"))
		w.exitCode("c1")
		check := func(when string) {
			t.Helper()
			if got := w.logs("c1", engine.LogOptions{Tail: 2}); got != "line 8\nline 9\n" {
				t.Errorf("%s: tail %q", when, got)
			}
			if got := w.logs("c1", engine.LogOptions{Follow: true}); strings.Count(got, "\n") != 10 {
				t.Errorf("%s: all %q", when, got)
			}
			if got := w.logs("c1", engine.LogOptions{Since: time.Now().Add(time.Hour)}); got != "" {
				t.Errorf("%s: since %q", when, got)
			}
		}
		check("right after the end")
		w.eventually("VM off", func() bool { vm, _ := w.Compute.Get(ctx(t), c.ID); return vm.State == compute.StateOff })
		w.restart()
		w.World.Storage.Fail("Export", errdef.ErrUnavailable)
		err := w.Logs(ctx(t), "c1", engine.LogOptions{Stdout: true, Tail: -1}, func(engine.LogLine) error { return nil })
		if !errors.Is(err, errdef.ErrUnavailable) {
			t.Errorf("a new engine does not read the disk: %v", err)
		}
		check("after a restart of the host")
	})
}

func TestExec(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("c1", []string{"sleep"})
		if _, err := w.CreateExec("c1", engine.ExecRequest{}); !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("exec in a stopped container: %v", err)
		}
		w.must(w.Start(ctx(t), "c1"))
		run := func(in io.Reader, args ...string) (string, int) {
			t.Helper()
			id, err := w.CreateExec("c1", engine.ExecRequest{Process: guest.Process{Args: args}, Stdin: in != nil})
			w.must(err)
			var out bytes.Buffer
			w.must(w.StartExec(ctx(t), id, &engine.Streams{Stdin: in, Stdout: &out}, 0, 0))
			x, err := w.GetExec(id)
			w.must(err)
			return out.String(), *x.ExitCode
		}
		if out, code := run(nil, "echo", "hi"); out != "hi\n" || code != 0 {
			t.Errorf("%q %d", out, code)
		}
		if out, code := run(strings.NewReader("in\n"), "cat"); out != "in\n" || code != 0 {
			t.Errorf("%q %d", out, code)
		}
		if _, code := run(nil, "exit", "4"); code != 4 {
			t.Errorf("code %d", code)
		}
		id, err := w.CreateExec("c1", engine.ExecRequest{Process: guest.Process{Args: []string{"nosuch"}}})
		w.must(err)
		if err := w.StartExec(ctx(t), id, &engine.Streams{}, 0, 0); err == nil {
			t.Error("a missing program starts")
		}
		if x, _ := w.GetExec(id); x.ExitCode == nil || *x.ExitCode != 127 {
			t.Errorf("code %v", x.ExitCode)
		}
	})
}

func TestWaitForTheNextExitIsRegisteredAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("c1", []string{"exit", "9"})
		ch, err := w.Wait(ctx(t), "c1", engine.WaitNextExit)
		w.must(err)
		w.must(w.Start(ctx(t), "c1"))
		if r := <-ch; r.State.ExitCode != 9 {
			t.Errorf("%+v", r)
		}
	})
}

func TestSizeOfTheVM(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, c := range []struct {
			cpus   float64
			memory int64
			wantC  int32
			wantM  int64
		}{{0, 0, 1, 256}, {1.5, 513 << 20, 2, 516}, {2, 6 << 20, 2, 128}, {0.1, 512<<20 + 1, 1, 516}} {
			v := w.create("", []string{"true"}, func(r *engine.CreateRequest) { r.CPUs, r.Memory = c.cpus, c.memory })
			if v.CPUs != c.wantC || v.MemoryMB != c.wantM {
				t.Errorf("%v CPUs, %d bytes: %d, %d MB", c.cpus, c.memory, v.CPUs, v.MemoryMB)
			}
		}
	})
}

func TestRemoveOfARunningOneNeedsForce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("c1", []string{"sleep"})
		w.must(w.Start(ctx(t), "c1"))
		if err := w.Remove(ctx(t), "c1", engine.RemoveOptions{}); !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("err %v", err)
		}
		w.must(w.Remove(ctx(t), "c1", engine.RemoveOptions{Force: true}))
		if got := w.events.actions(); !slices.Equal(got[len(got)-3:], []string{"kill", "die 137", "destroy"}) {
			t.Errorf("events %v", got)
		}
	})
}

func TestRestartKeepsAContainerThatGoesWithItsEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("c1", []string{"sleep"}, autoRemove)
		w.must(w.Start(ctx(t), "c1"))
		w.must(w.Restart(ctx(t), "c1", engine.StopOptions{}))
		if w.status("c1") != engine.StatusRunning {
			t.Error("not running after the restart")
		}
		w.must(w.Stop(ctx(t), "c1", engine.StopOptions{}))
		w.eventually("gone", func() bool { return len(w.List()) == 0 })
	})
}

func TestSignalDuringTheBootReachesTheProcess(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"sleep"})
		started := make(chan error, 1)
		go func() { started <- w.Start(context.Background(), "c1") }()
		w.eventually("VM on", func() bool { vm, _ := w.Compute.Get(ctx(t), c.ID); return vm.State == compute.StateRunning })
		w.must(w.Kill(ctx(t), "c1", 2))
		w.must(<-started)
		if code := w.exitCode("c1"); code != 130 {
			t.Errorf("code %d", code)
		}
	})
}

// A start is told by the tether that the process runs: it does not ask again and again.
func TestAStartWaitsForTheTetherWithoutAsking(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"sleep"})
		w.HoldBoots(true)
		started := make(chan error, 1)
		go func() { started <- w.Start(ctx(t), "c1") }()
		w.pass(5 * time.Second)
		tether := w.Tether(c.ID)
		if s, n := w.status("c1"), tether.Hellos(); s != engine.StatusCreated || n != 1 {
			t.Errorf("while it boots: %s, asked %d times", s, n)
		}
		tether.SetBooting(false)
		w.must(<-started)
		if s, n := w.status("c1"), tether.Hellos(); s != engine.StatusRunning || n != 2 {
			t.Errorf("when it has: %s, asked %d times", s, n)
		}
	})
}
