// Package qemu runs the lab's virtual machines: one QEMU process each, with the devices that a VM
// has on vSphere (pvscsi, vmxnet3, AHCI CD-ROM, 16550) and a virtio-serial port for guestinfo.
//
// The monitor and the guestinfo port are socket pairs handed down at start: no listener, no path,
// nothing to race for, nothing to clean up. (A NIC cannot have one: QEMU 7.2 looks for a named
// descriptor in a thread that does not know it and leaves the NIC unconnected, without an error.)
// Disks and NICs are plugged by QMP before the first instruction runs, so the cold and the hot path
// are the same code.
package qemu

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// The errors that a caller tells apart.
var (
	ErrNoQEMU  = errors.New("QEMU is missing")
	ErrLocked  = errors.New("disk is in use by another virtual machine")
	ErrStopped = errors.New("the virtual machine has stopped")
	ErrNoSlot  = errors.New("no free PCI slot")
	ErrUnplug  = errors.New("the guest did not release the device")
)

// Spec is the hardware of a VM.
type Spec struct {
	ID          string // for messages
	Name        string
	Dir         string // for QEMU's log and scratch overlays; made and emptied at start
	CPUs        int
	MemoryMB    int
	Controllers []Controller
	Disks       []Disk
	NICs        []NIC
	CDROM       string // an ISO file; empty for an empty drive
	Serials     []Serial
	// Answer replies to a line of the guestinfo port.
	Answer func(request string) string
}

// Controller is a SCSI adapter.
type Controller struct {
	Bus   int
	Model string // QEMU's device name: pvscsi, virtio-scsi-pci, lsi53c895a, mptsas1068
}

// Disk is a SCSI disk backed by a VMDK.
type Disk struct {
	Key       int32
	Bus, Unit int
	File      string
	Serial    string
	// Scratch discards all writes at power off (vSphere's nonpersistent modes).
	Scratch bool
}

// NIC is a network card on a segment of the fabric.
type NIC struct {
	Key     int32
	Model   string // vmxnet3, e1000
	MAC     string
	Segment string
}

// Serial is a 16550.
type Serial struct {
	File   string // appended to
	Host   string // or TCP: host and port
	Port   string
	Server bool
	Telnet bool
}

// Config configures a Host.
type Config struct {
	Binary string // default qemu-system-x86_64
	Accel  string // tcg, kvm; default: what the CPU offers
	CPU    string // QEMU's -cpu for all VMs; default: by size
	// Plug attaches a NIC's connection to a network segment.
	Plug func(segment string, c net.Conn) error
	Log  *slog.Logger
}

// Host starts machines.
type Host struct {
	cfg   Config
	path  string
	spawn chan func()
	done  chan struct{}
}

// NewHost checks that QEMU is there and makes it ready to start machines.
func NewHost(cfg Config) (*Host, error) {
	if cfg.Binary == "" {
		cfg.Binary = "qemu-system-x86_64"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	path, err := exec.LookPath(cfg.Binary)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is not in PATH; on Debian: apt-get install qemu-system-x86 qemu-utils", ErrNoQEMU, cfg.Binary)
	}
	if _, err := exec.LookPath("qemu-img"); err != nil {
		return nil, fmt.Errorf("%w: qemu-img is not in PATH; on Debian: apt-get install qemu-utils", ErrNoQEMU)
	}
	if cfg.Accel == "" {
		cfg.Accel = accelerator()
	}
	h := &Host{cfg: cfg, path: path, spawn: make(chan func()), done: make(chan struct{})}
	go h.starter()
	return h, nil
}

// accelerator decides by the CPU's flags: a /dev/kvm that opens is no proof that guests run.
func accelerator() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil || (!strings.Contains(string(info), " vmx ") && !strings.Contains(string(info), " svm ")) {
		return "tcg"
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return "tcg"
	}
	_ = f.Close()
	return "kvm"
}

// starter starts all processes from one thread that lives as long as the host: the kernel sends
// the parent-death signal when the thread that forked ends, not when the process does.
func (h *Host) starter() {
	runtime.LockOSThread()
	for {
		select {
		case f := <-h.spawn:
			f()
		case <-h.done:
			return // the thread ends with this goroutine, and takes any QEMU that is left with it
		}
	}
}

// Close ends the starter; machines that still run are killed.
func (h *Host) Close() { close(h.done) }

// start runs cmd.Start on the starter's thread.
func (h *Host) start(ctx context.Context, cmd *exec.Cmd) error {
	res := make(chan error, 1)
	select {
	case h.spawn <- func() { res <- cmd.Start() }:
		return <-res
	case <-h.done:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}
