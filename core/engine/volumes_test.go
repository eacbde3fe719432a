package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/core/event"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/storage"
)

func mounts(m ...engine.MountRequest) option {
	return func(r *engine.CreateRequest) { r.Mounts = m }
}

// request is what the compute driver was given for a container, and the guest's part of it.
func (w *world) request(id string) (compute.CreateRequest, guest.Config) {
	w.t.Helper()
	req, ok := w.Compute.Request(id)
	if !ok {
		w.t.Fatalf("no VM of %s", id)
	}
	var g guest.Config
	w.must(json.Unmarshal([]byte(req.Guest[guest.KeyConfig]), &g))
	return req, g
}

func (w *world) volumeNames() []string {
	w.t.Helper()
	all, err := w.Volumes.List(ctx(w.t))
	w.must(err)
	var names []string
	for _, v := range all {
		names = append(names, v.Name)
	}
	return names
}

func (r *recorder) volumeActions() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, e := range r.all {
		if e.Type == event.Volume {
			out = append(out, e.Action+" "+e.ID)
		}
	}
	return out
}

func TestVolumesAreDisksOfTheVMAndMountsOfTheGuest(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"sleep"}, mounts(
			engine.MountRequest{Volume: "db", Target: "/data"},
			engine.MountRequest{Volume: "conf", Target: "/etc/x", ReadOnly: true, NoCopy: true},
			engine.MountRequest{Volume: "db", Target: "/again"},
			engine.MountRequest{Volume: "web", Target: "/web", Options: map[string]string{"volumestore": storage.FakeShare}},
		))
		req, g := w.request(c.ID)
		if len(req.Disks) != 3 || req.Disks[1].Kind != device.KindVMDK ||
			!strings.Contains(req.Disks[1].Locator, "db") || !strings.Contains(req.Disks[2].Locator, "conf") {
			t.Errorf("disks %+v", req.Disks)
		}
		want := []guest.Mount{
			{Disk: 1, Target: "/data", SubDir: guest.VolumeDir, Volume: "db", Populate: true},
			{Disk: 2, Target: "/etc/x", ReadOnly: true, SubDir: guest.VolumeDir, Volume: "conf"},
			{Disk: 1, Target: "/again", SubDir: guest.VolumeDir, Volume: "db", Populate: true},
			{Target: "/web", FSType: "nfs", Source: "filer.example:/export/web", Volume: "web", Populate: true},
		}
		if !slices.Equal(g.Mounts, want) {
			t.Errorf("mounts %+v", g.Mounts)
		}
		if got := w.volumeNames(); !slices.Equal(got, []string{"conf", "db", "web"}) {
			t.Errorf("volumes %v", got)
		}
		err := w.Volumes.Remove(ctx(t), "db", true)
		if !errors.Is(err, errdef.ErrConflict) || err.Error() != "remove db: volume is in use - ["+c.ID+"]" {
			t.Errorf("removal of a volume in use: %v", err)
		}
		w.restart()
		if v, err := w.Volumes.Get(ctx(t), "db"); err != nil || !slices.Equal(v.Containers, []string{c.ID}) {
			t.Errorf("after a restart: %+v, %v", v, err)
		}
		w.must(w.Engine.Remove(ctx(t), "c1", engine.RemoveOptions{Volumes: true}))
		w.must(w.Volumes.Remove(ctx(t), "db", false))
		if err := w.Volumes.Remove(ctx(t), "db", false); !errors.Is(err, errdef.ErrNotFound) || err.Error() != "get db: no such volume" {
			t.Errorf("removal of none: %v", err)
		}
		w.must(w.Volumes.Remove(ctx(t), "db", true))
		if got := w.volumeNames(); !slices.Equal(got, []string{"conf", "web"}) {
			t.Errorf("named volumes stay: %v", got)
		}
	})
}

