package precheck

import (
	"errors"
	"testing"

	"github.com/openvic/vic/sdk/errdef"
)

func TestVolumeStoresAreReadAsVICWroteThem(t *testing.T) {
	for _, tc := range []struct{ given, label, datastore, path, share string }{
		{"ds1/vols/a:default", "default", "ds1", "vols/a", ""},
		{"ds://ds1/vols:fast", "fast", "ds1", "vols", ""},
		{"[ds1] vols:fast", "fast", "ds1", "vols", ""},
		{"ds1:default", "default", "ds1", "vch1-volumes", ""},
		{"nfs://filer:2049/export?vers=3&soft:shared", "shared", "", "", "nfs://filer:2049/export?vers=3&soft"},
	} {
		s, ds, err := splitVolumeStore(tc.given, "vch1")
		if err != nil || s.Label != tc.label || ds != tc.datastore || s.Path != tc.path || s.Share != tc.share {
			t.Errorf("%s: %+v, %q, %v", tc.given, s, ds, err)
		}
	}
	for _, given := range []string{"ds1/vols", "ds1/vols:", "ds1/vols:a b", ":default", "nfs://filer:shared", "nfs://filer/export?vers=5:shared",
		"ds1/vch1/volumes:default", "ds1/vch1:default"} {
		if _, _, err := splitVolumeStore(given, "vch1"); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%s: %v", given, err)
		}
	}
}
