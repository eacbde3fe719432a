package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestHealthCheckFollowsTheContainer(t *testing.T) {
	beside(t)
	since := now()
	id := container(t, "--health-cmd", "cat /ok", "--health-interval", "500ms", "--health-retries", "2", "busybox", "sh", "-c",
		"sleep 2; echo fine > /ok; sleep 36000")
	health := func() string {
		return strings.TrimSpace(dockerRun(t.Context(), nil, "inspect", "--format", "{{.State.Health.Status}}", id).Stdout)
	}
	awaitHealth := func(want string) {
		t.Helper()
		await(t, func() string { return differs(health(), want) })
	}
	awaitHealth("healthy")
	if got := docker(t, "ps", "--filter", "health=healthy", "--no-trunc", "--format", "{{.ID}} {{.Status}}"); !strings.HasPrefix(got, id) ||
		!strings.Contains(got, "(healthy)") {
		t.Errorf("ps: %q", got)
	}
	docker(t, "exec", id, "rm", "/ok")
	awaitHealth("unhealthy")
	var h struct {
		FailingStreak int
		Log           []struct {
			ExitCode int
			Output   string
		}
	}
	if err := json.Unmarshal([]byte(inspect(t, id, "{{json .State.Health}}")), &h); err != nil {
		t.Fatal(err)
	}
	last := h.Log[len(h.Log)-1]
	if h.FailingStreak < 2 || last.ExitCode != 1 || !strings.Contains(last.Output, "No such file") {
		t.Errorf("health %+v", h)
	}
	out := docker(t, "events", "--since", since, "--until", now(),
		"--filter", "container="+id, "--filter", "event=health_status", "--format", "{{.Action}}")
	if got := strings.ReplaceAll(strings.TrimSpace(out), "\n", ","); !strings.HasSuffix(got, "health_status: healthy,health_status: unhealthy") {
		t.Errorf("events %q", out)
	}
	if got := docker(t, "run", "--rm", "--no-healthcheck", "busybox", "echo", "ok"); got != "ok\n" {
		t.Errorf("--no-healthcheck: %q", got)
	}
}
