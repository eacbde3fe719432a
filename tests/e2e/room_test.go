package e2e

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/tests/harness"
)

// TestManyContainersAtOnce makes, starts and removes containers side by side.
func TestManyContainersAtOnce(t *testing.T) {
	beside(t)
	const n = 8
	docker(t, "pull", "-q", "busybox")
	start := time.Now()
	ids := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			r := dockerRun(t.Context(), nil, "run", "-d", "-m", "128m", "busybox", "sleep", "36000")
			if r.Code != 0 {
				t.Errorf("run %d: exit %d: %s", i, r.Code, r.Stderr)
			}
			ids[i] = strings.TrimSpace(r.Stdout)
		})
	}
	wg.Wait()
	progress("%d docker run -d at once: %.1f s", n, time.Since(start).Seconds())
	for _, id := range ids {
		if got := inspect(t, id, "{{.State.Running}}"); got != "true" {
			t.Errorf("%s runs: %s", id, got)
		}
	}
	for _, id := range ids {
		wg.Go(func() {
			if r := dockerRun(t.Context(), nil, "rm", "-f", id); r.Code != 0 {
				t.Errorf("rm: exit %d: %s", r.Code, r.Stderr)
			}
		})
	}
	wg.Wait()
}

// TestNoRoom gives the VCH less memory while it runs: what does not fit is refused with the numbers,
// and starts when there is room again.
func TestNoRoom(t *testing.T) {
	alone(t)
	docker(t, "pull", "-q", "busybox")
	limit := func(mb string) {
		t.Helper()
		if _, err := theLab.Govc("pool.change", "-mem.limit", mb, "/dc1/host/cluster1/Resources/"+harness.VCH); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { limit("-1") })
	id := strings.TrimSpace(docker(t, "create", "-m", "512m", "busybox", "sleep", "36000"))
	t.Cleanup(func() { dockerRun(context.Background(), nil, "rm", "-f", id) })
	limit("1280") // of which the endpoint VM has 1024
	await(t, func() string {
		if got := strings.TrimSpace(docker(t, "info", "--format", "{{.MemTotal}}")); got != "268435456" {
			return "docker info shows " + got + " bytes"
		}
		return ""
	})
	r := dockerRun(t.Context(), nil, "start", id)
	if r.Code == 0 || !strings.Contains(r.Stderr, "no room for container") ||
		!strings.Contains(r.Stderr, "needs 512 MB of memory, 256 MB are free of the 256 MB") {
		t.Errorf("start without room: exit %d: %s", r.Code, r.Stderr)
	}
	limit("-1")
	await(t, func() string { return dockerRun(t.Context(), nil, "start", id).Stderr })
}
