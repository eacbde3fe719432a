package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/core/engine/enginetest"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

func request(name string, args ...string) engine.CreateRequest {
	image := engine.Image{ID: "sha256:aa", Ref: "busybox", Layer: enginetest.Layer}
	return engine.CreateRequest{Name: name, Spec: engine.Spec{Image: image, Process: guest.Process{Args: args}}}
}

// leftovers lists what is there of no container: VMs, disks, held images, leases, names.
func (w *world) leftovers() (left []string) {
	w.t.Helper()
	known := map[string]bool{}
	for _, c := range w.List() {
		known[c.ID] = true
	}
	vms, err := w.Compute.List(ctx(w.t))
	w.must(err)
	for _, vm := range vms {
		if !known[vm.ID] {
			left = append(left, "VM "+vm.Name)
		}
		delete(known, vm.ID)
	}
	for id := range known {
		left = append(left, "container without a VM "+id)
	}
	n := len(vms)
	if d := w.Storage.DiskCount(); d != n {
		left = append(left, fmt.Sprintf("%d disks of %d containers", d, n))
	}
	if h := w.Images.Held(); h != n {
		left = append(left, fmt.Sprintf("%d held images of %d containers", h, n))
	}
	if l := w.Network.JoinedCount(); l != n {
		left = append(left, fmt.Sprintf("%d places on networks of %d containers", l, n))
	}
	return left
}

// TestNothingIsLostUnderStress does random things to few names from many clients, some of which
// leave at once, and looks afterwards whether all that is there belongs to a container.
func TestNothingIsLostUnderStress(t *testing.T) {
	w := newWorld(t)
	const clients, steps = 24, 60
	var wg sync.WaitGroup
	for n := range clients {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 1))
			for range steps {
				w.step(r, fmt.Sprint("c", r.IntN(6)), fmt.Sprint("c", r.IntN(6)))
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(90 * time.Second):
		t.Fatal("the clients hang")
	}
	w.eventually("nothing is left over", func() bool { return len(w.leftovers()) == 0 })
	for _, c := range w.List() {
		if err := w.Remove(ctx(t), c.ID, engine.RemoveOptions{Force: true}); err != nil && !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("remove of %s: %v", c.Name, err)
		}
	}
	if left := w.leftovers(); len(left) > 0 || len(w.List()) > 0 {
		t.Errorf("left over after all: %v, %d containers", left, len(w.List()))
	}
	for n := range 6 { // no name is kept by a container that is gone
		w.create(fmt.Sprint("c", n), []string{"true"})
	}
}

// step does one random thing. What it may answer is a class that a client understands.
func (w *world) step(r *rand.Rand, name, other string) {
	c, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if r.IntN(5) == 0 { // leaves in the middle
		time.AfterFunc(time.Duration(r.IntN(3000))*time.Microsecond, cancel)
	}
	soon := 0
	var err error
	switch r.IntN(10) {
	case 0, 1:
		_, err = w.Create(c, request(name, "sleep"))
	case 2, 3:
		err = w.Start(c, name)
	case 4:
		err = w.Stop(c, name, engine.StopOptions{Timeout: &soon})
	case 5:
		err = w.Kill(c, name, 9)
	case 6:
		err = w.Remove(c, name, engine.RemoveOptions{Force: r.IntN(2) == 0, Volumes: true})
	case 7:
		err = w.Rename(c, name, other)
	case 8:
		err = w.Restart(c, name, engine.StopOptions{Timeout: &soon})
	case 9:
		var id string
		if id, err = w.CreateExec(name, engine.ExecRequest{Process: guest.Process{Args: []string{"true"}}, Stdout: true}); err == nil {
			err = w.StartExec(c, id, &engine.Streams{Stdout: io.Discard, Stream: true}, 0, 0)
		}
	}
	for _, class := range []error{nil, engine.ErrNotModified, errdef.ErrNotFound, errdef.ErrConflict, errdef.ErrInvalid,
		errdef.ErrUnavailable, context.Canceled, errdef.ErrCanceled} {
		if errors.Is(err, class) {
			return
		}
	}
	w.t.Errorf("%s: %v", name, err)
}

