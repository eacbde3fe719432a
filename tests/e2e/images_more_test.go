package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/openvic/vic/tests/harness"
)

func TestCommitThenRun(t *testing.T) {
	beside(t)
	id := container(t, "busybox", "sh", "-c", "echo kept >/root/kept; rm /bin/wc; sleep 36000")
	await(t, func() string { return wantText(docker(t, "diff", id), "D /bin/wc") })
	for _, c := range []struct {
		state string
		args  []string
	}{{"running", nil}, {"stopped", []string{"--author", "me"}}} {
		if c.state == "stopped" {
			docker(t, "kill", id)
		}
		name := "committed:" + c.state
		image := strings.TrimSpace(docker(t, append(append([]string{"commit", "-m", "why", "-c", "ENV WHO=me", "-c",
			`CMD ["sh","-c","cat /root/kept; ls /bin/wc; echo $WHO"]`},
			c.args...), id, name)...))
		t.Cleanup(func() { dockerRun(context.Background(), nil, "rmi", name) })
		r := dockerRun(t.Context(), nil, "run", "--rm", name)
		if r.Stdout != "kept\nme\n" || !strings.Contains(r.Stderr, "No such file") {
			t.Errorf("%s: %+v", c.state, r)
		}
		if got := docker(t, "history", "--format", "{{.Comment}}", name); !strings.HasPrefix(got, "why\n") {
			t.Errorf("%s: history %q", c.state, got)
		}
		if !strings.HasPrefix(image, "sha256:") {
			t.Errorf("%s: commit printed %q", c.state, image)
		}
		if c.state == "running" && inspect(t, id, "{{.State.Status}}") != "running" {
			t.Error("the container does not go on after the commit")
		}
	}
}

func wantText(got, want string) string {
	if strings.Contains(got, want) {
		return ""
	}
	return fmt.Sprintf("%q lacks %q", got, want)
}

func TestExportThenImport(t *testing.T) {
	beside(t)
	id := container(t, "busybox", "sh", "-c", "echo moved >/root/moved; sleep 36000")
	await(t, func() string { return wantText(docker(t, "diff", id), "A /root/moved") })
	exported := docker(t, "export", id)
	r := dockerRun(t.Context(), []byte(exported), "import", "-c", `CMD ["cat","/root/moved"]`, "-m", "by import", "-", "imported:1")
	if r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	t.Cleanup(func() { dockerRun(context.Background(), nil, "rmi", "imported:1") })
	if got := docker(t, "run", "--rm", "imported:1"); got != "moved\n" {
		t.Errorf("got %q", got)
	}
}

// ociLayout is an image of one file in the layout of the OCI image specification.
func ociLayout(t *testing.T, name string) []byte {
	t.Helper()
	var layer, out bytes.Buffer
	lw := tar.NewWriter(&layer)
	_ = lw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "hello", Mode: 0o644, Size: 2})
	_, _ = lw.Write([]byte("hi"))
	_ = lw.Close()
	w := tar.NewWriter(&out)
	file := func(name string, b []byte) {
		_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(b))})
		_, _ = w.Write(b)
	}
	blob := func(mediaType string, b []byte) map[string]any {
		sum := fmt.Sprintf("%x", sha256.Sum256(b))
		file("blobs/sha256/"+sum, b)
		return map[string]any{"mediaType": mediaType, "digest": "sha256:" + sum, "size": len(b)}
	}
	marshal := func(v any) []byte { b, _ := json.Marshal(v); return b }
	l := blob("application/vnd.oci.image.layer.v1.tar", layer.Bytes())
	c := blob("application/vnd.oci.image.config.v1+json", marshal(map[string]any{"architecture": "amd64", "os": "linux",
		"config": map[string]any{"Cmd": []string{"/hello"}}, "rootfs": map[string]any{"type": "layers", "diff_ids": []any{l["digest"]}}}))
	m := blob("application/vnd.oci.image.manifest.v1+json", marshal(map[string]any{"schemaVersion": 2,
		"mediaType": "application/vnd.oci.image.manifest.v1+json", "config": c, "layers": []any{l}}))
	m["annotations"] = map[string]string{"io.containerd.image.name": "docker.io/library/" + name, "org.opencontainers.image.ref.name": "1"}
	file("index.json", marshal(map[string]any{"schemaVersion": 2, "manifests": []any{m}}))
	file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	_ = w.Close()
	return out.Bytes()
}

func TestLoadOfAnOCILayout(t *testing.T) {
	beside(t)
	r := dockerRun(t.Context(), ociLayout(t, "layout:1"), "load")
	if r.Code != 0 || !strings.Contains(r.Stdout, "layout:1") {
		t.Fatalf("load: %+v", r)
	}
	t.Cleanup(func() { dockerRun(context.Background(), nil, "rmi", "layout:1") })
	id := strings.TrimSpace(docker(t, "create", "layout:1"))
	t.Cleanup(func() { dockerRun(context.Background(), nil, "rm", id) })
	if got := entriesOf(t, strings.NewReader(docker(t, "cp", id+":/hello", "-"))); len(got) != 1 {
		t.Errorf("the image holds %v", got)
	}
}

