// Package usage reads what a container uses and which processes it has, from the kernel's own
// counters: the container's control group, and /proc.
package usage

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/openvic/vic/sdk/guest/linkv1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Reader reads the counters of one container. Proc and Sys are "/proc" and "/sys" but for tests.
type Reader struct {
	Proc, Sys string
	Group     string // directory of the control group
	Root      string // directory of the container's root file system, for the names of users
}

// Stats reads all counters.
func (r *Reader) Stats() (*linkv1.StatsResponse, error) {
	if r.Group == "" {
		return nil, errors.New("the container has no control group")
	}
	cpu, err := r.cpu()
	if err != nil {
		return nil, err
	}
	memory, err := r.memory()
	if err != nil {
		return nil, err
	}
	s := &linkv1.StatsResponse{Time: timestamppb.Now(), Cpu: cpu, Memory: memory, PidsLimit: r.groupNumber("pids.max"),
		Pids: r.groupNumber("pids.current")}
	if s.Interfaces, err = r.interfaces(); err != nil {
		return nil, err
	}
	s.Devices, err = r.devices()
	return s, err
}

// groupNumber reads a file of the control group that holds one number; "max" and no file are 0.
func (r *Reader) groupNumber(name string) int64 {
	b, err := os.ReadFile(filepath.Join(r.Group, name))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n
}

// pairs reads a file of lines "key value".
func pairs(path string) (map[string]uint64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := map[string]uint64{}
	for line := range strings.Lines(string(b)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 64); err == nil {
			m[k] = n
		}
	}
	return m, nil
}

func (r *Reader) cpu() (*linkv1.CPUStats, error) {
	m, err := pairs(filepath.Join(r.Group, "cpu.stat"))
	if err != nil {
		return nil, err
	}
	const us = 1000
	c := &linkv1.CPUStats{TotalNs: m["usage_usec"] * us, UserNs: m["user_usec"] * us, SystemNs: m["system_usec"] * us,
		Periods: m["nr_periods"], ThrottledPeriods: m["nr_throttled"], ThrottledNs: m["throttled_usec"] * us}
	b, err := os.ReadFile(filepath.Join(r.Proc, "stat"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		switch {
		case len(f) < 8 || !strings.HasPrefix(f[0], "cpu"):
		case f[0] == "cpu":
			for _, v := range f[1:8] { // user to softirq; what guests of this guest had is in user
				n, _ := strconv.ParseUint(v, 10, 64)
				c.MachineNs += n * uint64(time.Second/ticksPerSecond)
			}
		default:
			c.Online++
		}
	}
	return c, nil
}

// ticksPerSecond is the unit of times in /proc, the same on all of Linux's usual platforms.
const ticksPerSecond = 100

func (r *Reader) memory() (*linkv1.MemoryStats, error) {
	stats, err := pairs(filepath.Join(r.Group, "memory.stat"))
	if err != nil {
		return nil, err
	}
	total, err := r.memTotal()
	if err != nil {
		return nil, err
	}
	m := &linkv1.MemoryStats{Stats: stats, Usage: uint64(r.groupNumber("memory.current")), Limit: uint64(r.groupNumber("memory.max")),
		MaxUsage: uint64(r.groupNumber("memory.peak"))}
	if m.Limit == 0 || m.Limit > total {
		m.Limit = total
	}
	if events, err := pairs(filepath.Join(r.Group, "memory.events")); err == nil {
		m.Failures = events["max"]
	}
	return m, nil
}

// memTotal is the memory that the kernel has to give, in bytes.
func (r *Reader) memTotal() (uint64, error) {
	f, err := os.Open(filepath.Join(r.Proc, "meminfo"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		if v, ok := strings.CutPrefix(s.Text(), "MemTotal:"); ok {
			n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no MemTotal in %s: %w", f.Name(), s.Err())
}

// interfaces reads /proc/net/dev, all but the loopback.
func (r *Reader) interfaces() ([]*linkv1.InterfaceStats, error) {
	b, err := os.ReadFile(filepath.Join(r.Proc, "self/net/dev"))
	if err != nil {
		return nil, err
	}
	var all []*linkv1.InterfaceStats
	for line := range strings.Lines(string(b)) {
		name, rest, ok := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		n := numbers(strings.Fields(rest))
		if !ok || name == "lo" || len(n) < 12 {
			continue
		}
		all = append(all, &linkv1.InterfaceStats{Name: name, RxBytes: n[0], RxPackets: n[1], RxErrors: n[2], RxDropped: n[3],
			TxBytes: n[8], TxPackets: n[9], TxErrors: n[10], TxDropped: n[11]})
	}
	return all, nil
}

func numbers(fields []string) []uint64 {
	n := make([]uint64, len(fields))
	for i, f := range fields {
		n[i], _ = strconv.ParseUint(f, 10, 64)
	}
	return n
}

// sectorSize is the unit of /proc/diskstats, whatever the disk has.
const sectorSize = 512

// devices reads /proc/diskstats: the VM's whole disks. They are the container's alone, so that
// nothing has to be counted by control group.
func (r *Reader) devices() ([]*linkv1.DeviceStats, error) {
	b, err := os.ReadFile(filepath.Join(r.Proc, "diskstats"))
	if err != nil {
		return nil, err
	}
	var all []*linkv1.DeviceStats
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 10 {
			continue
		}
		if _, err := os.Stat(filepath.Join(r.Sys, "block", f[2])); err != nil {
			continue // a partition
		}
		n := numbers(f)
		if n[3] == 0 && n[7] == 0 {
			continue
		}
		all = append(all, &linkv1.DeviceStats{Major: n[0], Minor: n[1], Reads: n[3], ReadBytes: n[5] * sectorSize,
			Writes: n[7], WriteBytes: n[9] * sectorSize})
	}
	return all, nil
}
