package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/sysfs"
	"github.com/openvic/vic/tether/kernel"
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
}

// The kernel makes an adapter's files one after another and sends its event last, and the same of a
// disk: its name comes before it can be opened.
func TestADiskIsAskedForAndFoundHoweverLateItsFilesCome(t *testing.T) {
	f := &Finder{Sys: t.TempDir(), Dev: t.TempDir(), Trace: &kernel.Trace{}}
	host := filepath.Join(f.Sys, "class/scsi_host/host0")
	scan := filepath.Join(host, "scan")
	target := guest.SCSITarget(2)
	block := f.deviceDir("host0", target)
	synctest.Test(t, func(t *testing.T) {
		f.Events = &sysfs.Events{}
		found := make(chan string, 1)
		go func() {
			dev, err := f.Find(t.Context(), 2)
			if err != nil {
				t.Error(err)
			}
			found <- dev
		}()
		for _, step := range []struct{ file, text string }{
			{filepath.Join(host, "unique_id"), "1\n"},
			{filepath.Join(host, "proc_name"), adapter + "\n"},
			{scan, ""},
			{filepath.Join(block, "sdc", "size"), "8\n"},
			{filepath.Join(f.Dev, "sdc"), ""},
		} {
			synctest.Wait()
			if len(found) > 0 {
				t.Fatalf("found before %s was there: %q", step.file, <-found)
			}
			if err := errors.Join(os.MkdirAll(filepath.Dir(step.file), 0o700), os.WriteFile(step.file, []byte(step.text), 0o600)); err != nil {
				t.Fatal(err)
			}
			f.Events.Notify()
		}
		if dev := <-found; dev != filepath.Join(f.Dev, "sdc") {
			t.Fatalf("found %q", dev)
		}
	})
	if b, err := os.ReadFile(scan); string(b) != fmt.Sprintf("0 %d 0", target) || err != nil {
		t.Fatalf("asked for %q, %v", b, err)
	}
}

func TestADiskThatNeverComesIsNamed(t *testing.T) {
	f := &Finder{Sys: t.TempDir(), Dev: t.TempDir(), Trace: &kernel.Trace{}, Events: &sysfs.Events{}}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := f.Find(ctx, 1); err == nil || err.Error() != fmt.Sprintf("wait for disk 1 (SCSI target %d): enough", guest.SCSITarget(1)) {
		t.Fatal(err)
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
