package qemu

import (
	"fmt"
	"strconv"
	"strings"
)

// The file descriptors that QEMU inherits.
const (
	fdMonitor = 3
	fdGuest   = 4
)

// Addresses on the root complex. They are fixed so that a VM sees the same PCI addresses each boot.
const (
	slotSCSI   = 0x04 // and the three above it
	slotSerial = 0x10
	slotPorts  = 0x11
	minPorts   = 4
	maxPorts   = 12
)

// ports is the number of hot-plug slots: the VM's NICs and some to spare.
func (s *Spec) ports() int { return min(max(minPorts, len(s.NICs)+2), maxPorts) }

// args is QEMU's command line: everything but disks and NICs.
func (h *Host) args(s *Spec, rpcName string) []string {
	accel := h.cfg.Accel
	if accel == "tcg" {
		accel = fmt.Sprintf("tcg,thread=multi,tb-size=%d", translationBuffer(s.MemoryMB))
	}
	a := []string{"-name", "guest=" + escape(s.Name), "-nodefaults", "-no-user-config", "-display", "none",
		"-M", "q35", "-S", "-accel", accel, "-smp", strconv.Itoa(max(s.CPUs, 1)), "-m", strconv.Itoa(s.MemoryMB),
		"-chardev", fmt.Sprintf("socket,id=mon,fd=%d", fdMonitor), "-mon", "chardev=mon,mode=control",
		"-chardev", fmt.Sprintf("socket,id=rpc,fd=%d", fdGuest)}
	a = append(a, "-cpu", h.cpu(s))
	for i, c := range s.Controllers {
		a = append(a, "-device", fmt.Sprintf("%s,id=scsi%d,bus=pcie.0,addr=0x%x", c.Model, c.Bus, slotSCSI+i))
	}
	a = append(a, "-device", fmt.Sprintf("virtio-serial-pci,id=vs0,bus=pcie.0,addr=0x%x", slotSerial),
		"-device", "virtserialport,bus=vs0.0,chardev=rpc,name="+rpcName)
	for i := range s.ports() {
		a = append(a, "-device", fmt.Sprintf("pcie-root-port,id=rp%d,bus=pcie.0,chassis=%d,slot=%d,addr=0x%x", i, i+1, i+1, slotPorts+i))
	}
	for i, p := range s.Serials {
		id := fmt.Sprintf("ser%d", i)
		a = append(a, "-chardev", p.chardev(id), "-device", "isa-serial,chardev="+id)
	}
	return append(a, cdrom(s.CDROM)...)
}

// Processors for TCG. Without RDRAND a guest waits one to two seconds for its first random bytes.
// Without AES and PCLMULQDQ, which TCG runs in loops, Go's TLS chooses ChaCha20. "max" has AVX, with
// which Go copies memory eight times as fast (else by rep movsq, which TCG runs word by word), and
// comes here without "fast string" moves, with which the guest's kernel would copy by rep movsb, byte
// by byte. AVX2 makes SHA-256 twice as fast, which is what image pulls do, and ChaCha20 a third slower,
// which is what small VMs do. All of them boot in the same time.
const (
	largeCPU = "max,la57=off,erms=off,aes=off,pclmulqdq=off"
	smallCPU = largeCPU + ",avx2=off"
	largeMB  = 1024
)

func (h *Host) cpu(s *Spec) string {
	switch {
	case h.cfg.CPU != "":
		return h.cfg.CPU
	case h.cfg.Accel == "kvm":
		return "host"
	case s.MemoryMB >= largeMB:
		return largeCPU
	}
	return smallCPU
}

// translationBuffer is TCG's code cache in MiB. 64 is enough for a small guest; the cache is
// touched, so it costs that much resident memory.
func translationBuffer(memoryMB int) int {
	if memoryMB >= largeMB {
		return 256
	}
	return 64
}

func cdrom(iso string) []string {
	if iso == "" {
		return []string{"-device", "ide-cd,id=cd0,bus=ide.0"}
	}
	return []string{"-drive", "if=none,id=cd,media=cdrom,readonly=on,format=raw,file=" + escape(iso),
		"-device", "ide-cd,id=cd0,drive=cd,bus=ide.0,bootindex=1"}
}

func (p Serial) chardev(id string) string {
	switch {
	case p.Host != "":
		opt := "server=off,reconnect=1"
		if p.Server {
			opt = "server=on,wait=off"
		}
		if p.Telnet {
			opt += ",telnet=on"
		}
		return fmt.Sprintf("socket,id=%s,host=%s,port=%s,%s,nodelay=on", id, escape(p.Host), escape(p.Port), opt)
	case p.File != "":
		return fmt.Sprintf("file,id=%s,append=on,path=%s", id, escape(p.File))
	}
	return "null,id=" + id
}

// escape doubles commas, which part options on QEMU's command line.
func escape(s string) string { return strings.ReplaceAll(s, ",", ",,") }
