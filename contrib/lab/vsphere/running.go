package vsphere

import (
	"path/filepath"
	"strings"
	"sync"

	"github.com/openvic/vic/contrib/lab/qemu"
)

// running is a VM that has a process. It knows which files the process has open.
type running struct {
	Machine
	name string

	mu    sync.Mutex
	disks map[int32]string
	iso   string
}

func newRunning(m Machine, spec qemu.Spec) *running {
	r := &running{Machine: m, name: spec.Name, disks: map[int32]string{}, iso: spec.CDROM}
	for _, d := range spec.Disks {
		r.disks[d.Key] = d.File
	}
	return r
}

// AddDisk plugs a disk.
func (r *running) AddDisk(d qemu.Disk) error {
	if err := r.Machine.AddDisk(d); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.disks[d.Key] = d.File
	return nil
}

// RemoveDisk unplugs a disk.
func (r *running) RemoveDisk(key int32) error {
	if err := r.Machine.RemoveDisk(key); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.disks, key)
	return nil
}

// SetCDROM changes the medium.
func (r *running) SetCDROM(file string) error {
	if err := r.Machine.SetCDROM(file); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.iso = file
	return nil
}

// uses says whether the process has the file open, or a file below it.
func (r *running) uses(target string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.iso != "" && within(r.iso, target) {
		return true
	}
	for _, d := range r.disks {
		stem := strings.TrimSuffix(d, ".vmdk")
		if within(d, target) || target == stem+"-flat.vmdk" || target == stem+"-delta.vmdk" {
			return true
		}
	}
	return false
}

func within(file, target string) bool {
	return file == target || strings.HasPrefix(file, target+string(filepath.Separator))
}

// userOf names the running VM that uses a file, or a file below a folder.
func (s *Server) userOf(target string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.machines {
		if m.uses(target) {
			return m.name
		}
	}
	return ""
}
