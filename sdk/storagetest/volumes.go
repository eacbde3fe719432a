package storagetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/storage"
)

// volumeCases are left out for a driver without volumes.
func volumeCases() []testCase {
	return []testCase{
		{"a volume is made, found, listed and removed", volumeLife},
		{"a volume of that name is returned as it is", volumeTwice},
		{"two who make one volume get the same", volumeTogether},
		{"names that are not Docker's are refused", volumeNames},
		{"a store that is not there and a capacity below nothing are refused", volumeRefused},
		{"a volume grows and does not shrink", volumeGrows},
		{"a volume that a running VM has is neither removed nor grown", volumeAttached},
		{"volumes are there after a restart", volumeRestart},
	}
}

func volumeCase(run func(t *testing.T, s *suite)) func(t *testing.T, s *suite) {
	return func(t *testing.T, s *suite) {
		if _, err := s.Driver.ListVolumes(s.ctx(t)); errors.Is(err, errdef.ErrUnsupported) {
			t.Skip("the driver has no volumes")
		}
		run(t, s)
	}
}

func (s *suite) volume(t *testing.T, req storage.CreateVolumeRequest) storage.Volume {
	t.Helper()
	if req.Name == "" {
		req.Name = "v" + newID()[:12]
	}
	t.Cleanup(func() { want(t, "RemoveVolume after the test", s.removeVolume(req.Name), nil) })
	v, err := s.Driver.CreateVolume(s.ctx(t), req)
	if err != nil {
		t.Fatalf("CreateVolume: %v", err)
	}
	return v
}

// removeVolume is for when the test has ended.
func (s *suite) removeVolume(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
	defer cancel()
	return s.Driver.RemoveVolume(ctx, name)
}

func (s *suite) hasVolume(t *testing.T, name string) bool {
	t.Helper()
	vs, err := s.Driver.ListVolumes(s.ctx(t))
	if err != nil {
		t.Fatalf("ListVolumes: %v", err)
	}
	return slices.ContainsFunc(vs, func(v storage.Volume) bool { return v.Name == name })
}

func sameVolume(a, b storage.Volume) bool {
	return a.Name == b.Name && a.Store == b.Store && a.Capacity == b.Capacity && a.Disk == b.Disk &&
		a.Created.Equal(b.Created) && maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Options, b.Options)
}

func volumeLife(t *testing.T, s *suite) {
	name := "v." + newID()[:12]
	_, err := s.Driver.GetVolume(s.ctx(t), name)
	want(t, "GetVolume of none", err, errdef.ErrNotFound)
	want(t, "RemoveVolume of none", s.Driver.RemoveVolume(s.ctx(t), name), nil)
	_, err = s.Driver.GrowVolume(s.ctx(t), storage.GrowVolumeRequest{Name: name, Capacity: 1 << 40})
	want(t, "GrowVolume of none", err, errdef.ErrNotFound)

	before := time.Now().Add(-time.Minute)
	v := s.volume(t, storage.CreateVolumeRequest{Name: name, Capacity: 64 << 20, Labels: map[string]string{"a": "b"}})
	if v.Name != name || v.Store == "" || v.Capacity < 64<<20 || v.Labels["a"] != "b" || v.Created.Before(before) {
		t.Errorf("CreateVolume returned %+v", v)
	}
	if v.Disk.Kind != device.KindVMDK && v.Disk.Kind != device.KindNFS || v.Disk.Locator == "" || v.Disk.ReadOnly {
		t.Errorf("the volume's disk is %+v", v.Disk)
	}
	got, err := s.Driver.GetVolume(s.ctx(t), name)
	if err != nil || !sameVolume(got, v) {
		t.Errorf("GetVolume: %+v, %v; made was %+v", got, err, v)
	}
	if !s.hasVolume(t, name) {
		t.Error("ListVolumes does not show the volume")
	}
	want(t, "RemoveVolume", s.Driver.RemoveVolume(s.ctx(t), name), nil)
	if _, err = s.Driver.GetVolume(s.ctx(t), name); !errors.Is(err, errdef.ErrNotFound) || s.hasVolume(t, name) {
		t.Errorf("a removed volume is there: %v", err)
	}
}

func volumeTwice(t *testing.T, s *suite) {
	v := s.volume(t, storage.CreateVolumeRequest{Capacity: 64 << 20, Labels: map[string]string{"a": "b"}})
	again, err := s.Driver.CreateVolume(s.ctx(t), storage.CreateVolumeRequest{Name: v.Name, Capacity: 128 << 20})
	if err != nil || !sameVolume(again, v) {
		t.Errorf("second CreateVolume: %+v, %v; first %+v", again, err, v)
	}
}

