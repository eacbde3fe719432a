package endpoint

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// sysfs makes a /sys with SCSI hosts: number to driver and PCI path.
func sysfs(t *testing.T, hosts map[string][2]string) *Host {
	t.Helper()
	h := &Host{work: t.TempDir(), sys: t.TempDir()}
	for host, v := range hosts {
		dev := filepath.Join(h.sys, "devices", v[1], host, "scsi_host", host)
		class := filepath.Join(h.sys, "class/scsi_host", host)
		if err := errors.Join(os.MkdirAll(dev, 0o755), os.MkdirAll(filepath.Dir(class), 0o755), os.Symlink(dev, class),
			os.WriteFile(filepath.Join(dev, "proc_name"), []byte(v[0]+"\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h *Host) addDisk(t *testing.T, address, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(h.sys, "bus/scsi/devices", address, "block", name), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestDisksAreFoundByTargetOnTheFirstController(t *testing.T) {
	h := sysfs(t, map[string][2]string{
		"host0": {"ahci", "pci0000:00/0000:00:01.0"}, "host1": {"vmw_pvscsi", "pci0000:00/0000:00:09.0"}, "host2": {"vmw_pvscsi", "pci0000:00/0000:00:03.0"},
	})
	h.addDisk(t, "0:0:3:0", "sda")
	h.addDisk(t, "1:0:3:0", "sdb")
	if got, err := h.find(3); got != "" || err != nil {
		t.Errorf("before it is there: %q, %v", got, err)
	}
	h.addDisk(t, "2:0:3:0", "sdx")
	if got, err := h.find(3); got != "/dev/sdx" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestMachineWithoutControllerSaysSo(t *testing.T) {
	h := sysfs(t, map[string][2]string{"host0": {"ahci", "pci0"}})
	if _, err := h.find(1); !errors.Is(err, errdef.ErrUnavailable) || !strings.Contains(err.Error(), "pvscsi") {
		t.Error(err)
	}
}

func TestDeviceEndsWithItsContext(t *testing.T) {
	h := sysfs(t, map[string][2]string{"host0": {"vmw_pvscsi", "pci0"}})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := h.Device(ctx, 1); err == nil {
		t.Error("a disk that is not there was found")
	}
}

func TestFormatLeavesNothingToInitialiseLater(t *testing.T) {
	if _, err := os.Stat(mke2fs); err != nil {
		t.Skip("this machine has no ", mke2fs)
	}
	file := filepath.Join(t.TempDir(), "disk")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, 8<<30)); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := (&Host{}).Format(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	t.Log("mke2fs took", time.Since(begun))
	out, err := exec.Command("/sbin/dumpe2fs", file).Output()
	if err != nil {
		t.Skip("dumpe2fs: ", err)
	}
	text := string(out)
	if n, zeroed := len(regexp.MustCompile(`(?m)^Group \d`).FindAllString(text, -1)), strings.Count(text, "ITABLE_ZEROED"); n == 0 || n != zeroed {
		t.Errorf("%d of %d groups have their inode table ready", zeroed, n)
	}
	if !strings.Contains(text, "Reserved block count:     0") {
		t.Error("blocks are reserved")
	}
}

func TestNotADeviceCannotBeFormatted(t *testing.T) {
	if err := (&Host{}).Format(t.Context(), filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("formatted nothing")
	}
}
