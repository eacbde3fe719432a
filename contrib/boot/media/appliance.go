package media

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/openvic/vic/contrib/boot/initramfs"
)

// Programs are the product's binaries on this machine.
type Programs struct {
	Tether, Vicd, Vic, Driver string
	Hub                       string
	// The hub's identity sources.
	AuthLocal, AuthVSphere, AuthOIDC, AuthLDAP string
	ReplicateOCI                               string
	// Plugins is a folder whose files are laid over the appliance's root: plugins of others with what
	// belongs to them. Empty: none.
	Plugins string
}

// Missing names the programs that are not there.
func (p Programs) Missing(names ...string) error {
	paths := map[string]string{"tether": p.Tether, "vicd": p.Vicd, "vic": p.Vic, "driver": p.Driver, "hub": p.Hub,
		"auth-local": p.AuthLocal, "auth-vsphere": p.AuthVSphere, "auth-oidc": p.AuthOIDC, "auth-ldap": p.AuthLDAP,
		"replicate-oci": p.ReplicateOCI}
	var errs []error
	for _, name := range names {
		if _, err := os.Stat(paths[name]); err != nil {
			errs = append(errs, fmt.Errorf("media: no %s at %q (make build makes it; --%s names another): %w", name, paths[name], name, err))
		}
	}
	return errors.Join(errs...)
}

const (
	driverPath = "/usr/lib/vic/plugins/vic-driver-vsphere"
	caBundle   = "/etc/ssl/certs/ca-certificates.crt"
)

// Appliance is the tree of the endpoint VM's initramfs.
func Appliance(ctx context.Context, kernel *Kernel, programs Programs) (*initramfs.Tree, error) {
	tree, err := base(programs.Tether)
	if err != nil {
		return nil, err
	}
	boot, lazy := applianceModules()
	steps := []func() error{
		func() error { return addModules(tree, kernel, boot, lazy, nil) },
		func() error { return addProduct(tree, programs) },
		func() error { return addBusybox(ctx, tree) },
		func() error { return addFileSystemTools(tree) },
		func() error { return addEtc(tree) },
	}
	if programs.Plugins != "" {
		steps = append(steps, func() error { return addPlugins(tree, programs.Plugins) })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return tree, nil
}

func addProduct(tree *initramfs.Tree, programs Programs) error {
	driver, err := os.ReadFile(programs.Driver)
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	sum := sha256.Sum256(driver)
	tree.Bytes(driverPath, 0o755, driver)
	tree.Bytes("/etc/vic/plugins.d/vsphere.toml", 0o644, fmt.Appendf(nil,
		"# The vSphere driver of this appliance; made with the image.\nname = \"vsphere\"\npath = %q\nsha256 = %q\nconfig = \"/etc/vic/vsphere.toml\"\n",
		driverPath, hex.EncodeToString(sum[:])))
	return errors.Join(
		tree.File("/usr/bin/vicd", 0o755, programs.Vicd),
		tree.File("/usr/bin/vic", 0o755, programs.Vic))
}

// addBusybox gives the appliance a shell for people who look into it, and the kernel a modprobe.
func addBusybox(ctx context.Context, tree *initramfs.Tree) error {
	busybox, err := staticBusybox()
	if err != nil {
		return err
	}
	if err := tree.File("/bin/busybox", 0o755, busybox); err != nil {
		return err
	}
	list, err := exec.CommandContext(ctx, busybox, "--list-full").Output()
	if err != nil {
		return fmt.Errorf("media: %s --list-full: %w", busybox, err)
	}
	for _, applet := range strings.Fields(string(list)) {
		if name := path.Clean("/" + applet); name != "/bin/busybox" && name != "/linuxrc" {
			tree.Link(name, "/bin/busybox")
		}
	}
	return nil
}

func staticBusybox() (string, error) {
	const hint = "(apt-get install busybox-static)"
	path, err := exec.LookPath("busybox")
	if err != nil {
		return "", fmt.Errorf("media: %w %s", err, hint)
	}
	_, libs, err := elfNeeds(path)
	if err != nil {
		return "", err
	}
	if len(libs) > 0 {
		return "", fmt.Errorf("media: %s needs shared libraries %s", path, hint)
	}
	return path, nil
}

// addFileSystemTools adds the programs that make, check and grow ext4, with their libraries.
func addFileSystemTools(tree *initramfs.Tree) error {
	for _, tool := range []string{"mke2fs", "e2fsck", "resize2fs"} {
		source := filepath.Join("/sbin", tool)
		if err := tree.File("/sbin/"+tool, 0o755, source); err != nil {
			return fmt.Errorf("%w (apt-get install e2fsprogs)", err)
		}
		if err := addLibraries(tree, source); err != nil {
			return err
		}
	}
	tree.Link("/sbin/mkfs.ext4", "mke2fs")
	tree.Link("/sbin/fsck.ext4", "e2fsck")
	return tree.File("/etc/mke2fs.conf", 0o644, "/etc/mke2fs.conf")
}

// addLibraries adds the shared libraries that a program needs, and the program loader.
func addLibraries(tree *initramfs.Tree, program string) error {
	loader, libs, err := elfNeeds(program)
	if err != nil {
		return err
	}
	if loader != "" && !tree.Has(loader) {
		if err := tree.File(loader, 0o755, loader); err != nil {
			return err
		}
	}
	for _, lib := range libs {
		source, err := findLibrary(lib)
		if err != nil {
			return fmt.Errorf("media: %s: %w", program, err)
		}
		if target := "/lib/" + lib; !tree.Has(target) {
			if err := tree.File(target, 0o755, source); err != nil {
				return err
			}
			if err := addLibraries(tree, source); err != nil {
				return err
			}
		}
	}
	return nil
}

func elfNeeds(path string) (loader string, libs []string, err error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", nil, fmt.Errorf("media: %s: %w", path, err)
	}
	defer f.Close()
	if section := f.Section(".interp"); section != nil {
		data, err := section.Data()
		if err != nil {
			return "", nil, fmt.Errorf("media: %s: %w", path, err)
		}
		loader = string(bytes.TrimRight(data, "\x00"))
	}
	libs, err = f.ImportedLibraries()
	if err != nil {
		return "", nil, fmt.Errorf("media: %s: %w", path, err)
	}
	return loader, libs, nil
}

func findLibrary(name string) (string, error) {
	for _, dir := range []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/lib"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return filepath.Join(dir, name), nil
		}
	}
	return "", fmt.Errorf("library %s not found", name)
}

func addEtc(tree *initramfs.Tree) error {
	tree.Bytes("/etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"))
	tree.Bytes("/etc/group", 0o644, []byte("root:x:0:\nnogroup:x:65534:\n"))
	tree.Bytes("/etc/os-release", 0o644, []byte("ID=vic-appliance\nNAME=\"vSphere Integrated Containers appliance\"\n"))
	tree.Bytes("/etc/profile", 0o644, []byte("export PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"))
	tree.Dir("/root", 0o700)
	for _, dir := range []string{"/var/lib/vic", "/var/log", "/var/tmp"} {
		tree.Dir(dir, 0o755)
	}
	return tree.File(caBundle, 0o644, caBundle)
}
