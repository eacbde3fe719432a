package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/openvic/vic/contrib/lab/l2"
	"github.com/openvic/vic/sdk/guest"
)

// unplugTimeout bounds the wait for the guest to release a device.
const unplugTimeout = 10 * time.Second

// joinTimeout bounds the wait for QEMU to connect a NIC.
const joinTimeout = 10 * time.Second

// Machine is a running VM.
type Machine struct {
	host *Host
	spec Spec
	cmd  *exec.Cmd
	mon  *monitor
	rpc  *channel
	log  string
	done chan struct{}

	mu    sync.Mutex
	slots []string         // free root ports
	nics  map[int32]string // NIC key: root port
	cause string           // why QEMU ended, as it said
}

// Start runs a VM. On an error nothing is left behind.
func (h *Host) Start(ctx context.Context, spec Spec) (*Machine, error) {
	m := &Machine{host: h, spec: spec, done: make(chan struct{}), nics: map[int32]string{}, log: filepath.Join(spec.Dir, "qemu.log")}
	if err := errors.Join(os.RemoveAll(spec.Dir), os.MkdirAll(spec.Dir, 0o700)); err != nil {
		return nil, err
	}
	for i := range spec.ports() {
		m.slots = append(m.slots, fmt.Sprintf("rp%d", i))
	}
	begin := time.Now()
	if err := m.boot(ctx); err != nil {
		m.Kill()
		return nil, m.explain(err)
	}
	h.cfg.Log.Info("machine started", "vm", spec.Name, "id", spec.ID, "pid", m.cmd.Process.Pid, "took", time.Since(begin).Round(time.Millisecond))
	return m, nil
}

func (m *Machine) boot(ctx context.Context) error {
	if m.spec.CDROM != "" {
		if _, err := os.Stat(m.spec.CDROM); err != nil {
			return err
		}
	}
	mon, rpc, err := m.exec(ctx)
	if err != nil {
		return err
	}
	m.rpc = &channel{conn: rpc, answer: m.spec.Answer}
	if m.mon, err = newMonitor(mon, m.event); err != nil {
		return err
	}
	for _, d := range m.spec.Disks {
		if err := m.AddDisk(d); err != nil {
			return err
		}
	}
	for _, n := range m.spec.NICs {
		if err := m.AddNIC(n); err != nil {
			return err
		}
	}
	go m.rpc.serve()
	return m.mon.run("cont", nil)
}

// exec starts the process and returns our ends of its monitor and of its guestinfo port.
func (m *Machine) exec(ctx context.Context) (mon, rpc net.Conn, err error) {
	mon, monFar, err := l2.Pair()
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = monFar.Close() }()
	rpc, rpcFar, err := l2.Pair()
	if err != nil {
		_ = mon.Close()
		return nil, nil, err
	}
	defer func() { _ = rpcFar.Close() }()
	out, err := os.Create(m.log)
	if err != nil {
		_, _ = mon.Close(), rpc.Close()
		return nil, nil, err
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(m.host.path, m.host.args(&m.spec, guest.RPCIPort)...)
	cmd.Dir = m.spec.Dir
	cmd.ExtraFiles = []*os.File{monFar, rpcFar}
	cmd.Stdout, cmd.Stderr = out, out
	// A session of its own keeps a Ctrl-C in the lab's terminal away from the guests.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
	if err := m.host.start(ctx, cmd); err != nil {
		_, _ = mon.Close(), rpc.Close()
		return nil, nil, err
	}
	m.cmd = cmd
	go m.reap(mon, rpc)
	return mon, rpc, nil
}

func (m *Machine) reap(mon, rpc net.Conn) {
	_ = m.cmd.Wait() // how it ended is in the log and in the SHUTDOWN event
	_, _ = mon.Close(), rpc.Close()
	close(m.done)
}

func (m *Machine) event(name string, d eventData) {
	switch name {
	case "RESET":
		m.rpc.reset()
	case "SHUTDOWN":
		m.mu.Lock()
		m.cause = d.Reason
		m.mu.Unlock()
	}
	m.host.cfg.Log.Debug("machine event", "id", m.spec.ID, "event", name, "device", d.Device, "reason", d.Reason)
}

// explain adds what QEMU printed.
func (m *Machine) explain(err error) error {
	b, rerr := os.ReadFile(m.log)
	if b = bytes.TrimSpace(b); rerr != nil || len(b) == 0 {
		return err
	}
	return fmt.Errorf("%w: %s", err, b)
}

// Done is closed when the VM has stopped.
func (m *Machine) Done() <-chan struct{} { return m.done }

// Cause says why the VM stopped, in QEMU's words ("guest-shutdown", ...); empty when it was killed
// or crashed.
func (m *Machine) Cause() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cause
}

// PID is the process of the VM.
func (m *Machine) PID() int { return m.cmd.Process.Pid }

// Kill pulls the plug and waits until the process is gone.
func (m *Machine) Kill() {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Kill() // an error means that it has ended
	<-m.done
}

// Reset presses the reset button.
func (m *Machine) Reset() error { return m.mon.run("system_reset", nil) }

// Tell sends a line to the guest outside of any request, as vSphere's TCLO does.
func (m *Machine) Tell(line string) error { return m.rpc.send(line) }

