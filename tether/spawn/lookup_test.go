package spawn

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/guest"
)

func TestLookupUser(t *testing.T) {
	dir := t.TempDir()
	passwd, group := filepath.Join(dir, "passwd"), filepath.Join(dir, "group")
	os.WriteFile(passwd, []byte("root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n"), 0o644)
	os.WriteFile(group, []byte("root:x:0:\nweb:x:34:\nextra:x:50:web\nmore:x:60:\n"), 0o644)
	tests := []struct {
		user   string
		groups []string
		want   string
		err    string
	}{
		{"", nil, "{0 0 [0] /root}", ""},
		{"web", nil, "{33 34 [34 50] /srv}", ""},
		{"33", nil, "{33 34 [34 50] /srv}", ""},
		{"web:more", nil, "{33 60 [60] /srv}", ""},
		{"1000:1001", nil, "{1000 1001 [1001] /}", ""},
		{"web", []string{"more", "70"}, "{33 34 [34 50 60 70] /srv}", ""},
		{"nobody", nil, "", "unable to find user nobody: no matching entries in passwd file"},
		{"web:none", nil, "", "unable to find group none: no matching entries in group file"},
	}
	for _, tt := range tests {
		t.Run(tt.user, func(t *testing.T) {
			id, err := lookupUserIn(tt.user, tt.groups, passwd, group)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Fatalf("error %v", err)
				}
				return
			}
			if got := fmt.Sprint(id); err != nil || got != tt.want {
				t.Fatalf("got %s, %v", got, err)
			}
		})
	}
}

func TestLookupProgramHasDockersErrors(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "run"), nil, 0o755)
	os.WriteFile(filepath.Join(dir, "text"), nil, 0o644)
	os.Mkdir(filepath.Join(dir, "sub"), 0o755)
	env := []string{"PATH=/nonexistent:" + dir}
	tests := []struct {
		name string
		args []string
		code int32
		text string
	}{
		{"in PATH", []string{"run"}, 0, ""},
		{"absolute", []string{dir + "/run"}, 0, ""},
		{"relative to the directory", []string{"./run"}, 0, ""},
		{"not there", []string{"foo"}, 127, `exec: "foo": executable file not found in $PATH`},
		{"path not there", []string{"/foo"}, 127, `exec: "/foo": stat /foo: no such file or directory`},
		{"not executable", []string{dir + "/text"}, 126, fmt.Sprintf("exec: %q: permission denied", dir+"/text")},
		{"not executable in PATH", []string{"text"}, 126, `exec: "text": permission denied`},
		{"directory", []string{dir + "/sub"}, 126, fmt.Sprintf("exec: %q: is a directory", dir+"/sub")},
		{"nothing", nil, 127, `exec: "": executable file not found in $PATH`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path, err := lookupProgram(tt.args, dir, env)
			if tt.code == 0 {
				if err != nil || path != filepath.Join(dir, "run") {
					t.Fatal(path, err)
				}
				return
			}
			var f *Failure
			if !errors.As(err, &f) || f.Code != tt.code || f.Text != tt.text {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	p := guest.Process{Env: []string{"A=1", "PATH=/x", "A=2", "HOSTNAME"}, TTY: true}
	got := strings.Join(Environment(p, "h", "/root"), " ")
	if got != "PATH=/x TERM=xterm HOME=/root A=2" {
		t.Fatal(got)
	}
}

func TestWorkingDirectory(t *testing.T) {
	dir := t.TempDir()
	missing, file := filepath.Join(dir, "a", "b"), filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dir   string
		first bool
		code  int32
		text  string
	}{
		{missing, false, 127, fmt.Sprintf("chdir to cwd (%q) failed: no such file or directory", missing)},
		{"rel", false, 128, "Cwd must be an absolute path"},
		{file, false, 126, fmt.Sprintf("chdir to cwd (%q) failed: not a directory", file)},
		{file, true, 126, fmt.Sprintf("working directory %q: not a directory", file)},
		{dir, false, 0, ""},
		{missing, true, 0, ""},
		{missing, false, 0, ""}, // the first process made it
	} {
		err := workingDirectory(c.dir, c.first)
		var f *Failure
		if c.code == 0 && err != nil || c.code != 0 && (!errors.As(err, &f) || f.Code != c.code || f.Text != c.text) {
			t.Errorf("%s, first %v: %v", c.dir, c.first, err)
		}
	}
}

func TestContainersAreMarked(t *testing.T) {
	root := t.TempDir()
	for range 2 {
		if err := mark(root); err != nil {
			t.Fatal(err)
		}
	}
	if st, err := os.Stat(filepath.Join(root, ".dockerenv")); err != nil || st.Size() != 0 || st.Mode().Perm() != 0o755 {
		t.Errorf("%v %v", st, err)
	}
}
