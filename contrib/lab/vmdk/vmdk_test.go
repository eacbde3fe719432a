package vmdk

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// img runs qemu-img, which tells whether QEMU can use our files.
func img(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("qemu-img is missing; on Debian: apt-get install qemu-utils")
	}
	out, err := exec.Command("qemu-img", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-img %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// chain makes base, layer and top in folders of their own and returns top.
func chain(t *testing.T, dir string, size int64) (base, layer, top string) {
	t.Helper()
	base, layer, top = filepath.Join(dir, "base", "base.vmdk"), filepath.Join(dir, "images", "layer.vmdk"), filepath.Join(dir, "a vm", "top.vmdk")
	for _, f := range []string{base, layer, top} {
		must(t, os.MkdirAll(filepath.Dir(f), 0o700))
	}
	must(t, CreateBase(base, size))
	must(t, CreateChild(layer, base))
	must(t, CreateChild(top, layer))
	return base, layer, top
}

func TestChainIsReadAndWrittenByQEMU(t *testing.T) {
	for _, size := range []int64{1 << 20, 100 << 20, 8 << 30, 2 << 40} {
		base, layer, top := chain(t, t.TempDir(), size)
		c, err := Chain(top)
		must(t, err)
		if len(c) != 3 || c[1].File != layer || c[2].File != base || c[0].Capacity != size || c[0].Parent != layer {
			t.Fatalf("%+v", c)
		}
		if size <= 8<<30 { // the check looks at every cluster
			img(t, "check", "-f", "vmdk", top)
		}
		if info := img(t, "info", "--backing-chain", top); strings.Count(info, "create type: ") != 3 {
			t.Errorf("%s", info)
		}
		if _, err := exec.LookPath("qemu-io"); err != nil {
			continue
		}
		io := func(file string, cmds ...string) string {
			args := []string{"-f", "vmdk"}
			for _, c := range cmds {
				args = append(args, "-c", c)
			}
			out, err := exec.Command("qemu-io", append(args, file)...).CombinedOutput()
			if err != nil || bytes.Contains(out, []byte("ailed")) {
				t.Fatalf("qemu-io %s %v: %v\n%s", file, cmds, err, out)
			}
			return string(out)
		}
		io(top, "write -P 7 4096 65536", "read -P 7 4096 65536", "read -P 0 0 4096", "write -P 9 983040 4096")
		if before, err := os.Stat(strings.TrimSuffix(layer, ".vmdk") + "-delta.vmdk"); err != nil || before.Size() > 400<<20 {
			t.Errorf("an empty delta of %d bytes has %v", size, before.Size())
		}
	}
}

func TestDelete(t *testing.T) {
	dir := t.TempDir()
	base, _, top := chain(t, dir, 1<<20)
	must(t, Delete(top))
	if left, _ := os.ReadDir(filepath.Dir(top)); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := Read(base); err != nil {
		t.Error("a parent went with its child")
	}
	if err := Delete(top); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("deleted twice: %v", err)
	}
}

func TestMoveKeepsTheChain(t *testing.T) {
	dir := t.TempDir()
	_, layer, top := chain(t, dir, 1<<20)
	to := filepath.Join(dir, "elsewhere", "deep", "new.vmdk")
	must(t, os.MkdirAll(filepath.Dir(to), 0o700))
	must(t, Move(top, to))
	c, err := Chain(to)
	must(t, err)
	if len(c) != 3 || c[1].File != layer {
		t.Errorf("%+v", c)
	}
	img(t, "check", "-f", "vmdk", to)
}

func TestCopyFlattens(t *testing.T) {
	dir := t.TempDir()
	_, _, top := chain(t, dir, 1<<20)
	img(t, "--version")
	to := filepath.Join(dir, "copy.vmdk")
	must(t, CopyFlat(t.Context(), top, to))
	c, err := Chain(to)
	must(t, err)
	if len(c) != 1 || c[0].Capacity != 1<<20 {
		t.Errorf("%+v", c)
	}
	img(t, "compare", "-f", "vmdk", "-F", "vmdk", top, to)
}

func TestExtendAndUUID(t *testing.T) {
	f := filepath.Join(t.TempDir(), "a.vmdk")
	must(t, CreateBase(f, 1<<20))
	must(t, Extend(f, 2<<20))
	must(t, SetUUID(f, "60 00 C2 9e 00 00 00 00-00 00 00 00 00 00 00 01"))
	d, err := Read(f)
	must(t, err)
	if d.Capacity != 2<<20 || !strings.HasSuffix(d.UUID, "01") {
		t.Errorf("%+v", d)
	}
	if Extend(f, 1<<20) == nil {
		t.Error("a disk was made smaller")
	}
	img(t, "check", "-f", "vmdk", f)
}

func TestNotADescriptor(t *testing.T) {
	f := filepath.Join(t.TempDir(), "a.vmdk")
	must(t, os.WriteFile(f, []byte("KDMV binary"), 0o600))
	if _, err := Read(f); !errors.Is(err, ErrNotVMDK) {
		t.Error(err)
	}
	if err := CreateChild(filepath.Join(t.TempDir(), "c.vmdk"), f); !errors.Is(err, ErrNotVMDK) {
		t.Error(err)
	}
}
