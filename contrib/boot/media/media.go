// Package media builds the ISO images that the product's VMs boot: the bootstrap image of
// container VMs, the appliance image of the endpoint VM and the image of a hub's VM. All are a Debian
// kernel and an initramfs, started by isolinux.
package media

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/openvic/vic/contrib/boot/initramfs"
	"github.com/openvic/vic/contrib/boot/kmod"
)

// cmdline is measured under emulation: without the self tests of the crypto code a boot is 0.27 s
// faster, and without rewriting the locks of the kernel for one processor (noreplace-smp) 0.22 s.
//
// tsc=reliable is what the kernel decides by itself on ESXi, which tells it the TSC's frequency. On an
// emulator it keeps the kernel's watchdog from waking each VM twice a second, and from giving the TSC up
// when the host is busy; a TSC whose frequency the kernel misjudged there is found by the tether, which
// compares it with the host's clock (tether/clock).
const cmdline = "console=ttyS0 quiet panic=-1 cryptomgr.notests noreplace-smp random.trust_cpu=on tsc=reliable no_timer_check mitigations=off"

// Kernel is an unpacked kernel package.
type Kernel struct {
	Image   string // path of the bzImage
	Modules *kmod.Index
}

// OpenKernel finds kernel and modules in the folder of an unpacked kernel package.
func OpenKernel(dir string) (*Kernel, error) {
	found, err := filepath.Glob(filepath.Join(dir, "lib/modules/*"))
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("media: %d kernels in %s, want 1 (remove the folder to fetch it again)", len(found), dir)
	}
	index, err := kmod.Open(found[0])
	if err != nil {
		return nil, err
	}
	image := filepath.Join(dir, "boot", "vmlinuz-"+index.Version())
	if _, err := os.Stat(image); err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	return &Kernel{Image: image, Modules: index}, nil
}

// Image is one ISO to build.
type Image struct {
	Name     string // "bootstrap"
	Version  string
	Tree     *initramfs.Tree
	Compress bool // the initramfs, with zstd
	// Screen also shows on the VM's screen what goes to the serial port; a VM without a serial port has nothing else.
	Screen bool
}

// args are the kernel's. Of several consoles the last one that there is becomes /dev/console.
func (i Image) args() string {
	if i.Screen {
		return "console=tty0 " + cmdline
	}
	return cmdline
}

// Build writes <out>/<name>-<version>.iso, points the link <name>.iso at it and removes the
// images of other versions. It does nothing when the image is there and was made from the same
// input, and says which it was.
func Build(ctx context.Context, kernel *Kernel, out string, img Image) (built bool, err error) {
	initrd, err := pack(img)
	if err != nil {
		return false, err
	}
	image, err := os.ReadFile(kernel.Image)
	if err != nil {
		return false, fmt.Errorf("media: %w", err)
	}
	stamp := digest(initrd, image, []byte(img.args()))
	iso := filepath.Join(out, img.Name+"-"+img.Version+".iso")
	stampFile := filepath.Join(out, "."+img.Name+".stamp")
	if upToDate(iso, stampFile, stamp) {
		return false, relink(out, img, iso)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return false, fmt.Errorf("media: %w", err)
	}
	if err := writeISO(ctx, iso, image, initrd, img.args()); err != nil {
		return false, err
	}
	if err := os.WriteFile(stampFile, []byte(stamp), 0o644); err != nil {
		return false, fmt.Errorf("media: %w", err)
	}
	return true, relink(out, img, iso)
}

func pack(img Image) ([]byte, error) {
	var cpio bytes.Buffer
	if _, err := img.Tree.WriteTo(&cpio); err != nil {
		return nil, err
	}
	if !img.Compress {
		return cpio.Bytes(), nil
	}
	// The kernel refuses frames whose window is above 8 MiB.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithWindowSize(4<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	return enc.EncodeAll(cpio.Bytes(), nil), nil
}

func upToDate(iso, stampFile, stamp string) bool {
	old, err := os.ReadFile(stampFile)
	if err != nil || string(old) != stamp {
		return false
	}
	_, err = os.Stat(iso)
	return err == nil
}

// relink points the stable name at the image and removes older ones.
func relink(out string, img Image, iso string) error {
	all, err := filepath.Glob(filepath.Join(out, img.Name+"-*.iso"))
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	for _, other := range all {
		if other != iso {
			if err := os.Remove(other); err != nil {
				return fmt.Errorf("media: %w", err)
			}
		}
	}
	link := filepath.Join(out, img.Name+".iso")
	if target, err := os.Readlink(link); err == nil && target == filepath.Base(iso) {
		return nil
	}
	tmp := link + ".new"
	_ = os.Remove(tmp) // left by an interrupted run, if at all
	if err := os.Symlink(filepath.Base(iso), tmp); err != nil {
		return fmt.Errorf("media: %w", err)
	}
	if err := os.Rename(tmp, link); err != nil {
		return fmt.Errorf("media: %w", err)
	}
	return nil
}

func digest(parts ...[]byte) string {
	sum := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(sum, "%d\n", len(part))
		sum.Write(part)
	}
	return hex.EncodeToString(sum.Sum(nil))
}
