package main

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// run is benchmark (a): docker run to its first output, over the same ISO (kernel and initramfs)
// booted by QEMU alone until its init speaks.
func (b *bench) run() error {
	if _, err := b.timed("pull", "-q", "busybox"); err != nil {
		return err
	}
	var firsts, ends, creates, starts, uptimes, bare []time.Duration
	for range b.runs {
		alone, err := b.bootAlone("bootstrap.iso", 256, 1)
		if err != nil {
			return err
		}
		bare = append(bare, alone)
		first, end, _, err := b.firstOutput("run", "--rm", "busybox", "echo", "hello")
		if err != nil {
			return err
		}
		firsts, ends = append(firsts, first), append(ends, end)
	}
	for range min(b.runs, 5) {
		c, s, u, err := b.steps()
		if err != nil {
			return err
		}
		creates, starts, uptimes = append(creates, c), append(starts, s), append(uptimes, u)
	}
	f, q := median(firsts), median(bare)
	row("(a) docker run to first output, median of %d: %s; QEMU alone to init: %s; ratio %.2f (aim 2.0)", b.runs, seconds(f), seconds(q), f.Seconds()/q.Seconds())
	c, s, u := median(creates), median(starts), median(uptimes)
	row("    where it goes: docker create (CLI and API)      %s", seconds(c))
	row("                   docker start to first output     %s", seconds(s))
	row("                     of it the guest, kernel to process %s", seconds(u))
	row("                     of it power-on, firmware, loader, link, CLI %s", seconds(s-u))
	row("                   first output to the end of --rm  %s", seconds(median(ends)-f))
	return nil
}

// steps measures create and start apart, and the guest's uptime when the process runs.
func (b *bench) steps() (create, start, uptime time.Duration, err error) {
	begin := time.Now()
	id, err := b.must("create", "busybox", "cut", "-d ", "-f1", "/proc/uptime")
	if err != nil {
		return 0, 0, 0, err
	}
	create = time.Since(begin)
	id = strings.TrimSpace(id)
	defer b.must("rm", "-f", id)
	start, _, out, err := b.firstOutput("start", "-a", id)
	if err != nil {
		return 0, 0, 0, err
	}
	up, err := strconv.ParseFloat(strings.TrimSpace(out), 64)
	return create, start, time.Duration(up * float64(time.Second)), err
}

// bootAlone boots an ISO in a QEMU without a lab and returns when the tether's first line is on the
// serial console.
func (b *bench) bootAlone(iso string, memoryMB, cpus int) (time.Duration, error) {
	cmd := exec.Command("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-M", "q35",
		"-accel", "tcg,tb-size=64", "-m", strconv.Itoa(memoryMB), "-smp", strconv.Itoa(cpus), "-device", "pvscsi",
		"-cdrom", filepath.Join(b.Build, "iso", iso), "-serial", "stdio")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	timer := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer timer.Stop()
	defer cmd.Wait()
	defer cmd.Process.Kill()
	for s := bufio.NewScanner(out); s.Scan(); {
		if strings.Contains(s.Text(), "tether") {
			return time.Since(start), nil
		}
	}
	return 0, fmt.Errorf("%s booted by QEMU alone printed no line of the tether within a minute", iso)
}
