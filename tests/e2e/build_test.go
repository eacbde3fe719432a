package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/tests/harness"
)

// buildx runs docker buildx, which prints its progress to stderr.
func buildx(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*harness.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(theLab.Build, "tools", "buildx"), args...)
	cmd.Env = append(theLab.DockerCmd(ctx).Env, "BUILDX_CONFIG="+filepath.Join(theLab.Dir, "buildx"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("docker buildx %s: %v\n%s", strings.Join(args, " "), err, out.String())
	}
	return out.String()
}

// TestBuildInAContainerVM builds an image with BuildKit in a container of the VCH, loads it into the
// VCH and pushes it to the registry.
func TestBuildInAContainerVM(t *testing.T) {
	long(t)
	if _, err := os.Stat(filepath.Join(theLab.Build, "tools", "buildx")); err != nil {
		t.Fatalf("%v: make e2e builds it", err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	config := write("buildkitd.toml", `[registry."docker.io"]
  mirrors = ["`+harness.RegistryHost+`"]
[registry."`+harness.RegistryHost+`"]
  http = true
  insecure = true
`)
	write("app/Dockerfile", "FROM busybox\nCOPY greeting /greeting\nRUN echo \"$(cat /greeting) from $(uname -s)\" >/made && "+
		"ln /made /again\nCMD [\"cat\", \"/made\"]\n")
	write("app/greeting", "hello")
	// buildx takes a TLS endpoint from a context alone, not from the environment.
	file := func(name string) string { return filepath.Join(theLab.Certs, name) }
	docker(t, "context", "create", "vch", "--docker", "host=tcp://"+harness.DockerAddr+",ca="+file("ca.pem")+",cert="+file("cert.pem")+",key="+file("key.pem"))
	t.Cleanup(func() { dockerRun(context.Background(), nil, "context", "rm", "-f", "vch") })
	start := time.Now()
	buildx(t, "create", "--name", "builder", "--driver", "docker-container", "--buildkitd-config", config, "--bootstrap", "vch")
	t.Cleanup(func() { buildx(t, "rm", "--force", "builder") })
	progress("docker buildx create --bootstrap: %.1f s", time.Since(start).Seconds())

	start = time.Now()
	buildx(t, "build", "--builder", "builder", "--progress", "plain", "--load", "-t", "made:1", filepath.Join(dir, "app"))
	progress("docker buildx build --load: %.1f s", time.Since(start).Seconds())
	t.Cleanup(func() { dockerRun(context.Background(), nil, "rmi", "made:1") })
	if got := docker(t, "run", "--rm", "made:1"); got != "hello from Linux\n" {
		t.Errorf("the image that was built says %q", got)
	}

	ref := harness.RegistryHost + "/test/made:1"
	start = time.Now()
	buildx(t, "build", "--builder", "builder", "--progress", "plain", "--push", "-t", ref, filepath.Join(dir, "app"))
	progress("docker buildx build --push, all of it in the cache: %.1f s", time.Since(start).Seconds())
	docker(t, "pull", "-q", ref)
	t.Cleanup(func() { dockerRun(context.Background(), nil, "rmi", ref) })
	if got := docker(t, "run", "--rm", ref); got != "hello from Linux\n" {
		t.Errorf("the image that was pushed says %q", got)
	}
}
