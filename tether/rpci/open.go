package rpci

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/sysfs"
)

func cpuid(leaf uint32) (a, b, c, d uint32)

// hypervisor returns the hypervisor's signature, empty on bare metal. The backdoor's port may be
// touched on VMware only: elsewhere it faults, or means something else.
func hypervisor() string {
	if _, _, c, _ := cpuid(1); c>>31 == 0 {
		return ""
	}
	_, b, c, d := cpuid(0x40000000)
	s := binary.LittleEndian.AppendUint32(nil, b)
	s = binary.LittleEndian.AppendUint32(s, c)
	s = binary.LittleEndian.AppendUint32(s, d)
	return string(s)
}

// OnVMware says that the machine is VMware's, not another one's model of its devices.
func OnVMware() bool { return hypervisor() == "VMwareVMware" }

// Open finds the transport of the machine that we run on, waiting for its device if need be.
func Open(ctx context.Context, events *sysfs.Events) (Transport, error) {
	if OnVMware() {
		return NewBackdoor(ctx), nil
	}
	var dev string
	err := events.Wait(ctx, "virtio-serial port "+guest.RPCIPort, func() bool {
		dev = findPort("/sys/class/virtio-ports", guest.RPCIPort)
		return dev != ""
	})
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join("/dev", dev), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open the RPCI port: %w", err)
	}
	context.AfterFunc(ctx, func() { f.Close() })
	return NewStream(ctx, f), nil
}

// findPort returns the device of the virtio-serial port of that name, "" if there is none.
func findPort(class, name string) string {
	ports, err := os.ReadDir(class)
	if err != nil {
		return ""
	}
	for _, p := range ports {
		b, err := os.ReadFile(filepath.Join(class, p.Name(), "name"))
		if err == nil && strings.TrimSpace(string(b)) == name {
			return p.Name()
		}
	}
	return ""
}