func volumeTogether(t *testing.T, s *suite) {
	name := "v" + newID()[:12]
	t.Cleanup(func() { want(t, "RemoveVolume after the test", s.removeVolume(name), nil) })
	var wg sync.WaitGroup
	var made [2]storage.Volume
	for i := range made {
		ctx := s.ctx(t)
		wg.Go(func() {
			var err error
			made[i], err = s.Driver.CreateVolume(ctx, storage.CreateVolumeRequest{Name: name})
			want(t, "CreateVolume", err, nil)
		})
	}
	wg.Wait()
	if !sameVolume(made[0], made[1]) {
		t.Errorf("two volumes of one name: %+v", made)
	}
}

func volumeNames(t *testing.T, s *suite) {
	for _, name := range []string{"", "a", ".hidden", "../up", "a/b", "with space", "-dash", "umlaut-ü"} {
		_, err := s.Driver.CreateVolume(s.ctx(t), storage.CreateVolumeRequest{Name: name})
		want(t, "CreateVolume "+name, err, errdef.ErrInvalid)
	}
}

func volumeRefused(t *testing.T, s *suite) {
	_, err := s.Driver.CreateVolume(s.ctx(t), storage.CreateVolumeRequest{Name: "v" + newID()[:12], Store: "no-such-store"})
	want(t, "CreateVolume in a store that is not there", err, errdef.ErrNotFound)
	_, err = s.Driver.CreateVolume(s.ctx(t), storage.CreateVolumeRequest{Name: "v" + newID()[:12], Capacity: -1})
	want(t, "CreateVolume of -1 byte", err, errdef.ErrInvalid)
}

func volumeGrows(t *testing.T, s *suite) {
	v := s.volume(t, storage.CreateVolumeRequest{Capacity: 64 << 20})
	if v.Disk.Kind == device.KindNFS {
		_, err := s.Driver.GrowVolume(s.ctx(t), storage.GrowVolumeRequest{Name: v.Name, Capacity: 1 << 40})
		want(t, "GrowVolume of a share", err, errdef.ErrUnsupported)
		return
	}
	larger := storage.GrowVolumeRequest{Name: v.Name, Capacity: v.Capacity + 64<<20}
	got, err := s.Driver.GrowVolume(s.ctx(t), larger)
	if err != nil || got.Capacity < larger.Capacity {
		t.Fatalf("GrowVolume: %+v, %v", got, err)
	}
	again, err := s.Driver.GetVolume(s.ctx(t), v.Name)
	if err != nil || again.Capacity != got.Capacity {
		t.Errorf("GetVolume: %+v, %v; grown to %d", again, err, got.Capacity)
	}
	_, err = s.Driver.GrowVolume(s.ctx(t), larger)
	want(t, "GrowVolume again", err, nil)
	_, err = s.Driver.GrowVolume(s.ctx(t), storage.GrowVolumeRequest{Name: v.Name, Capacity: v.Capacity})
	want(t, "GrowVolume to less", err, errdef.ErrInvalid)
}

func volumeAttached(t *testing.T, s *suite) {
	if s.AttachVolume == nil {
		t.Skip("the fixture cannot attach")
	}
	v := s.volume(t, storage.CreateVolumeRequest{Capacity: 64 << 20})
	s.AttachVolume(t, v, true)
	want(t, "RemoveVolume", s.Driver.RemoveVolume(s.ctx(t), v.Name), errdef.ErrConflict)
	_, err := s.Driver.GrowVolume(s.ctx(t), storage.GrowVolumeRequest{Name: v.Name, Capacity: 2 * v.Capacity})
	want(t, "GrowVolume", err, errdef.ErrConflict)
	if !s.hasVolume(t, v.Name) {
		t.Error("the volume is gone")
	}
	s.AttachVolume(t, v, false)
	want(t, "RemoveVolume", s.Driver.RemoveVolume(s.ctx(t), v.Name), nil)
}

func volumeRestart(t *testing.T, s *suite) {
	if s.Restart == nil {
		t.Skip("the fixture cannot restart")
	}
	v := s.volume(t, storage.CreateVolumeRequest{Capacity: 64 << 20, Labels: map[string]string{"a": "b"}})
	s.Driver = s.Restart(t)
	got, err := s.Driver.GetVolume(s.ctx(t), v.Name)
	if err != nil || !sameVolume(got, v) {
		t.Errorf("GetVolume after a restart: %+v, %v; before %+v", got, err, v)
	}
}
