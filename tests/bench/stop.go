package main

import (
	"fmt"
	"strings"
	"time"
)

// stops is benchmark (j): from docker stop to its answer and to the VM off in vSphere, of a process
// that ends on SIGTERM at once; over docker version, which asks for nothing.
func (b *bench) stops() error {
	if _, err := b.timed("pull", "-q", "busybox"); err != nil {
		return err
	}
	var answers, offs, versions []time.Duration
	for range min(b.runs, 5) {
		answer, off, err := b.stop()
		if err != nil {
			return err
		}
		v, err := b.timed("version")
		if err != nil {
			return err
		}
		answers, offs, versions = append(answers, answer), append(offs, off), append(versions, v)
	}
	a, o, v := median(answers), median(offs), median(versions)
	row("(j) docker stop to its answer: %s; to the VM off: %s; docker version: %s; ratio %.2f", seconds(a), seconds(o), seconds(v), o.Seconds()/v.Seconds())
	return nil
}

// stop measures one stop.
func (b *bench) stop() (answer, off time.Duration, err error) {
	id, err := b.must("run", "-d", "busybox", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait; done")
	if err != nil {
		return 0, 0, err
	}
	id = strings.TrimSpace(id)
	defer b.must("rm", "-f", id)
	vm, err := b.must("inspect", "--format", "{{.GraphDriver.Data.VM}}", id)
	if err != nil {
		return 0, 0, err
	}
	vm = "VirtualMachine:" + strings.TrimSpace(vm)
	time.Sleep(time.Second) // the trap is set
	begin := time.Now()
	if _, err := b.must("stop", id); err != nil {
		return 0, 0, err
	}
	answer = time.Since(begin)
	for time.Since(begin) < time.Minute {
		state, err := b.Govc("object.collect", "-s", vm, "runtime.powerState")
		if err != nil {
			return 0, 0, err
		}
		if strings.TrimSpace(state) == "poweredOff" {
			return answer, time.Since(begin), nil
		}
	}
	return 0, 0, fmt.Errorf("the VM of %s is still on a minute after docker stop", id)
}
