package main

import (
	"fmt"
	"os"
	"path/filepath"

	"slices"
	"strconv"
	"strings"
	"time"
)

// ticks is how many clock ticks of /proc/PID/stat are a second, on every Linux of today.
const ticks = 100

// cpu is the processor time that the lab's processes have taken so far: the lab itself, the endpoint
// VM's QEMU and the other VMs' together.
type cpu struct{ lab, endpoint, containers time.Duration }

func (b *bench) cpu() cpu {
	var c cpu
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		line, err := os.ReadFile(f)
		args := strings.Split(string(line), "\x00")
		if err != nil || !strings.Contains(string(line), b.Dir) || slices.Contains(args, "down") {
			continue
		}
		took := used(filepath.Join(filepath.Dir(f), "stat"))
		switch {
		case strings.Contains(string(line), "appliance"): // the ISO that it boots
			c.endpoint += took
		case strings.Contains(string(line), "bootstrap"):
			c.containers += took
		default:
			c.lab += took
		}
	}
	return c
}

// used reads user and system time; a process that has gone counts as none.
func used(stat string) time.Duration {
	text, err := os.ReadFile(stat)
	if err != nil {
		return 0
	}
	// The second field is the name in parentheses, which may hold spaces.
	f := strings.Fields(string(text)[strings.LastIndexByte(string(text), ')')+1:])
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * time.Second / ticks
}

// since tells what was taken since an earlier look, per MB.
func (c cpu) since(was cpu, mb float64) string {
	each := func(d time.Duration) float64 { return d.Seconds() * 1000 / mb }
	return fmt.Sprintf("container VM %.0f, endpoint VM %.0f, lab %.0f ms of CPU a MB",
		each(c.containers-was.containers), each(c.endpoint-was.endpoint), each(c.lab-was.lab))
}
