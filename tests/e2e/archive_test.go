package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/tests/harness"
)

// entry is what docker cp must keep of a file.
type entry struct {
	kind     byte
	mode     int64
	uid, gid int
	time     int64
	link     string
	xattrs   string
	sum      [32]byte
}

func entriesOf(t *testing.T, r io.Reader) map[string]entry {
	t.Helper()
	all := map[string]entry{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, tr); err != nil {
			t.Fatal(err)
		}
		var x []string
		for _, k := range slices.Sorted(maps.Keys(h.PAXRecords)) {
			if strings.HasPrefix(k, "SCHILY.xattr.") {
				x = append(x, k+"="+h.PAXRecords[k])
			}
		}
		all[strings.TrimSuffix(h.Name, "/")] = entry{kind: h.Typeflag, mode: h.Mode & 0o7777, uid: h.Uid, gid: h.Gid, time: h.ModTime.UnixNano(),
			link: h.Linkname, xattrs: strings.Join(x, " "), sum: [32]byte(sum.Sum(nil))}
	}
}

// tree is an archive of five files of large bytes and 500 of small bytes: links of both kinds, owners, modes, attributes.
func tree(t *testing.T, large, small int) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	at := time.Unix(1700000000, 123456789)
	put := func(h tar.Header, data []byte) {
		h.ModTime, h.Size, h.Format = at, int64(len(data)), tar.FormatPAX
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	random := func(n int) []byte { b := make([]byte, n); _, _ = rand.Read(b); return b }
	put(tar.Header{Typeflag: tar.TypeDir, Name: "tree/", Mode: 0o755}, nil)
	for i := range 5 {
		put(tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("tree/big%d", i), Mode: 0o640, Uid: 100 + i, Gid: 200 + i}, random(large))
	}
	put(tar.Header{Typeflag: tar.TypeDir, Name: "tree/small/", Mode: 0o2770, Uid: 7, Gid: 8}, nil)
	for i := range 500 {
		put(tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("tree/small/f%03d", i), Mode: 0o600 + int64(i%8), Uid: i}, random(small))
	}
	put(tar.Header{Typeflag: tar.TypeReg, Name: "tree/setuid", Mode: 0o4755}, []byte("x"))
	put(tar.Header{Typeflag: tar.TypeReg, Name: "tree/attr", Mode: 0o644, PAXRecords: map[string]string{"SCHILY.xattr.user.colour": "blue"}}, []byte("x"))
	put(tar.Header{Typeflag: tar.TypeSymlink, Name: "tree/link", Linkname: "../no/such", Mode: 0o777}, nil)
	put(tar.Header{Typeflag: tar.TypeLink, Name: "tree/hard", Linkname: "tree/attr", Mode: 0o644}, nil)
	put(tar.Header{Typeflag: tar.TypeFifo, Name: "tree/pipe", Mode: 0o600}, nil)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func sameEntries(t *testing.T, got, want map[string]entry) {
	t.Helper()
	for name, w := range want {
		g, ok := got[name]
		if name == "tree/hard" || name == "tree/attr" { // either may come first
			g.kind, g.link, g.sum, g.xattrs = w.kind, w.link, w.sum, w.xattrs
		}
		if !ok || g != w {
			t.Errorf("%s: %+v, want %+v", name, g, w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
	if x := got["tree/attr"].xattrs + got["tree/hard"].xattrs; !strings.Contains(x, "user.colour=blue") {
		t.Errorf("extended attributes: %q", x)
	}
}

func cpInOut(t *testing.T, what, where string, archive []byte, want map[string]entry) {
	t.Helper()
	start := time.Now()
	if r := dockerRun(t.Context(), archive, "cp", "-", where); r.Code != 0 {
		t.Fatalf("cp in: %s", r.Stderr)
	}
	in := time.Since(start)
	start = time.Now()
	out := docker(t, "cp", where+"/tree", "-")
	mb := float64(len(archive)) / 1e6
	progress("docker cp, %s: in %.1f MB/s, out %.1f MB/s", what, mb/in.Seconds(), mb/time.Since(start).Seconds())
	sameEntries(t, entriesOf(t, strings.NewReader(out)), want)
}

// More than all buffers on the way, and more files than one message names.
func TestCopyOfATree(t *testing.T) {
	beside(t)
	copyOfATree(t, 1<<20, 2<<10)
}

func TestSoakCopyOfALargeTree(t *testing.T) {
	harness.Soak(t, "50 MB are copied four times")
	beside(t)
	copyOfATree(t, 8<<20, 20<<10)
}

func copyOfATree(t *testing.T, large, small int) {
	t.Helper()
	archive := tree(t, large, small)
	want := entriesOf(t, bytes.NewReader(archive))
	id := container(t, "busybox", "sleep", "36000")
	docker(t, "exec", id, "mkdir", "/in", "/opt")
	cpInOut(t, "running", id+":/in", archive, want)
	docker(t, "kill", id)
	sameEntries(t, entriesOf(t, strings.NewReader(docker(t, "cp", id+":/in/tree", "-"))), want)
	docker(t, "cp", id+":/in/tree", t.TempDir()) // the CLI's own unpacking
	cpInOut(t, "stopped", id+":/opt", archive, want)
	docker(t, "start", id)
	if got := docker(t, "exec", id, "sh", "-c", "ls /opt/tree | wc -l; ls /in/tree/small | wc -l; stat -c %u:%g /opt/tree/big3"); got != "11\n500\n103:203\n" {
		t.Errorf("after the start: %q", got)
	}
}

func TestCopyToVolumes(t *testing.T) {
	beside(t)
	archive := tree(t, 64<<10, 2<<10)
	want := entriesOf(t, bytes.NewReader(archive))
	id := container(t, "-v", "/vol", "busybox", "sleep", "36000")
	cpInOut(t, "volume of a running container", id+":/vol", archive, want)
	docker(t, "kill", id)
	cpInOut(t, "volume of a stopped container", id+":/vol", archive, want)
	if got := docker(t, "diff", id); strings.Contains(got, "/vol/") {
		t.Errorf("the volume's files are in diff: %s", got)
	}
	docker(t, "start", id)
	if got := docker(t, "exec", id, "sh", "-c", "ls /vol/tree/small | wc -l; stat -c %u:%g /vol/tree/big3"); got != "500\n103:203\n" {
		t.Errorf("after the start: %q", got)
	}
}

// The rules are those of docker cp's manual: what exists, what ends in a slash, and links.
func TestCopyFollowsDockersRules(t *testing.T) {
	beside(t)
	id := container(t, "busybox", "sleep", "36000")
	docker(t, "exec", id, "sh", "-c", "mkdir -p /d/sub; echo file >/f; echo in >/d/sub/x; ln -s /d /ld; ln -s /f /lf; ln -s /none /broken")
	host := t.TempDir()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(filepath.Join(host, "file"), []byte("from the host\n"), 0o644))
	must(os.Mkdir(filepath.Join(host, "dir"), 0o755))
	must(os.WriteFile(filepath.Join(host, "dir", "y"), []byte("y\n"), 0o644))
	for _, state := range []string{"running", "stopped"} {
		if state == "stopped" {
			docker(t, "kill", id)
		}
		for _, c := range []struct{ from, to, want string }{
			{host + "/file", ":/new-" + state, ""},
			{host + "/file", ":/d/", ""},
			{host + "/file", ":/ld", ""},
			{host + "/dir", ":/made-" + state, ""},
			{host + "/dir", ":/d", ""},
			{host + "/dir/.", ":/d", ""},
			{host + "/dir", ":/f", "cannot copy directory"},
			{host + "/file", ":/none/x", "Could not find the file /none in container"},
			{host + "/file", ":/new/", "no such directory"},
			{":/none", host, "Could not find the file /none in container"},
			{":/f", host + "/out-" + state, ""},
			{":/ld/sub", host + "/sub-" + state, ""},
			{":/d/.", host + "/dot-" + state, ""},
			{":/lf", host + "/link-" + state, ""},
		} {
			from, to := c.from, c.to
			if strings.HasPrefix(from, ":") {
				from = id + from
			} else {
				to = id + to
			}
			r := dockerRun(t.Context(), nil, "cp", from, to)
			if (r.Code == 0) != (c.want == "") || !strings.Contains(r.Stderr, c.want) {
				t.Errorf("%s: cp %s %s: exit %d, %q; want %q", state, c.from, c.to, r.Code, r.Stderr, c.want)
			}
		}
		for file, want := range map[string]string{"out-" + state: "file\n", "sub-" + state + "/x": "in\n", "dot-" + state + "/sub/x": "in\n",
			"dot-" + state + "/file": "from the host\n"} {
			if b, err := os.ReadFile(filepath.Join(host, file)); err != nil || string(b) != want {
				t.Errorf("%s: %q, %v", file, b, err)
			}
		}
		if l, err := os.Readlink(filepath.Join(host, "link-"+state)); err != nil || l != "/f" {
			t.Errorf("a link: %q, %v", l, err)
		}
		docker(t, "cp", "-L", id+":/lf", host+"/followed-"+state)
		if b, err := os.ReadFile(filepath.Join(host, "followed-"+state)); err != nil || string(b) != "file\n" {
			t.Errorf("cp -L: %q, %v", b, err)
		}
	}
}

func TestDiffTellsWhatChanged(t *testing.T) {
	beside(t)
	id := container(t, "busybox", "sh", "-c", "echo new >/root/new; rm /bin/wc; echo x >>/etc/passwd; sleep 36000")
	const want = "C /bin\nD /bin/wc\nC /etc\nC /etc/passwd\nC /root\nA /root/new\n"
	await(t, func() string {
		if got := docker(t, "diff", id); got != want {
			return got
		}
		return ""
	})
	docker(t, "kill", id)
	if got := docker(t, "diff", id); got != want {
		t.Errorf("stopped: %q", got)
	}
	fresh := strings.TrimSpace(docker(t, "create", "busybox"))
	t.Cleanup(func() { dockerRun(context.Background(), nil, "rm", "-v", fresh) })
	if got := docker(t, "diff", fresh); got != "" {
		t.Errorf("of a new container: %q", got)
	}
}

func TestExportIsTheRootWithoutVolumes(t *testing.T) {
	beside(t)
	id := container(t, "-v", "/data", "busybox", "sh", "-c", "echo kept >/root/kept; echo not >/data/not; sleep 36000")
	await(t, func() string {
		if dockerRun(t.Context(), nil, "exec", id, "test", "-e", "/data/not").Code != 0 {
			return "not written yet"
		}
		return ""
	})
	for range 2 {
		got := entriesOf(t, strings.NewReader(docker(t, "export", id)))
		_, kept := got["root/kept"]
		_, shell := got["bin/sh"]
		_, not := got["data/not"]
		_, proc := got["proc/1"]
		if !kept || !shell || not || proc {
			t.Errorf("export has %d entries: kept %v, shell %v, volume %v, proc %v", len(got), kept, shell, not, proc)
		}
		dockerRun(t.Context(), nil, "kill", id)
	}
}
