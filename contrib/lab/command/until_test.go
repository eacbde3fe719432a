package command

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestProcessEnd(t *testing.T) {
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended, err := processEnd(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
		t.Error("it still runs")
	case <-time.After(20 * time.Millisecond):
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the end was not seen")
	}
	if never, err := processEnd(0); never != nil || err != nil {
		t.Error(never, err)
	}
	if _, err := processEnd(cmd.Process.Pid); err == nil {
		t.Error("a process that is gone is watched")
	}
	if _, err := processEnd(os.Getpid()); err != nil {
		t.Error(err)
	}
}
