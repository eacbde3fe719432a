package e2e

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/tests/harness"
)

// restarts is how often the policy has started a container again.
func restarts(t *testing.T, id string) int {
	t.Helper()
	r := dockerRun(t.Context(), nil, "inspect", "--format", "{{.RestartCount}}", id)
	n, err := strconv.Atoi(strings.TrimSpace(r.Stdout))
	if err != nil {
		return -1
	}
	return n
}

func TestOnFailureGivesUp(t *testing.T) {
	since := now()
	id := container(t, "--restart", "on-failure:3", "busybox", "sh", "-c", "echo run; exit 3")
	within(t, time.Minute, func() string {
		return differs(inspect(t, id, "{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}"), "exited 3 3")
	})
	if got := docker(t, "logs", id); got != "run\nrun\nrun\nrun\n" {
		t.Errorf("logs %q", got)
	}
	within(t, 10*time.Second, func() string {
		out := docker(t, "events", "--since", since, "--until", now(),
			"--filter", "container="+id, "--filter", "event=die", "--filter", "event=start", "--format", "{{.Action}}")
		return differs(strings.Join(strings.Fields(out), " "), "start die start die start die start die")
	})
	if r := dockerRun(t.Context(), nil, "run", "--rm", "--restart", "always", "busybox"); r.Code == 0 || !strings.Contains(r.Stderr, "onflicting options") {
		t.Errorf("--rm with --restart: %+v", r)
	}
}

func differs(got, want string) string {
	if got == want {
		return ""
	}
	return "got " + strconv.Quote(got) + ", want " + strconv.Quote(want)
}

func TestAlwaysHoldsWhileTheEndpointIsDown(t *testing.T) {
	// Each run prints one line: the number of the run, kept on the container's disk.
	id := container(t, "--restart", "always", "busybox", "sh", "-c",
		"i=$(cat /n 2>/dev/null || echo 0); i=$((i+1)); echo $i > /n; echo $i; sleep 2; exit 1")
	within(t, time.Minute, func() string {
		if restarts(t, id) < 1 {
			return "it is not restarted"
		}
		return ""
	})
	vms, err := theLab.Govc("find", "-i", "/", "-type", "m", "-name", harness.VCH)
	if err != nil {
		t.Fatal(err)
	}
	before := restarts(t, id)
	if _, err := theLab.Govc("vm.power", "-reset", strings.TrimSpace(vms)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if err := theLab.WaitServing(4 * time.Minute); err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, func() string {
		if n := restarts(t, id); n <= before {
			return "the count does not go on: " + strconv.Itoa(n)
		}
		return ""
	})
	docker(t, "stop", "-t", "1", id)
	count := restarts(t, id)
	if msg := everyLineOnce(docker(t, "logs", id)); msg != "" {
		t.Error("logs:", msg)
	}
	time.Sleep(2 * time.Second)
	if got := inspect(t, id, "{{.State.Status}}"); got != "exited" || restarts(t, id) != count {
		t.Errorf("after stop: %s, %d restarts, %d before", got, restarts(t, id), count)
	}
	progress("%s: %d restarts, %d of them before the reset", t.Name(), count, before)
}

func TestUnlessStoppedComesBackWhenItsVMGoesOff(t *testing.T) {
	id := container(t, "--restart", "unless-stopped", "busybox", "sleep", "600")
	if out, err := theLab.Govc("vm.power", "-off", "-force", vmOf(t, id)); err != nil {
		t.Fatal(err, out)
	}
	took := within(t, time.Minute, func() string {
		return differs(inspect(t, id, "{{.State.Status}} {{.RestartCount}}"), "running 1")
	})
	progress("%s: running again after %.1f s", t.Name(), took.Seconds())
	docker(t, "stop", "-t", "1", id)
	time.Sleep(time.Second)
	if got := inspect(t, id, "{{.State.Status}}"); got != "exited" {
		t.Errorf("after stop: %s", got)
	}
}
