package vch

import (
	"context"
	"strings"
	"testing"

	"github.com/openvic/vic/machine/simtest"
)

func TestVolumesOutliveTheirVCHAndEmptyStoresDoNot(t *testing.T) {
	for _, kept := range []bool{false, true} {
		s := simtest.New(t)
		before := s.Inventory()
		p, _ := created(t, s, func(_ *Spec, r *Resources) {
			r.VolumeStores = []VolumeStore{{Label: "default", Files: r.Files, Path: "deep/vols"}, {Label: "nfs", Share: "nfs://filer/export"}}
		})
		toml, err := p.endpoint("vm-1", nil).vsphere()
		must(t, err)
		for _, want := range []string{`default = "[LocalDS_0] deep/vols"`, `nfs = "nfs://filer/export"`} {
			if !strings.Contains(string(toml), want) {
				t.Errorf("vsphere.toml lacks %s:\n%s", want, toml)
			}
		}
		const volume = "deep/vols/volumes/db"
		if kept {
			must(t, p.Res.Files.MakeDir(context.Background(), volume))
		}
		must(t, Delete(t.Context(), p.Res.Session, DeleteOptions{Query: Query{Name: "vch1"}}, nil))
		if !kept {
			if after := s.Inventory(); after != before {
				t.Errorf("left behind:\n%s", after)
			}
			continue
		}
		if empty, err := p.Res.Files.IsEmpty(t.Context(), volume); !empty || err != nil {
			t.Errorf("the volume is gone: %v", err)
		}
	}
}