func TestCreatesAndStartsRunSideBySide(t *testing.T) {
	w := newWorld(t)
	const n = 50
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for i := range n {
		wg.Go(func() {
			c, err := w.Create(ctx(t), request(fmt.Sprint("c", i), "sleep"))
			if err == nil {
				err = w.Start(ctx(t), c.ID)
			}
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	for _, c := range w.List() {
		if !c.State.Running() {
			t.Errorf("%s is %s", c.Name, c.State.Status)
		}
	}
	if left := w.leftovers(); len(left) > 0 {
		t.Error(left)
	}
}

// TestCreateWhoseClientLeavesIsUndone leaves a create at each of its steps.
func TestCreateWhoseClientLeavesIsUndone(t *testing.T) {
	for _, step := range []string{"hold", "disk", "join", "vm", "after"} {
		t.Run(step, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c, leave := context.WithCancel(context.Background())
				defer leave()
				w.World.At(step, func(ctx context.Context) error {
					leave()
					return ctx.Err()
				})
				if _, err := w.Create(c, request("c1", "sleep")); !errors.Is(err, context.Canceled) {
					t.Fatalf("create: %v", err)
				}
				if left := w.leftovers(); len(left) > 0 || len(w.List()) > 0 {
					t.Errorf("left over: %v, containers %v", left, w.List())
				}
				w.create("c1", []string{"true"})
			})
		})
	}
}

func TestRemovalMeetsWhatElseGoesOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("c1", []string{"sleep"})
		entered, goOn := make(chan struct{}), make(chan struct{})
		w.World.At("remove", func(context.Context) error { close(entered); <-goOn; return nil })
		done := make(chan error, 1)
		go func() { done <- w.Remove(ctx(t), "c1", engine.RemoveOptions{}) }()
		<-entered
		refuses := func(what string, err error, text string) {
			t.Helper()
			if !errors.Is(err, errdef.ErrConflict) || !strings.Contains(err.Error(), text) {
				t.Errorf("%s while it is removed: %v", what, err)
			}
		}
		refuses("rm", w.Remove(ctx(t), "c1", engine.RemoveOptions{Force: true}), "removal of container c1 is already in progress")
		_, err := w.Create(ctx(t), request("c1", "true"))
		refuses("create of the name", err, "is already in use")
		started := make(chan error, 1)
		go func() { started <- w.Start(ctx(t), "c1") }()
		close(goOn)
		w.must(<-done)
		if err := <-started; !errors.Is(err, errdef.ErrConflict) && !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("start while it is removed: %v", err)
		}
		if left := w.leftovers(); len(left) > 0 {
			t.Error(left)
		}
	})
}

func TestForcedRemovalOfAContainerThatIsBeingStarted(t *testing.T) {
	w := newWorld(t)
	w.create("c1", []string{"sleep"})
	entered, goOn := make(chan struct{}), make(chan struct{})
	w.World.At("start", func(context.Context) error { close(entered); <-goOn; return nil })
	started := make(chan error, 1)
	go func() { started <- w.Start(ctx(t), "c1") }()
	<-entered
	removed := make(chan error, 1)
	go func() { removed <- w.Remove(ctx(t), "c1", engine.RemoveOptions{Force: true}) }()
	w.eventually("the removal's kill", func() bool { return slices.Contains(w.events.actions(), "kill") })
	close(goOn)
	<-started
	w.must(<-removed)
	if left := w.leftovers(); len(left) > 0 || len(w.List()) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestNoRoomIsSaidWithNumbers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.Compute.Room = compute.Capacity{CPUs: 2, MemoryMB: 600}
		for _, n := range []string{"c1", "c2", "c3"} {
			w.create(n, []string{"sleep"}) // 256 MB each
		}
		var wg sync.WaitGroup
		errs := make([]error, 3)
		for i := range 3 {
			wg.Go(func() { errs[i] = w.Start(ctx(t), fmt.Sprint("c", i+1)) })
		}
		wg.Wait()
		refused := -1
		for i, err := range errs {
			if err == nil {
				continue
			}
			if refused >= 0 || !errors.Is(err, errdef.ErrExhausted) || !strings.Contains(err.Error(), "needs 256 MB of memory, 88 MB are free of the 600 MB") {
				t.Errorf("start %d: %v", i+1, err)
			}
			refused = i
		}
		if refused < 0 {
			t.Fatal("three containers fit into the room of two")
		}
		soon := 0
		w.must(w.Stop(ctx(t), fmt.Sprint("c", (refused+1)%3+1), engine.StopOptions{Timeout: &soon}))
		w.eventually("room again", func() bool { return w.Start(ctx(t), fmt.Sprint("c", refused+1)) == nil })
	})
}