func TestSizesAreTold(t *testing.T) {
	beside(t)
	container(t, "busybox", "sleep", "36000")
	if got := docker(t, "system", "df"); !strings.Contains(got, "Images") || strings.Contains(got, "Containers      0") {
		t.Errorf("system df: %s", got)
	}
	volume(t, "sized")
	docker(t, "volume", "create", "sized")
	if got := docker(t, "system", "df", "-v"); !regexp.MustCompile(`(?m)^sized +0 +[1-9][0-9.]*[kMG]?B$`).MatchString(got) {
		t.Errorf("system df -v: %s", got)
	}
	if got := docker(t, "ps", "-s", "--format", "{{.Size}}"); !strings.Contains(got, "virtual") {
		t.Errorf("ps -s: %s", got)
	}
	if r := dockerRun(t.Context(), nil, "search", "busybox"); r.Code == 0 || !strings.Contains(r.Stderr, "docker search is not supported") {
		t.Errorf("search: %+v", r)
	}
	docker(t, "tag", "busybox", "other/name:2")
	if got := docker(t, "images", "--format", "{{.Repository}}:{{.Tag}}", "other/name"); got != "other/name:2\n" {
		t.Errorf("images: %q", got)
	}
	docker(t, "image", "prune", "-f", "--filter", "label=story=sizes")
	docker(t, "rmi", "other/name:2")
}

// another makes another VCH in the lab and returns the docker CLI for it, and where its certificates are.
func another(t *testing.T, name string, more ...string) (run func(stdin []byte, args ...string) harness.Result, certs string) {
	t.Helper()
	certs = filepath.Join(t.TempDir(), "certs")
	if out, err := theLab.Create(name, append(more, "--bridge-network", bridge(t, name), "--cert-path", certs)...); err != nil {
		t.Fatal(err, out)
	}
	t.Cleanup(func() {
		args := append([]string{"delete"}, theLab.Access()...)
		if out, err := harness.Command(theLab.Bin("vic-machine"), append(args, "--name", name, "--force")...); err != nil {
			t.Error(err, out)
		}
	})
	addr := harness.NextAddress()
	if out, err := harness.Command(theLab.Bin("vic-lab"), "forward", "add", "--dir", theLab.Dir, name, addr+":2376"); err != nil {
		t.Fatal(err, out)
	}
	run = func(stdin []byte, args ...string) harness.Result {
		ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
		defer cancel()
		cmd := theLab.DockerCmd(ctx, args...)
		cmd.Env = append(os.Environ(), "DOCKER_HOST=tcp://"+addr, "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH="+certs, "DOCKER_CONFIG="+t.TempDir())
		if stdin != nil {
			cmd.Stdin = bytes.NewReader(stdin)
		}
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		r := harness.Result{}
		if err := cmd.Run(); err != nil {
			r.Code = -1
			if x, ok := err.(*exec.ExitError); ok {
				r.Code = x.ExitCode()
			}
		}
		r.Stdout, r.Stderr = stdout.String(), stderr.String()
		return r
	}
	await(t, func() string {
		if r := run(nil, "version"); r.Code != 0 {
			return r.Stderr
		}
		return ""
	})
	return run, certs
}

func TestImagesGoToAnotherHost(t *testing.T) {
	long(t)
	other, _ := another(t, "second")
	id := container(t, "busybox", "sh", "-c", "echo shared >/root/shared; sleep 36000")
	await(t, func() string { return wantText(docker(t, "diff", id), "A /root/shared") })
	name := harness.RegistryHost + "/made/here:1"
	docker(t, "commit", "-c", `CMD ["cat","/root/shared"]`, id, name)
	t.Cleanup(func() { dockerRun(context.Background(), nil, "rmi", name) })

	out := docker(t, "push", name)
	if !strings.Contains(out, "Mounted from") && !strings.Contains(out, "Layer already exists") && !strings.Contains(out, "digest: sha256:") {
		t.Errorf("push: %s", out)
	}
	again := docker(t, "push", name)
	if strings.Contains(again, ": Pushed") || !strings.Contains(again, "Layer already exists") {
		t.Errorf("the second push sends something: %s", again)
	}
	digest := strings.TrimSpace(docker(t, "inspect", "--format", "{{index .RepoDigests 0}}", name))
	if r := other(nil, "pull", "-q", digest); r.Code != 0 {
		t.Errorf("pull by digest: %s", r.Stderr)
	}
	if r := other(nil, "run", "--rm", name); r.Stdout != "shared\n" {
		t.Errorf("run of what was pushed: %+v", r)
	}

	saved := docker(t, "save", name, "busybox")
	progress("docker save: %.1f MB", float64(len(saved))/1e6)
	if r := other(nil, "rmi", "-f", name); r.Code != 0 {
		t.Errorf("rmi: %s", r.Stderr)
	}
	r := other([]byte(saved), "load")
	if r.Code != 0 || !strings.Contains(r.Stdout, "Loaded image: "+name) || !strings.Contains(r.Stdout, "Loaded image: busybox:latest") {
		t.Fatalf("load: %+v", r)
	}
	if r := other(nil, "run", "--rm", name); r.Stdout != "shared\n" {
		t.Errorf("run of what was loaded: %+v", r)
	}
}
