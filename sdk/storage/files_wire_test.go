package storage

import (
	"io/fs"
	"reflect"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/guest/rootfs"
	storagev1 "github.com/openvic/vic/sdk/proto/storage/v1"
)

func TestFilesCrossTheWireUnchanged(t *testing.T) {
	st := rootfs.Stat{Name: "a", Size: 1 << 40, Mode: fs.ModeDir | fs.ModeSetuid | 0o755, ModTime: time.Unix(1, 2).UTC(), LinkTarget: "/b"}
	if got := statFromWire(statToWire(st)); got != st {
		t.Errorf("got %+v, want %+v", got, st)
	}
	for _, kind := range []rootfs.ChangeKind{rootfs.Modified, rootfs.Added, rootfs.Deleted} {
		c := rootfs.Change{Kind: kind, Path: "/a b"}
		if got, err := changeFromWire(changeToWire(c)); err != nil || got != c {
			t.Errorf("got %+v, %v, want %+v", got, err, c)
		}
	}
	if _, err := changeFromWire(&storagev1.Change{Path: "/x"}); err == nil {
		t.Error("a change without a kind passed")
	}
	r := CopyInRequest{ID: "i", ReadOnlyRoot: true, UnpackOptions: rootfs.UnpackOptions{Path: "/p", KeepKinds: true, Owner: "me"},
		Mounts: []Mount{{Disk: device.Disk{Kind: "vmdk", Locator: "[ds] v.vmdk"}, SubDir: "data", Target: "/t", ReadOnly: true}}}
	if got := copyInFromWire(copyInToWire(r)); !reflect.DeepEqual(got, r) {
		t.Errorf("got %+v, want %+v", got, r)
	}
}
