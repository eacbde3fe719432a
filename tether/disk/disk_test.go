package disk

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestHostIsTheFirstAdapterOfItsDriver(t *testing.T) {
	sys := t.TempDir()
	for host, driver := range map[string]string{"host0": "ahci", "host10": "vmw_pvscsi", "host2": "vmw_pvscsi"} {
		dir := filepath.Join(sys, "class/scsi_host", host)
		os.MkdirAll(dir, 0o755)
		os.WriteFile(filepath.Join(dir, "proc_name"), []byte(driver+"\n"), 0o644)
	}
	f := &Finder{Sys: sys}
	if got := f.host(); got != "host2" {
		t.Fatalf("got %q", got)
	}
	if err := f.scan("host2", 3); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(sys, "class/scsi_host/host2/scan")); string(b) != "0 3 0" {
		t.Fatalf("asked for %q", b)
	}
}

func TestBlank(t *testing.T) {
	magic := make([]byte, 4096)
	magic[1080], magic[1081] = 0x53, 0xef
	for name, tt := range map[string]struct {
		data []byte
		want bool
	}{
		"zeros":       {make([]byte, 1<<20), true},
		"empty":       {nil, true},
		"ext4":        {magic, false},
		"other bytes": {append(make([]byte, 100<<10), 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := blank(bytes.NewReader(tt.data)); got != tt.want || err != nil {
				t.Fatal(got, err)
			}
		})
	}
}

func TestEmptyVolumeIsFilledFromImageOnce(t *testing.T) {
	for _, swap := range []bool{false, true} {
		image, volume := t.TempDir(), filepath.Join(t.TempDir(), "data")
		os.MkdirAll(filepath.Join(image, "a/b"), 0o750)
		os.WriteFile(filepath.Join(image, "a/b/file"), []byte("x"), 0o640)
		os.Symlink("b/file", filepath.Join(image, "a/link"))
		os.Chmod(image, 0o711)
		os.MkdirAll(volume, 0o755)
		if swap { // what a VM left that died in the middle
			os.MkdirAll(filepath.Join(volume+".new", "half"), 0o755)
		}
		if err := Populate(volume, image, swap); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(filepath.Join(volume, "a/link"))
		if err != nil || st.Mode().Perm() != 0o640 {
			t.Fatal(st, err)
		}
		if st, err := os.Stat(volume); err != nil || st.Mode().Perm() != 0o711 {
			t.Fatal("the directory's own mode: ", st.Mode(), err)
		}
		if entries, _ := os.ReadDir(filepath.Dir(volume)); len(entries) != 1 {
			t.Fatal("left beside the volume: ", entries)
		}
		if _, err := os.Stat(filepath.Join(volume, "half")); err == nil {
			t.Fatal("half a copy was taken")
		}
		os.WriteFile(filepath.Join(image, "later"), nil, 0o600)
		if err := Populate(volume, image, swap); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(volume, "later")); err == nil {
			t.Fatal("a volume in use was filled again")
		}
	}
}
