package boottest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/guest"
)

const (
	mac     = "00:50:56:00:00:02"
	linkMAC = "00:50:56:00:00:03" // of a NIC for the link alone
)

// bootModules are what a container VM needs, in the order of loading.
var bootModules = []string{"virtio/virtio_ring", "virtio/virtio", "virtio/virtio_pci_legacy_dev", "virtio/virtio_pci_modern_dev",
	"virtio/virtio_pci", "char/virtio_console", "scsi/scsi_common", "scsi/scsi_mod", "scsi/vmw_pvscsi", "scsi/sd_mod", "net/vmxnet3/vmxnet3"}

// TestMain removes what the tests share.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "vic-boottest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Setenv(sharedDir, dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// sharedDir names the environment variable of the directory that the tests share.
const sharedDir = "VIC_TEST_SHARED"

// media is what VMs boot: made once for all tests.
type media struct {
	kernel, initrd, tools string
}

var makeMedia = sync.OnceValues(func() (media, error) {
	return buildMedia(os.Getenv(sharedDir))
})

// needs returns the unpacked kernel package, and skips the test if something is missing.
func needs(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("boots virtual machines")
	}
	for _, p := range []string{"qemu-system-x86_64", "mke2fs"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip(p + " is not installed")
		}
	}
	if _, err := os.Stat("/bin/busybox"); err != nil {
		t.Skip("busybox-static is not installed")
	}
	if kernelPackage() == "" {
		t.Skip("no unpacked kernel package: set VIC_TEST_KERNEL, or build the ISO images first")
	}
}

func kernelPackage() string {
	if d := os.Getenv("VIC_TEST_KERNEL"); d != "" {
		return d
	}
	found, _ := filepath.Glob("../../build/cache/kernel/linux-image-*/boot")
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1])
}

func buildMedia(dir string) (media, error) {
	pkg := kernelPackage()
	kernels, _ := filepath.Glob(filepath.Join(pkg, "boot/vmlinuz-*"))
	if len(kernels) == 0 {
		return media{}, fmt.Errorf("no kernel in %s", pkg)
	}
	version := strings.TrimPrefix(filepath.Base(kernels[0]), "vmlinuz-")
	init := filepath.Join(dir, "init")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", init, "github.com/openvic/vic/bin/tether")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return media{}, fmt.Errorf("build the tether: %w: %s", err, out)
	}
	c := newCpio()
	for _, d := range []string{"dev", "proc", "sys", "run", "lib", "lib/modules", "lib/modules/" + version} {
		c.entry(d, 0o40755, nil, 0, 0)
	}
	c.entry("dev/console", 0o20600, nil, 5, 1)
	c.entry("dev/null", 0o20666, nil, 1, 3)
	c.file("init", init)
	var list strings.Builder
	for _, m := range bootModules {
		name := "lib/modules/" + version + "/" + filepath.Base(m) + ".ko"
		c.file(name, filepath.Join(pkg, "lib/modules", version, "kernel/drivers", m+".ko"))
		fmt.Fprintln(&list, "/"+name)
	}
	c.file("lib/modules/"+version+"/overlay.ko", filepath.Join(pkg, "lib/modules", version, "kernel/fs/overlayfs/overlay.ko"))
	c.entry("lib/modules/"+version+"/modules.dep", 0o100644, []byte("overlay.ko:\n"), 0, 0)
	c.entry("modules.list", 0o100644, []byte(list.String()), 0, 0)
	m := media{kernel: kernels[0], initrd: filepath.Join(dir, "initrd"), tools: filepath.Join(dir, "tools")}
	b, err := c.end()
	if err != nil {
		return m, err
	}
	if err := os.WriteFile(m.initrd, b, 0o644); err != nil {
		return m, err
	}
	return m, buildTools(m.tools)
}

