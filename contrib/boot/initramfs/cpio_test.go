package initramfs

import (
	"bytes"
	"io/fs"
	"os/exec"
	"strings"
	"testing"
)

func sample() *Tree {
	tree := New()
	tree.Bytes("/usr/bin/tool", 0o755, []byte("#!x"))
	tree.Link("bin/sh", "busybox")
	tree.Dir("/tmp", 0o777|fs.ModeSticky)
	tree.Char("/dev/console", 0o600, 5, 1)
	return tree
}

func TestArchiveIsReproducible(t *testing.T) {
	var a, b bytes.Buffer
	for _, w := range []*bytes.Buffer{&a, &b} {
		n, err := sample().WriteTo(w)
		if err != nil || n != int64(w.Len()) {
			t.Fatalf("WriteTo = %d, %v; wrote %d bytes", n, err, w.Len())
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Fatal("two archives of one tree differ")
	}
	if a.Len()%4 != 0 {
		t.Fatalf("length %d is not padded", a.Len())
	}
}

func TestReadKnowsFilesAlone(t *testing.T) {
	if data, perm, ok := sample().Read("/usr/bin/tool"); string(data) != "#!x" || perm != 0o755 || !ok {
		t.Errorf("%q %o %v", data, perm, ok)
	}
	for _, name := range []string{"/bin/sh", "/usr/bin", "/none"} {
		if _, _, ok := sample().Read(name); ok {
			t.Errorf("%s is a file", name)
		}
	}
}

func TestParentsComeFirst(t *testing.T) {
	got := strings.Join(sample().names(), " ")
	want := "bin bin/sh dev dev/console tmp usr usr/bin usr/bin/tool"
	if got != want {
		t.Fatalf("names:\n got %s\nwant %s", got, want)
	}
}

func TestCpioReadsTheArchive(t *testing.T) {
	cpio, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("cpio is not installed")
	}
	var archive bytes.Buffer
	if _, err := sample().WriteTo(&archive); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(cpio, "-itv", "--quiet")
	cmd.Stdin = &archive
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("cpio: %v\n%s", err, out)
	}
	for _, want := range []string{"bin/sh -> busybox", "drwxrwxrwt", "crw-------", "5,   1", "usr/bin/tool"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("cpio's listing lacks %q:\n%s", want, out)
		}
	}
}
