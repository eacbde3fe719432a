package e2e

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/tests/harness"
)

// theLab is the one lab of this test run.
var theLab *harness.Lab

func TestMain(m *testing.M) {
	os.Exit(harness.Main(func(l *harness.Lab) int {
		theLab = l
		return m.Run()
	}))
}

var progress = harness.Progress

func dockerRun(ctx context.Context, stdin []byte, args ...string) harness.Result {
	return theLab.Docker(ctx, stdin, args...)
}

// docker runs the docker CLI and fails the test if it fails.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	r := dockerRun(t.Context(), nil, args...)
	if r.Code != 0 {
		t.Fatalf("docker %s: exit %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// within calls f until it returns "" or the time is over; what it returned last is the failure.
func within(t *testing.T, d time.Duration, f func() string) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		msg := f()
		if msg == "" {
			return time.Since(start)
		}
		if time.Since(start) > d {
			t.Fatalf("not within %s: %s", d, msg)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// container starts a detached container that is removed at the end of the test.
func container(t *testing.T, args ...string) string {
	t.Helper()
	id := strings.TrimSpace(docker(t, append([]string{"run", "-d"}, args...)...))
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(theLab.Consoles(id[:12], 15))
		}
		dockerRun(context.Background(), nil, "rm", "-f", id)
	})
	return id
}

// now is the time as docker events takes it.
func now() string { return time.Now().Format(time.RFC3339Nano) }

func inspect(t *testing.T, id, format string) string {
	t.Helper()
	return strings.TrimSpace(docker(t, "inspect", "--format", format, id))
}