// buildTools makes what an appliance has besides the tether; the kernel unpacks it over the rest.
func buildTools(path string) error {
	c := newCpio()
	c.entry("bin", 0o40755, nil, 0, 0)
	c.file("bin/sh", "/bin/busybox")
	seen := map[string]bool{}
	for _, tool := range []string{"/sbin/mke2fs", "/sbin/e2fsck"} {
		c.withDirs(tool, seen)
		out, err := exec.Command("ldd", tool).Output()
		if err != nil {
			return fmt.Errorf("ldd %s: %w", tool, err)
		}
		for _, w := range strings.Fields(string(out)) {
			if strings.HasPrefix(w, "/") {
				c.withDirs(w, seen)
			}
		}
	}
	b, err := c.end()
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

// withDirs adds a file of this machine at its own path.
func (c *cpio) withDirs(path string, seen map[string]bool) {
	if seen[path] {
		return
	}
	seen[path] = true
	for i, r := range path {
		if r == '/' && i > 0 && !seen[path[:i]] {
			seen[path[:i]] = true
			c.entry(path[1:i], 0o40755, nil, 0, 0)
		}
	}
	c.file(path[1:], path)
}

// cpio writes an initramfs.
type cpio struct {
	b   bytes.Buffer
	ino int
	err error
}

func newCpio() *cpio { return &cpio{} }

func (c *cpio) file(name, from string) {
	data, err := os.ReadFile(from)
	if err != nil && c.err == nil {
		c.err = err
	}
	if i := bytes.LastIndex(data, []byte("~Module signature appended~\n")); os.Getenv("VIC_TEST_STRIP") != "" && i > 12 {
		size := int(data[i-4])<<24 | int(data[i-3])<<16 | int(data[i-2])<<8 | int(data[i-1])
		data = data[:i-12-size]
		for _, sec := range strings.Fields(os.Getenv("VIC_TEST_STRIP")) {
			data = bytes.ReplaceAll(data, []byte("\x00"+sec+"\x00"), []byte("\x00"+strings.Repeat("x", len(sec))+"\x00"))
		}
	}
	c.entry(name, 0o100755, data, 0, 0)
}

func (c *cpio) entry(name string, mode uint32, data []byte, major, minor uint32) {
	c.ino++
	pad := func() {
		for c.b.Len()%4 != 0 {
			c.b.WriteByte(0)
		}
	}
	fmt.Fprintf(&c.b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		c.ino, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0, name)
	pad()
	c.b.Write(data)
	pad()
}

func (c *cpio) end() ([]byte, error) {
	c.entry("TRAILER!!!", 0, nil, 0, 0)
	return c.b.Bytes(), c.err
}

// vm is a virtual machine under test.
type vm struct {
	t       *testing.T
	cmd     *exec.Cmd
	rpc     *rpciHost
	console *console
	off     chan struct{}
	began   time.Time
}

type vmOptions struct {
	config guest.Config
	link   *guest.Link
	disks  []string
	append string
	tools  bool // with the tools of an appliance
}

func boot(t *testing.T, o vmOptions) *vm {
	t.Helper()
	m, err := makeMedia()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	v := &vm{t: t, console: newConsole(), off: make(chan struct{})}
	v.rpc = newRPCIHost(t, filepath.Join(dir, "rpci"))
	v.rpc.set(guest.Prefix+guest.KeyConfig, o.config)
	if o.link != nil {
		v.rpc.set(guest.Prefix+guest.KeyLink, o.link)
	}
	initrd := m.initrd
	if o.tools {
		initrd = filepath.Join(dir, "initrd")
		join(t, initrd, m.initrd, m.tools)
	}
	args := []string{"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35", "-accel", "tcg", "-cpu", cpu(), "-m", "128",
		"-kernel", m.kernel, "-initrd", initrd,
		"-append", "console=ttyS0 quiet panic=-1 cryptomgr.notests noreplace-smp random.trust_cpu=on " +
			"tsc=reliable no_timer_check mitigations=off vic.trace " + o.append,
		"-chardev", "stdio,id=con,signal=off", "-device", "isa-serial,chardev=con",
		"-device", "virtio-serial-pci", "-chardev", "socket,id=rpc,path=" + v.rpc.path, "-device", "virtserialport,chardev=rpc,name=" + guest.RPCIPort,
		"-netdev", "user,id=n0", "-device", "vmxnet3,netdev=n0,mac=" + mac,
		"-device", "pvscsi,id=scsi0"}
	if o.link != nil && o.link.MAC == linkMAC {
		args = append(args, "-netdev", "user,id=n1", "-device", "vmxnet3,netdev=n1,mac="+linkMAC)
	}
	for i, d := range o.disks {
		args = append(args, "-drive", fmt.Sprintf("if=none,id=d%d,format=raw,file=%s", i, d),
			"-device", fmt.Sprintf("scsi-hd,drive=d%d,bus=scsi0.0,scsi-id=%d", i, guest.SCSITarget(i)))
	}
	if n := os.Getenv("VIC_TEST_ICOUNT"); n != "" {
		args = append(args, "-icount", n) // time by instructions: a loaded machine then does not matter
	}
	v.cmd = exec.Command("qemu-system-x86_64", args...)
	v.cmd.Stdout, v.cmd.Stderr = v.console, os.Stderr
	v.began = time.Now()
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		v.cmd.Wait()
		close(v.off)
	}()
	t.Cleanup(v.end)
	return v
}