// AddDisk plugs a disk.
func (m *Machine) AddDisk(d Disk) error {
	node := diskID(d.Key)
	file := args{"driver": "file", "filename": d.File}
	blk := args{"driver": "vmdk", "node-name": node, "file": file, "cache": args{"no-flush": true}}
	if d.Scratch {
		overlay := filepath.Join(m.spec.Dir, node+".qcow2")
		out, err := exec.Command("qemu-img", "create", "-q", "-f", "qcow2", "-F", "vmdk", "-b", d.File, overlay).CombinedOutput()
		if err != nil {
			return fmt.Errorf("overlay of %s: %w: %s", d.File, err, bytes.TrimSpace(out))
		}
		blk["driver"], blk["file"] = "qcow2", args{"driver": "file", "filename": overlay}
	}
	if err := m.mon.run("blockdev-add", blk); err != nil {
		return err
	}
	err := m.mon.run("device_add", args{"driver": "scsi-hd", "id": node, "drive": node, "bus": fmt.Sprintf("scsi%d.0", d.Bus),
		"scsi-id": d.Unit, "lun": 0, "serial": strings.NewReplacer("-", "", " ", "").Replace(d.Serial),
		"vendor": "VMware", "product": "Virtual disk"})
	if err != nil {
		return errors.Join(err, m.mon.run("blockdev-del", args{"node-name": node}))
	}
	return nil
}

// AddNIC plugs a network card.
func (m *Machine) AddNIC(n NIC) error {
	slot, err := m.takeSlot(n.Key)
	if err != nil {
		return err
	}
	id := nicID(n.Key)
	if err := m.addNIC(id, slot, n); err != nil {
		m.freeSlot(n.Key)
		return err
	}
	return nil
}

func (m *Machine) addNIC(id, slot string, n NIC) error {
	l, err := m.listen(id)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	// QEMU works in spec.Dir, so the name alone is a path for it.
	err = m.mon.run("netdev_add", args{"type": "stream", "id": id, "server": false, "addr": args{"type": "unix", "path": id}})
	if err != nil {
		return err
	}
	if err = m.join(l, n.Segment); err == nil {
		err = m.mon.run("device_add", args{"driver": n.Model, "id": id, "netdev": id, "bus": slot, "mac": n.MAC, "romfile": ""})
	}
	if err != nil {
		return errors.Join(err, m.mon.run("netdev_del", args{"id": id}))
	}
	return nil
}

// listen makes a socket in the VM's folder. It goes through the folder's descriptor because the
// address of a Unix socket holds no more than 108 bytes.
func (m *Machine) listen(name string) (*net.UnixListener, error) {
	d, err := os.Open(m.spec.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	_ = os.Remove(filepath.Join(m.spec.Dir, name))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), name)})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // by that name it is no longer reached; the folder goes with the VM
	return l, nil
}

// join takes QEMU's connection for a NIC and plugs it into the fabric.
func (m *Machine) join(l *net.UnixListener, segment string) error {
	if err := l.SetDeadline(time.Now().Add(joinTimeout)); err != nil {
		return err
	}
	c, err := l.Accept()
	if err != nil {
		return fmt.Errorf("network %s: %w", segment, err)
	}
	return m.host.cfg.Plug(segment, c)
}

func (m *Machine) takeSlot(key int32) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.slots) == 0 {
		return "", ErrNoSlot
	}
	slot := m.slots[0]
	m.slots = m.slots[1:]
	m.nics[key] = slot
	return slot, nil
}

func (m *Machine) freeSlot(key int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if slot, ok := m.nics[key]; ok {
		m.slots = append(m.slots, slot)
		delete(m.nics, key)
	}
}

// RemoveDisk unplugs a disk; when it returns, the file is closed.
func (m *Machine) RemoveDisk(key int32) error {
	if err := m.unplug(diskID(key)); err != nil {
		return err
	}
	return m.mon.run("blockdev-del", args{"node-name": diskID(key)})
}

// RemoveNIC unplugs a network card.
func (m *Machine) RemoveNIC(key int32) error {
	if err := m.unplug(nicID(key)); err != nil {
		return err
	}
	m.freeSlot(key)
	return m.mon.run("netdev_del", args{"id": nicID(key)})
}

func (m *Machine) unplug(id string) error {
	gone := m.mon.watchRelease(id)
	if err := m.mon.run("device_del", args{"id": id}); err != nil {
		return err
	}
	t := time.NewTimer(unplugTimeout)
	defer t.Stop()
	select {
	case <-gone:
		return nil
	case <-m.done:
		return ErrStopped
	case <-t.C:
		return fmt.Errorf("%s: %w", id, ErrUnplug)
	}
}

// SetCDROM changes the medium; an empty file name takes it out.
func (m *Machine) SetCDROM(file string) error {
	if file == "" {
		return m.mon.run("eject", args{"id": "cd0", "force": true})
	}
	return m.mon.run("blockdev-change-medium", args{"id": "cd0", "filename": file, "format": "raw", "read-only-mode": "read-only", "force": true})
}

func diskID(key int32) string { return fmt.Sprintf("d%d", key) }
func nicID(key int32) string  { return fmt.Sprintf("n%d", key) }
