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
	"testing/synctest"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest/sysfs"
)

// sysfsOf makes a /sys with SCSI hosts: number to driver and PCI path.
func sysfsOf(t *testing.T, hosts map[string][2]string) *Host {
	t.Helper()
	h := &Host{work: t.TempDir(), sys: t.TempDir(), dev: t.TempDir()}
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
	h := sysfsOf(t, map[string][2]string{
		"host0": {"ahci", "pci0000:00/0000:00:01.0"}, "host1": {"vmw_pvscsi", "pci0000:00/0000:00:09.0"}, "host2": {"vmw_pvscsi", "pci0000:00/0000:00:03.0"},
	})
	h.addDisk(t, "0:0:3:0", "sda")
	h.addDisk(t, "1:0:3:0", "sdb")
	host, err := h.controller()
	if err != nil {
		t.Fatal(err)
	}
	if got := h.find(host, 3); got != "" {
		t.Errorf("before it is there: %q", got)
	}
	h.addDisk(t, "2:0:3:0", "sdx")
	if got := h.find(host, 3); got != "sdx" {
		t.Errorf("got %q", got)
	}
}

func TestMachineWithoutControllerSaysSo(t *testing.T) {
	h := sysfsOf(t, map[string][2]string{"host0": {"ahci", "pci0"}})
	if _, err := h.Device(t.Context(), 1); !errors.Is(err, errdef.ErrUnavailable) || !strings.Contains(err.Error(), "pvscsi") {
		t.Error(err)
	}
}

// A disk shows in steps, each with an event: its name, then a device that can be opened.
func TestADiskIsThereWhenItCanBeOpened(t *testing.T) {
	h := sysfsOf(t, map[string][2]string{"host0": {"vmw_pvscsi", "pci0"}})
	synctest.Test(t, func(t *testing.T) {
		var events sysfs.Events
		found := make(chan string, 1)
		go func() {
			dev, err := h.device(t.Context(), &events, 0, 3)
			if err != nil {
				t.Error(err)
			}
			found <- dev
		}()
		synctest.Wait()
		h.addDisk(t, "0:0:3:0", "sdx")
		events.Notify()
		synctest.Wait()
		if len(found) > 0 {
			t.Fatal("found before it could be opened")
		}
		if err := os.WriteFile(filepath.Join(h.dev, "sdx"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		events.Notify()
		if dev := <-found; dev != filepath.Join(h.dev, "sdx") {
			t.Errorf("found %q", dev)
		}
	})
}

func TestADiskThatDoesNotShowIsAskedForAndThenGivenUp(t *testing.T) {
	for name, scan := range map[string]bool{"the adapter can be asked": true, "it cannot": false} {
		t.Run(name, func(t *testing.T) {
			h := sysfsOf(t, map[string][2]string{"host0": {"vmw_pvscsi", "pci0"}})
			file := filepath.Join(h.sys, "class/scsi_host/host0/scan")
			if scan {
				if err := os.WriteFile(file, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), deviceTimeout)
				defer cancel()
				_, err := h.device(ctx, &sysfs.Events{}, 0, 3)
				if !errors.Is(err, errdef.ErrUnavailable) || !strings.Contains(err.Error(), "SCSI target 3") {
					t.Error(err)
				}
			})
			if b, _ := os.ReadFile(file); scan && string(b) != "0 3 0" {
				t.Errorf("asked for %q", b)
			}
		})
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