// join writes several archives into one file; the kernel unpacks one after the other.
func join(t *testing.T, to string, from ...string) {
	t.Helper()
	var all []byte
	for _, f := range from {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	if err := os.WriteFile(to, all, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (v *vm) end() {
	select {
	case <-v.off:
	default:
		v.cmd.Process.Kill()
		<-v.off
	}
	if v.t.Failed() || testing.Verbose() {
		v.t.Logf("console:\n%s", v.console)
	}
}

// waitOff waits until the VM has powered itself off.
func (v *vm) waitOff() {
	v.t.Helper()
	select {
	case <-v.off:
	case <-time.After(patience):
		v.t.Fatal("the VM did not power off")
	}
}

// exit returns the exit record.
func (v *vm) exit() guest.Exit {
	v.t.Helper()
	var e guest.Exit
	s := v.rpc.wait(guest.Prefix + guest.KeyExit)
	if err := json.Unmarshal([]byte(s), &e); err != nil {
		v.t.Fatalf("exit record %q: %v", s, err)
	}
	return e
}

// makeDisk makes a disk with an ext4 that holds what fill puts into a directory.
func makeDisk(t *testing.T, fill func(dir string)) string {
	t.Helper()
	dir, disk := t.TempDir(), filepath.Join(t.TempDir(), "disk")
	fill(dir)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "mke2fs", "-q", "-t", "ext4", "-d", dir, disk, "128M").CombinedOutput()
	if err != nil {
		t.Fatalf("mke2fs: %v: %s", err, out)
	}
	return disk
}

// rootfs is a root file system of busybox alone.
func rootfs(dir string) {
	root := filepath.Join(dir, guest.RootfsDir)
	for _, d := range []string{"bin", "etc", "tmp", "home/web"} {
		os.MkdirAll(filepath.Join(root, d), 0o755)
	}
	b, _ := os.ReadFile("/bin/busybox")
	os.WriteFile(filepath.Join(root, "bin/busybox"), b, 0o755)
	for _, name := range []string{"sh", "echo", "cat", "id", "ls", "sleep",
		"kill", "ps", "env", "pwd", "hostname", "mount", "ip", "stty", "tty", "dd", "yes", "head", "touch", "trap", "test", "wc", "ulimit", "readlink"} {
		os.Symlink("busybox", filepath.Join(root, "bin", name))
	}
	os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/home/web:/bin/sh\n"), 0o644)
	os.WriteFile(filepath.Join(root, "etc/group"), []byte("root:x:0:\nweb:x:33:\nextra:x:40:web\n"), 0o644)
	os.Symlink("/run/somewhere/resolv.conf", filepath.Join(root, "etc/resolv.conf"))
}

// cpu has an instruction for random numbers, as every real one: a guest without entropy waits for it.
func cpu() string {
	if c := os.Getenv("VIC_TEST_CPU"); c != "" {
		return c
	}
	return "qemu64,+rdrand"
}
