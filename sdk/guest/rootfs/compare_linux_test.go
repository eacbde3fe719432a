package rootfs_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/openvic/vic/sdk/guest/rootfs"
)

func TestCompareTellsWhatHasChanged(t *testing.T) {
	image := map[string]string{"etc/conf": "1", "bin/sh": "x", "bin/ls": "y", "gone/a/b": "",
		"usr/": "", "usr-local": "", "usr/z": "", "kind/x": "", "link": "-> a"}
	for _, c := range []struct {
		name  string
		do    func(root string) error
		want  string
		layer string
	}{
		{"nothing", func(string) error { return nil }, "", ""},
		{"reading", func(r string) error { _, err := os.ReadFile(r + "/bin/sh"); return err }, "", ""},
		{"a new file", func(r string) error { return os.WriteFile(r+"/usr/new", nil, 0o600) }, "C /usr A /usr/new", "usr/ usr/new"},
		{"a new directory with files", func(r string) error { return os.MkdirAll(r+"/n/m", 0o700) }, "A /n A /n/m", "n/ n/m/"},
		{"written with its old time", func(r string) error {
			st, _ := os.Stat(r + "/bin/sh")
			err := os.WriteFile(r+"/bin/sh", []byte("z"), 0)
			_ = os.Chtimes(r+"/bin/sh", st.ModTime(), st.ModTime())
			return err
		}, "C /bin C /bin/sh", "bin/ bin/sh"},
		{"another mode", func(r string) error { return os.Chmod(r+"/usr", 0o700) }, "C /usr", "usr/"},
		{"removed with what is in it", func(r string) error { return os.RemoveAll(r + "/gone") }, "D /gone", ".wh.gone"},
		{"removed in a directory", func(r string) error { return os.Remove(r + "/bin/ls") }, "C /bin D /bin/ls", "bin/ bin/.wh.ls"},
		{"the last one removed", func(r string) error { return os.Remove(r + "/usr-local") }, "D /usr-local", ".wh.usr-local"},
		{"a directory made a file", func(r string) error {
			_ = os.RemoveAll(r + "/kind")
			return os.WriteFile(r+"/kind", nil, 0o600)
		}, "C /kind", "kind"},
		{"a file made a directory", func(r string) error {
			_ = os.Remove(r + "/usr-local")
			return os.MkdirAll(r+"/usr-local/x", 0o700)
		}, "C /usr-local A /usr-local/x", "usr-local/ usr-local/x/"},
		{"what the tether makes", func(r string) error {
			for _, d := range []string{"proc", "sys", "dev"} {
				_ = os.Mkdir(filepath.Join(r, d), 0o755)
			}
			return os.WriteFile(r+"/etc/hosts", nil, 0o600)
		}, "", ""},
		{"a hard link", func(r string) error { return os.Link(r+"/bin/sh", r+"/sh") }, "C /bin C /bin/sh A /sh", "bin/ bin/sh sh"},
		{"a hard link removed", func(r string) error { return os.Remove(r + "/kind/twice") }, "C /kind D /kind/twice", "kind/ kind/.wh.twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, v := space(t)
			put(t, root, image)
			for _, name := range []string{"twice", "thrice"} {
				if err := os.Link(root+"/kind/x", root+"/kind/"+name); err != nil {
					t.Fatal(err)
				}
			}
			var base bytes.Buffer
			do(t, v, func() error { return rootfs.WriteTree(&base) })
			tick(t, root)
			if err := c.do(root); err != nil {
				t.Fatal(err)
			}
			var got []string
			do(t, v, func() error {
				return rootfs.Compare(bytes.NewReader(base.Bytes()), func(ch rootfs.Change) error {
					got = append(got, ch.String())
					return nil
				})
			})
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("changes %q, want %q", s, c.want)
			}
			var layer bytes.Buffer
			do(t, v, func() error { return rootfs.WriteLayer(&layer, bytes.NewReader(base.Bytes())) })
			if s := strings.Join(names(t, &layer), " "); !sameWords(s, c.layer) {
				t.Errorf("layer %q, want %q", s, c.layer)
			}
		})
	}
}

// tick returns when a change of a file has another time than those before: the clock of a file system is
// coarse.
func tick(t *testing.T, dir string) {
	t.Helper()
	stamp := func() syscall.Timespec {
		f, err := os.CreateTemp(filepath.Dir(dir), "tick")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		defer os.Remove(f.Name())
		st, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return st.Sys().(*syscall.Stat_t).Ctim
	}
	for now := stamp(); stamp() == now; {
		runtime.Gosched()
	}
}

func sameWords(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	count := map[string]int{}
	for _, w := range x {
		count[w]++
	}
	for _, w := range y {
		count[w]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func TestATreeThatWasCutIsAnError(t *testing.T) {
	root, v := space(t)
	put(t, root, map[string]string{"a/b": "", "c": ""})
	var base bytes.Buffer
	do(t, v, func() error { return rootfs.WriteTree(&base) })
	for n := range base.Len() {
		err := v.Do(func() error {
			return rootfs.Compare(bytes.NewReader(base.Bytes()[:n]), func(rootfs.Change) error { return nil })
		})
		if err == nil {
			t.Fatalf("%d bytes of %d pass for the whole", n, base.Len())
		}
	}
}
