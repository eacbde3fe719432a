package dockerapi_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFilesGoInAndOut(t *testing.T) {
	h := serve(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.docker("create", "--name", "c1", "busybox", "sleep", "100")
	for _, state := range []string{"stopped", "running"} {
		if state == "running" {
			h.docker("start", "c1")
		}
		if r := h.docker("cp", filepath.Join(dir, "f"), "c1:/"); r.code != 0 {
			t.Errorf("%s: cp in: %+v", state, r)
		}
		out := filepath.Join(dir, state)
		if r := h.docker("cp", "c1:/f", out); r.code != 0 {
			t.Errorf("%s: cp out: %+v", state, r)
		}
		if b, err := os.ReadFile(out); err != nil || string(b) != "text" {
			t.Errorf("%s: %q, %v", state, b, err)
		}
		r := h.docker("cp", "c1:/none", dir)
		if r.code == 0 || !strings.Contains(r.err, "Could not find the file /none in container c1") {
			t.Errorf("%s: %+v", state, r)
		}
		if r := h.docker("diff", "c1"); r.out != "A /f\n" {
			t.Errorf("%s: diff: %+v", state, r)
		}
		if r := h.docker("export", "-o", filepath.Join(dir, "x.tar"), "c1"); r.code != 0 {
			t.Errorf("%s: export: %+v", state, r)
		}
		if r := h.docker("commit", "-m", "why", "-c", "CMD x", "c1"); r.code != 0 || strings.TrimSpace(r.out) != imageID {
			t.Errorf("%s: commit: %+v", state, r)
		}
	}
	if r := h.docker("commit", "-c", "FROM x", "c1"); r.code == 0 || !strings.Contains(r.err, "not a valid change command") {
		t.Errorf("commit with a wrong change: %+v", r)
	}
	for _, c := range [][]string{{"cp", "none:/f", dir}, {"diff", "none"}, {"export", "-o", filepath.Join(dir, "y"), "none"}, {"commit", "none"}} {
		if r := h.docker(c...); r.code == 0 || !strings.Contains(r.err, "No such container: none") {
			t.Errorf("%v: %+v", c, r)
		}
	}
}

func TestSizesAreTold(t *testing.T) {
	h := serve(t)
	h.docker("create", "--name", "c1", "busybox", "true")
	if r := h.docker("ps", "-as", "--format", "{{.Size}}"); r.code != 0 || !strings.Contains(r.out, "virtual 1.05MB") {
		t.Errorf("ps -s: %+v", r)
	}
	if r := h.docker("inspect", "-s", "--format", "{{.SizeRw}} {{.SizeRootFs}}", "c1"); r.code != 0 || !strings.Contains(r.out, "1048576") {
		t.Errorf("inspect -s: %+v", r)
	}
	r := h.docker("system", "df", "--format", "{{.Type}} {{.TotalCount}}")
	if r.code != 0 || r.out != "Images 1\nContainers 1\nLocal Volumes 0\nBuild Cache 0\n" {
		t.Errorf("system df: %+v", r)
	}
	if r := h.docker("system", "df", "-v"); r.code != 0 {
		t.Errorf("system df -v: %+v", r)
	}
}