func TestAVolumeIsForOneRunningContainer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		db := engine.MountRequest{Volume: "db", Target: "/data"}
		first := w.create("first", []string{"sleep"}, mounts(db))
		w.create("second", []string{"sleep"}, mounts(db))
		w.must(w.Start(ctx(t), "first"))
		refused := func() {
			t.Helper()
			err := w.Start(ctx(t), "second")
			if !errors.Is(err, errdef.ErrConflict) || !strings.Contains(err.Error(), `volume "db" is in use by container first (`+first.ID[:12]+")") {
				t.Errorf("a second container started: %v", err)
			}
			if _, err := w.Volumes.Grow(ctx(t), "db", 4<<30); !errors.Is(err, errdef.ErrConflict) {
				t.Errorf("grew: %v", err)
			}
		}
		refused()
		w.restart()
		refused()
		w.must(w.Kill(ctx(t), "first", 9))
		w.must(w.Start(ctx(t), "second")) // at once: the VM of the first may still be going off
		w.must(w.Engine.Remove(ctx(t), "second", engine.RemoveOptions{Force: true}))
		if v, err := w.Volumes.Grow(ctx(t), "db", 4<<30); err != nil || v.Capacity != 4<<30 {
			t.Errorf("grow: %+v, %v", v, err)
		}
		w.must(w.Start(ctx(t), "first"))
	})
}

func TestVolumesAreWrittenOutBeforeTheirContainerGoes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		db := engine.MountRequest{Volume: "db", Target: "/data"}
		removed := func(name string, end func(), opts ...option) bool {
			c := w.create(name, []string{"sleep"}, opts...)
			w.must(w.Start(ctx(t), name))
			tether := w.Tether(c.ID)
			end()
			w.eventually(name+" is gone", func() bool { return w.status(name) == "" })
			return tether.Synced()
		}
		byForce := func(name string) func() {
			return func() { w.must(w.Engine.Remove(ctx(t), name, engine.RemoveOptions{Force: true})) }
		}
		if !removed("forced", byForce("forced"), mounts(db)) {
			t.Error("rm -f switched the VM off under its volume")
		}
		if !removed("auto", func() { w.must(w.Kill(ctx(t), "auto", 9)) }, mounts(db), autoRemove) {
			t.Error("--rm switched the VM off under its volume")
		}
		if removed("plain", byForce("plain")) {
			t.Error("a container without volumes is removed without waiting for its guest")
		}
	})
}

func TestAShareIsForMany(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		web := engine.MountRequest{Volume: "web", Target: "/web", Options: map[string]string{storage.OptionVolumeStore: storage.FakeShare}}
		for i := range 3 {
			name := fmt.Sprint("c", i)
			w.create(name, []string{"sleep"}, mounts(web))
			w.must(w.Start(ctx(t), name))
		}
	})
}

func TestAnonymousVolumesGoWithTheirContainer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		anonymous := engine.MountRequest{Target: "/data"}
		c := w.create("kept", []string{"sleep"}, mounts(anonymous))
		name := c.Mounts[0].Volume
		if len(name) != 64 || !c.Mounts[0].Anonymous {
			t.Errorf("%+v", c.Mounts)
		}
		w.create("other", []string{"sleep"}, mounts(engine.MountRequest{Volume: name, Target: "/x", Anonymous: true}))
		w.must(w.Engine.Remove(ctx(t), "kept", engine.RemoveOptions{Volumes: true}))
		if got := w.volumeNames(); len(got) != 1 {
			t.Errorf("a volume that another container has: %v", got)
		}
		w.must(w.Engine.Remove(ctx(t), "other", engine.RemoveOptions{Volumes: true}))
		w.create("auto", []string{"true"}, mounts(anonymous, engine.MountRequest{Volume: "named", Target: "/named"}), autoRemove)
		w.must(w.Start(ctx(t), "auto"))
		w.eventually("--rm takes the container and its anonymous volume", func() bool {
			return len(w.List()) == 0 && slices.Equal(w.volumeNames(), []string{"named"})
		})
		w.create("left", []string{"sleep"}, mounts(anonymous))
		w.must(w.Engine.Remove(ctx(t), "left", engine.RemoveOptions{}))
		removed, err := w.Volumes.Prune(ctx(t), func(v engine.Volume) bool { return v.Name != "named" })
		if err != nil || len(removed) != 1 || !slices.Equal(w.volumeNames(), []string{"named"}) {
			t.Errorf("pruned %+v, %v", removed, err)
		}
	})
}

func TestAFailedCreateGivesItsVolumesBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.Compute.Fail("Create", errdef.ErrExhausted)
		req := engine.CreateRequest{Name: "c1", Spec: engine.Spec{Process: guest.Process{Args: []string{"true"}}},
			Mounts: []engine.MountRequest{{Target: "/a"}, {Volume: "named", Target: "/b"}}}
		if _, err := w.Create(ctx(t), req); !errors.Is(err, errdef.ErrExhausted) {
			t.Fatal(err)
		}
		if got := w.volumeNames(); !slices.Equal(got, []string{"named"}) {
			t.Errorf("volumes %v", got)
		}
		w.must(w.Volumes.Remove(ctx(t), "named", false))
		req.Mounts = nil
		for i := range guest.MaxDisks {
			req.Mounts = append(req.Mounts, engine.MountRequest{Target: fmt.Sprint("/", i)})
		}
		_, err := w.Create(ctx(t), req)
		if !errors.Is(err, errdef.ErrInvalid) || !strings.Contains(err.Error(), "needs 16 disks, 15 of them volumes; a container VM takes 15") {
			t.Errorf("too many: %v", err)
		}
		if got := w.volumeNames(); len(got) != 0 {
			t.Errorf("volumes %v", got)
		}
		bad := engine.VolumeRequest{Name: "x", Options: map[string]string{"capacity": "much"}}
		_, err = w.Volumes.Create(ctx(t), bad)
		if _, err2 := w.Volumes.Create(ctx(t), bad); !errors.Is(err, errdef.ErrInvalid) || err2 == nil || len(w.volumeNames()) != 0 {
			t.Errorf("nonsense: %v", err)
		}
	})
}

func TestVolumeEventsAreDockers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("c1", []string{"true"}, mounts(engine.MountRequest{Volume: "db", Target: "/data"}))
		w.must(w.Start(ctx(t), "c1"))
		w.exitCode("c1")
		want := []string{"create db", "mount db", "unmount db"}
		w.eventually("the VM is off", func() bool { return len(w.events.volumeActions()) == len(want) })
		w.must(w.Engine.Remove(ctx(t), "c1", engine.RemoveOptions{}))
		w.must(w.Volumes.Remove(ctx(t), "db", false))
		if got := w.events.volumeActions(); !slices.Equal(got, append(want, "destroy db")) {
			t.Errorf("events %v", got)
		}
	})
}

func TestCapacitiesAreReadAsVICReadThem(t *testing.T) {
	for in, want := range map[string]int64{"1024": 1 << 30, "2GB": 2 << 30, "512m": 512 << 20, "1.5g": 3 << 29,
		" 10 MiB ": 10 << 20, "1T": 1 << 40, "1048576B": 1 << 20, "4096kb": 4 << 20} {
		if got, err := engine.ParseCapacity(in); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "GB", "0", "-1", "1PB", "1e3", "0x10", "2GBB", "1.2.3", "much", "1G5", "9999999999999TB", "NaN", "+5"} {
		if got, err := engine.ParseCapacity(in); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%q: %d, %v", in, got, err)
		}
	}
}

// A volume that nobody has yet, and that a container is being made with, is that container's: a prune
// beside it finds it either free before the container comes, which then makes it anew, or in use.
func TestPruneBesideCreatesTakesNoContainersVolume(t *testing.T) {
	w := newWorld(t)
	done := make(chan struct{})
	var pruning sync.WaitGroup
	for range 4 {
		pruning.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_, _ = w.Volumes.Prune(context.Background(), func(engine.Volume) bool { return true })
				}
			}
		})
	}
	for i := range 100 {
		name := "vol" + strconv.Itoa(i)
		c := w.create("", []string{"true"}, mounts(engine.MountRequest{Volume: name, Target: "/v"}))
		if _, err := w.Volumes.Get(ctx(t), name); err != nil {
			t.Errorf("volume of %s: %v", c.ID[:12], err)
		}
	}
	close(done)
	pruning.Wait()
}

// A store that cannot be asked whether it has a volume is no reason to refuse one of a made-up name.
func TestAnAnonymousVolumeIsNotLookedFor(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.World.Storage.Fail("GetVolume", errdef.ErrUnavailable)
		w.create("cc", []string{"sleep"}, mounts(engine.MountRequest{Target: "/data"}))
		if _, err := w.Volumes.Create(ctx(t), engine.VolumeRequest{}); err != nil {
			t.Error(err)
		}
		if _, err := w.Volumes.Create(ctx(t), engine.VolumeRequest{Name: "db"}); !errors.Is(err, errdef.ErrUnavailable) {
			t.Errorf("a volume that may be there: %v", err)
		}
	})
}
