package kernel

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"
)

func TestEmulatedProcessor(t *testing.T) {
	for model, want := range map[string]bool{
		"QEMU TCG CPU version 2.5+":                 true,
		"QEMU Virtual CPU version 2.5+":             false, // may be KVM's
		"Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz":  false,
		"AMD EPYC 7543 (not a QEMU TCG CPU, truly)": false,
	} {
		if got := emulated("processor\t: 0\nvendor_id\t: x\nmodel name\t: " + model + "\nflags\t: fpu\n"); got != want {
			t.Errorf("%s: %v", model, got)
		}
	}
	if emulated("") {
		t.Error("an unknown processor counts as emulated")
	}
}

func TestTimerSlackOfAllThreads(t *testing.T) {
	before, err := os.ReadFile("/proc/self/timerslack_ns")
	if err != nil {
		t.Skip(err)
	}
	was, err := time.ParseDuration(strings.TrimSpace(string(before)) + "ns")
	if err != nil {
		t.Fatal(err)
	}
	if err := SetTimerSlack(3 * time.Millisecond); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := SetTimerSlack(was); err != nil {
			t.Error(err)
		}
	})
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil || len(threads) < 2 {
		t.Fatalf("%d threads, %v", len(threads), err)
	}
	for _, thread := range threads {
		b, err := os.ReadFile("/proc/" + thread.Name() + "/timerslack_ns")
		if err == nil && strings.TrimSpace(string(b)) != "3000000" {
			t.Errorf("thread %s has %s", thread.Name(), b)
		}
	}
}
