package e2e

import (
	"strconv"
	"strings"
	"testing"
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
	beside(t)
	since := now()
	id := container(t, "--restart", "on-failure:3", "busybox", "sh", "-c", "echo run; exit 3")
	await(t, func() string {
		return differs(inspect(t, id, "{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}"), "exited 3 3")
	})
	if got := docker(t, "logs", id); got != "run\nrun\nrun\nrun\n" {
		t.Errorf("logs %q", got)
	}
	await(t, func() string {
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

// anotherIsRestarted waits until the policy of a new container has started it again, by when it would have
// started one that had ended before.
func anotherIsRestarted(t *testing.T) {
	t.Helper()
	id := container(t, "--restart", "on-failure:1", "busybox", "false")
	await(t, func() string { return differs(inspect(t, id, "{{.State.Status}} {{.RestartCount}}"), "exited 1") })
}

func TestAlwaysHoldsWhileTheEndpointIsDown(t *testing.T) {
	alone(t)
	// Each run prints one line: the number of the run, kept on the container's disk.
	id := container(t, "--restart", "always", "busybox", "sh", "-c",
		"i=$(cat /n 2>/dev/null || echo 0); i=$((i+1)); echo $i > /n; echo $i; sleep 2; exit 1")
	await(t, func() string {
		if restarts(t, id) < 1 {
			return "it is not restarted"
		}
		return ""
	})
	before := restarts(t, id)
	resetEndpoint(t)
	await(t, func() string {
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
	anotherIsRestarted(t)
	if got := inspect(t, id, "{{.State.Status}}"); got != "exited" || restarts(t, id) != count {
		t.Errorf("after stop: %s, %d restarts, %d before", got, restarts(t, id), count)
	}
	progress("%s: %d restarts, %d of them before the reset", t.Name(), count, before)
}

func TestUnlessStoppedComesBackWhenItsVMGoesOff(t *testing.T) {
	beside(t)
	id := container(t, "--restart", "unless-stopped", "busybox", "sleep", "36000")
	if out, err := theLab.Govc("vm.power", "-off", "-force", vmOf(t, id)); err != nil {
		t.Fatal(err, out)
	}
	took := await(t, func() string {
		return differs(inspect(t, id, "{{.State.Status}} {{.RestartCount}}"), "running 1")
	})
	progress("%s: running again after %.1f s", t.Name(), took.Seconds())
	docker(t, "stop", "-t", "1", id)
	anotherIsRestarted(t)
	if got := inspect(t, id, "{{.State.Status}}"); got != "exited" {
		t.Errorf("after stop: %s", got)
	}
}
