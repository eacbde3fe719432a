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

// The lab's processes, by what they are.
const (
	theLab = iota
	endpoint
	containers
	kinds
)

// cpu is the processor time that each of the lab's processes has taken so far.
type cpu map[string]usage

type usage struct {
	kind int
	took time.Duration
}

func (b *bench) cpu() cpu {
	c := cpu{}
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		line, err := os.ReadFile(f)
		args := strings.Split(string(line), "\x00")
		if err != nil || !strings.Contains(string(line), b.Dir) || slices.Contains(args, "down") {
			continue
		}
		u := usage{theLab, used(filepath.Join(filepath.Dir(f), "stat"))}
		switch {
		case strings.Contains(string(line), "appliance"): // the ISO that it boots
			u.kind = endpoint
		case strings.Contains(string(line), "bootstrap"):
			u.kind = containers
		}
		c[filepath.Dir(f)] = u
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

// since tells what was taken since an earlier look, per MB, by processes that still run.
func (c cpu) since(was cpu, mb float64) string {
	var sum [kinds]time.Duration
	for pid, u := range c {
		sum[u.kind] += u.took - was[pid].took
	}
	each := func(kind int) float64 { return sum[kind].Seconds() * 1000 / mb }
	return fmt.Sprintf("container VM %.0f, endpoint VM %.0f, lab %.0f ms of CPU a MB", each(containers), each(endpoint), each(theLab))
}
