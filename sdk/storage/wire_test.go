package storage

import (
	"reflect"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/device"
	storagev1 "github.com/openvic/vic/sdk/proto/storage/v1"
)

func TestLayersCrossTheWireUnchanged(t *testing.T) {
	for _, l := range []Layer{
		{},
		{ID: "a", Parent: "b", Size: 1 << 40, Created: time.Unix(1, 2).UTC(), Locator: "[ds] a.vmdk"},
	} {
		if got := layerFromWire(layerToWire(l)); !reflect.DeepEqual(got, l) {
			t.Errorf("got %+v, want %+v", got, l)
		}
	}
}

func TestRootsCrossTheWireUnchanged(t *testing.T) {
	for _, r := range []Root{
		{Kind: RootSingle, Disks: []device.Disk{{Kind: "vmdk-delta", Locator: "[ds] a.vmdk"}}},
		{Kind: RootOverlay, Disks: []device.Disk{{Kind: "vmdk", Locator: "a", ReadOnly: true}, {Kind: "vmdk", Locator: "b"}}},
	} {
		got, err := rootFromWire(rootToWire(r))
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("got %+v, %v, want %+v", got, err, r)
		}
	}
	if _, err := rootFromWire(&storagev1.PrepareDiskResponse{}); err == nil {
		t.Error("a root without a kind passed")
	}
}

func TestVolumesCrossTheWireUnchanged(t *testing.T) {
	for _, v := range []Volume{
		{},
		{Name: "db", Store: "default", Capacity: 1 << 40, Used: -1, Created: time.Unix(1, 2).UTC(), Labels: map[string]string{"a": "b"},
			Options: map[string]string{"Capacity": "1TB"}, Disk: device.Disk{Kind: device.KindVMDK, Locator: "[ds] db.vmdk"}},
	} {
		if got := volumeFromWire(volumeToWire(v)); !reflect.DeepEqual(got, v) {
			t.Errorf("got %+v, want %+v", got, v)
		}
	}
	r := CreateVolumeRequest{Name: "db", Store: "s", Capacity: 5, Labels: map[string]string{"a": "b"}, Options: map[string]string{"c": "d"}, Fresh: true}
	if got := createVolumeFromWire(createVolumeToWire(r)); !reflect.DeepEqual(got, r) {
		t.Errorf("got %+v, want %+v", got, r)
	}
}
