package e2e

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

func TestStatsAndTop(t *testing.T) {
	beside(t)
	id := container(t, "--name", "burner", "busybox", "sh", "-c", "while :; do :; done")
	idle := container(t, "--label", "story=stats", "busybox", "sleep", "36000")
	percent := func(id string) float64 {
		out := docker(t, "stats", "--no-stream", "--format", "{{.CPUPerc}}", id)
		f, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(out), "%"), 64)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	busy, lazy := percent(id), percent(idle)
	if busy < 3*lazy || busy == 0 {
		t.Errorf("CPU: %.1f %% of the burner, %.1f %% of the idle one", busy, lazy)
	}
	progress("docker stats: %.1f %% of a burner, %.1f %% of an idle one", busy, lazy)
	var s struct{ Name, MemUsage, PIDs, NetIO, BlockIO string }
	if err := json.Unmarshal([]byte(docker(t, "stats", "--no-stream", "--format", "json", id)), &s); err != nil {
		t.Fatal(err)
	}
	if s.Name != "burner" || s.PIDs != "1" || !strings.Contains(s.MemUsage, "MiB / ") && !strings.Contains(s.MemUsage, "KiB / ") ||
		strings.HasPrefix(s.BlockIO, "0B / 0B") {
		t.Errorf("stats %+v", s)
	}
	if out := docker(t, "top", id); !strings.HasPrefix(out, "UID") || !strings.Contains(out, "sh -c while :; do :; done") || !strings.Contains(out, "root") {
		t.Errorf("top: %q", out)
	}
	if out := docker(t, "top", id, "-o", "pid,comm"); strings.Join(strings.Fields(strings.SplitN(out, "\n", 2)[0]), " ") != "PID COMMAND" ||
		!strings.Contains(out, "sh") {
		t.Errorf("top -o: %q", out)
	}
	docker(t, "stop", "-t", "0", idle)
	if out := docker(t, "container", "prune", "-f", "--filter", "label=story=stats"); !strings.Contains(out, idle) || strings.Contains(out, id) ||
		strings.Contains(out, "space: 0B") {
		t.Errorf("prune: %q", out)
	}
}
