package rootfs_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest/rootfs"
)

// space makes a root directory and a view of it.
func space(t *testing.T) (string, rootfs.View) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a view needs root's rights")
	}
	dir := t.TempDir()
	return dir, rootfs.View{Root: dir}
}

func put(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch target, link := strings.CutPrefix(text, "-> "); {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(file, 0o755)
		case link:
			err = os.Symlink(target, file)
		default:
			err = os.WriteFile(file, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func do(t *testing.T, v rootfs.View, fn func() error) {
	t.Helper()
	if err := v.Do(fn); err != nil {
		t.Fatal(err)
	}
}

func entries(t *testing.T, r io.Reader) map[string]*tar.Header {
	t.Helper()
	found := map[string]*tar.Header{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		found[h.Name] = h
	}
}

func names(t *testing.T, r io.Reader) []string {
	var all []string
	for n := range entries(t, r) {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

func TestStatDoesNotLeaveTheView(t *testing.T) {
	dir, v := space(t)
	put(t, dir, map[string]string{"etc/passwd": "mine", "out": "-> ../../../../etc/passwd", "abs": "-> /etc", "broken": "-> /no/such"})
	for name, want := range map[string]string{"/out": "/etc/passwd", "/abs": "/etc", "/broken": "/no/such", "abs/passwd": "", "/abs/": ""} {
		do(t, v, func() error {
			st, err := rootfs.StatPath(name)
			if err != nil || st.LinkTarget != want {
				t.Errorf("%s: %+v, %v; want target %q", name, st, err, want)
			}
			return nil
		})
	}
	err := v.Do(func() error { _, err := rootfs.StatPath("/none"); return err })
	if !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestPackNamesAreThoseOfDockerCp(t *testing.T) {
	dir, v := space(t)
	put(t, dir, map[string]string{"d/f": "1", "d/s/g": "2", "l": "-> d"})
	for path, want := range map[string]string{
		"/d": "d/ d/f d/s/ d/s/g", "/d/": "d/ d/f d/s/ d/s/g", "/d/.": "./ ./f ./s/ ./s/g", "/d/f": "f",
		"/l": "l", "/l/": "l/ l/f l/s/ l/s/g", "/": "/ /d/ /d/f /d/s/ /d/s/g /l",
	} {
		var buf bytes.Buffer
		do(t, v, func() error { return rootfs.Pack(&buf, path) })
		if got := strings.Join(names(t, &buf), " "); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	var buf bytes.Buffer
	do(t, v, func() error { return rootfs.PackAll(&buf) })
	if got := strings.Join(names(t, &buf), " "); got != "d/ d/f d/s/ d/s/g l" {
		t.Errorf("the whole: %s", got)
	}
}

func TestATreeGoesInAndOutUnchanged(t *testing.T) {
	from, v := space(t)
	put(t, from, map[string]string{"d/f": "text", "d/sub/": "", "d/link": "-> /f"})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Link(from+"/d/f", from+"/d/hard"))
	must(syscall.Mknod(from+"/d/null", syscall.S_IFCHR|0o640, 1<<8|3))
	must(syscall.Mkfifo(from+"/d/pipe", 0o600))
	must(os.Lchown(from+"/d/f", 12, 34))
	must(syscall.Chmod(from+"/d/f", 0o4755))
	must(os.Lchown(from+"/d/link", 56, 78))
	xattrs := syscall.Setxattr(from+"/d/f", "user.k", []byte("v"), 0) == nil
	at := time.Unix(1600000000, 123456789)
	must(os.Chtimes(from+"/d/f", at, at))
	must(os.Chtimes(from+"/d/sub", at, at))
	var buf bytes.Buffer
	do(t, v, func() error { return rootfs.Pack(&buf, "/d") })

	to, w := space(t)
	do(t, w, func() error { return rootfs.Unpack(&buf, rootfs.UnpackOptions{Path: "/"}) })
	do(t, w, func() error { return rootfs.Pack(&buf, "/d") })
	got := entries(t, &buf)
	f := got["d/f"]
	if f == nil || f.Uid != 12 || f.Gid != 34 || f.Mode != 0o4755 || !f.ModTime.Equal(at) {
		t.Errorf("f: %+v", f)
	}
	if xattrs && f.PAXRecords["SCHILY.xattr.user.k"] != "v" {
		t.Errorf("attributes: %v", f.PAXRecords)
	}
	if l := got["d/link"]; l == nil || l.Linkname != "/f" || l.Uid != 56 {
		t.Errorf("link: %+v", l)
	}
	if n := got["d/null"]; n == nil || n.Typeflag != tar.TypeChar || n.Devmajor != 1 || n.Devminor != 3 {
		t.Errorf("device: %+v", n)
	}
	if p := got["d/pipe"]; p == nil || p.Typeflag != tar.TypeFifo {
		t.Errorf("pipe: %+v", p)
	}
	if s := got["d/sub/"]; s == nil || !s.ModTime.Equal(at) {
		t.Errorf("directory: %+v", s)
	}
	a, errA := os.Stat(to + "/d/f")
	b, errB := os.Stat(to + "/d/hard")
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		t.Errorf("hard link: %v %v", errA, errB)
	}
}

func archive(headers ...tar.Header) io.Reader {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range headers {
		_ = w.WriteHeader(&h)
	}
	_ = w.Close()
	return &buf
}

func TestUnpackRules(t *testing.T) {
	file := tar.Header{Typeflag: tar.TypeReg, Name: "x", Mode: 0o600, Uid: 7}
	dir := tar.Header{Typeflag: tar.TypeDir, Name: "x/", Mode: 0o700}
	for _, c := range []struct {
		name string
		in   tar.Header
		o    rootfs.UnpackOptions
		want string // of the error
		see  string // must be there afterwards
	}{
		{"a file", file, rootfs.UnpackOptions{Path: "/d"}, "", "d/x"},
		{"through a link to a directory", file, rootfs.UnpackOptions{Path: "/ld"}, "", "d/x"},
		{"into a file", file, rootfs.UnpackOptions{Path: "/f"}, "extraction point is not a directory", ""},
		{"into nothing", file, rootfs.UnpackOptions{Path: "/none"}, "no such file", ""},
		{"file over directory", file, rootfs.UnpackOptions{Path: "/has", KeepKinds: true}, "cannot overwrite directory", "has/x/y"},
		{"file over directory, allowed", file, rootfs.UnpackOptions{Path: "/has"}, "", "has/x"},
		{"directory over file", dir, rootfs.UnpackOptions{Path: "/hasfile", KeepKinds: true}, "cannot overwrite non-directory", ""},
		{"out of the directory", tar.Header{Typeflag: tar.TypeReg, Name: "../../up", Mode: 0o600}, rootfs.UnpackOptions{Path: "/d"}, "", "d/up"},
		{"missing parents", tar.Header{Typeflag: tar.TypeReg, Name: "a/b/c", Mode: 0o600}, rootfs.UnpackOptions{Path: "/d"}, "", "d/a/b/c"},
		{"unknown owner", file, rootfs.UnpackOptions{Path: "/d", Owner: "nobody-here"}, "failed to look up user", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, v := space(t)
			put(t, root, map[string]string{"d/": "", "ld": "-> d", "f": "", "has/x/y": "", "hasfile/x": ""})
			err := v.Do(func() error { return rootfs.Unpack(archive(c.in), c.o) })
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if c.see != "" {
				if _, err := os.Lstat(filepath.Join(root, c.see)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestOwnersAreThoseOfTheContainer(t *testing.T) {
	for owner, want := range map[string][2]uint32{"app": {1000, 2000}, "1000": {1000, 2000}, "app:staff": {1000, 50}, "77": {77, 0}, ":staff": {0, 50}} {
		root, v := space(t)
		put(t, root, map[string]string{"etc/passwd": "root:x:0:0::/:\napp:x:1000:2000::/:\n", "etc/group": "staff:x:50:\n"})
		h := tar.Header{Typeflag: tar.TypeReg, Name: "x", Uid: 5, Gid: 5}
		do(t, v, func() error { return rootfs.Unpack(archive(h), rootfs.UnpackOptions{Path: "/", Owner: owner}) })
		var st syscall.Stat_t
		if err := syscall.Lstat(root+"/x", &st); err != nil || st.Uid != want[0] || st.Gid != want[1] {
			t.Errorf("%s: %d:%d, %v; want %v", owner, st.Uid, st.Gid, err, want)
		}
	}
}

func TestVolumesAppearInTheView(t *testing.T) {
	root, v := space(t)
	vol, ro := t.TempDir(), t.TempDir()
	put(t, root, map[string]string{"data": "-> /real", "real/": ""})
	v.Binds = []rootfs.Bind{{Source: vol, Target: "/data"}, {Source: ro, Target: "/made/here", ReadOnly: true}}
	h := tar.Header{Typeflag: tar.TypeReg, Name: "x", Mode: 0o600}
	do(t, v, func() error { return rootfs.Unpack(archive(h), rootfs.UnpackOptions{Path: "/real"}) })
	if _, err := os.Stat(vol + "/x"); err != nil {
		t.Errorf("the file is not in the volume: %v", err)
	}
	err := v.Do(func() error { return rootfs.Unpack(archive(h), rootfs.UnpackOptions{Path: "/made/here"}) })
	if err == nil || !strings.Contains(err.Error(), "mounted volume is marked read-only") {
		t.Errorf("a read-only volume: %v", err)
	}
	v.ReadOnly = true
	v.Binds = nil
	err = v.Do(func() error { return rootfs.Unpack(archive(h), rootfs.UnpackOptions{Path: "/made"}) })
	if err == nil || !strings.Contains(err.Error(), "container rootfs is marked read-only") {
		t.Errorf("a read-only root: %v", err)
	}
	var buf bytes.Buffer
	v = rootfs.View{Root: root, Binds: []rootfs.Bind{{Source: vol, Target: "/real"}}}
	do(t, v, func() error { return rootfs.Pack(&buf, "/real") })
	if got := strings.Join(names(t, &buf), " "); got != "real/ real/x" {
		t.Errorf("from a volume: %s", got)
	}
}

// What a view was of can be taken away at once: nothing holds it any more.
func TestAViewLeavesNothingMounted(t *testing.T) {
	dir, _ := space(t)
	if err := syscall.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		t.Skipf("no tmpfs: %v", err)
	}
	v := rootfs.View{Root: dir, Binds: []rootfs.Bind{{Source: t.TempDir(), Target: "/x"}}}
	for range 20 {
		do(t, v, func() error { _, err := rootfs.StatPath("/"); return err })
	}
	// It would stay mounted in the namespace of a thread that lives on.
	tasks, err := filepath.Glob("/proc/self/task/*/mountinfo")
	if err != nil || len(tasks) == 0 {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if b, err := os.ReadFile(task); err == nil && strings.Contains(string(b), dir+"/x") {
			t.Errorf("%s: still mounted", task)
		}
	}
	if err := syscall.Unmount(dir, 0); err != nil {
		t.Errorf("unmount: %v", err)
	}
}
