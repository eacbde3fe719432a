package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheHubRunsAsAContainer loads the hub's image, runs it on the VCH and finds in its volume what it made there.
func TestTheHubRunsAsAContainer(t *testing.T) {
	beside(t)
	file := filepath.Join(t.TempDir(), "vic-hub.tar")
	build := exec.Command("go", "run", "./contrib/pack", "-bin", filepath.Join(theLab.Build, "bin"), "-version", "e2e", "-hub-image", file)
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if out := docker(t, "load", "-i", file); !strings.Contains(out, "vic-hub:e2e") {
		t.Errorf("%q", out)
	}
	t.Cleanup(func() { dockerRun(context.Background(), nil, "rmi", "-f", "vic-hub:e2e") })
	hub := container(t, "-m", "512m", "-v", "/var/lib/vic-hub", "vic-hub:e2e")
	await(t, func() string { // the plugin writes it when it is configured, after the hub began to serve
		if r := dockerRun(t.Context(), nil, "cp", hub+":/var/lib/vic-hub/users/first-password", t.TempDir()); r.Code != 0 {
			return r.Stderr + dockerRun(t.Context(), nil, "logs", hub).Stderr
		}
		return ""
	})
	docker(t, "stop", hub)
	if code := strings.TrimSpace(docker(t, "inspect", "-f", "{{.State.ExitCode}}", hub)); code != "0" {
		t.Errorf("stopped with %s: %s", code, dockerRun(t.Context(), nil, "logs", hub).Stderr)
	}
}
