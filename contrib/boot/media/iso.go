package media

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Where Debian's packages isolinux and syslinux-common keep the boot loader.
const (
	isolinuxBin = "/usr/lib/ISOLINUX/isolinux.bin"
	ldlinuxC32  = "/usr/lib/syslinux/modules/bios/ldlinux.c32"
)

const isolinuxConfig = `DEFAULT vic
PROMPT 0
TIMEOUT 0
LABEL vic
  KERNEL /boot/vmlinuz
  INITRD /boot/initrd
  APPEND `

// isoDate makes images reproducible: xorriso writes it instead of the time of the build.
const isoDate = "2026010100000000"

func writeISO(ctx context.Context, iso string, kernel, initrd []byte, args string) (err error) {
	root, err := os.MkdirTemp("", "vic-iso-")
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	if err := fillISO(root, kernel, initrd, args); err != nil {
		return err
	}
	tmp := iso + ".new"
	cmd := exec.CommandContext(ctx, "xorriso", "-as", "mkisofs", "-quiet", "-o", tmp,
		"-b", "boot/isolinux/isolinux.bin", "-c", "boot/isolinux/boot.cat",
		"-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "-V", "VIC",
		"--modification-date="+isoDate, "--set_all_file_dates", "set_to_mtime", root)
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("media: xorriso: %w: %s", err, strings.TrimSpace(string(out))), os.RemoveAll(tmp))
	}
	if err := os.Rename(tmp, iso); err != nil {
		return fmt.Errorf("media: %w", err)
	}
	return nil
}

func fillISO(root string, kernel, initrd []byte, args string) error {
	boot := filepath.Join(root, "boot", "isolinux")
	if err := os.MkdirAll(boot, 0o755); err != nil {
		return fmt.Errorf("media: %w", err)
	}
	files := map[string][]byte{
		"boot/vmlinuz":               kernel,
		"boot/initrd":                initrd,
		"boot/isolinux/isolinux.cfg": []byte(isolinuxConfig + args + "\n"),
	}
	for name, source := range map[string]string{"isolinux.bin": isolinuxBin, "ldlinux.c32": ldlinuxC32} {
		data, err := os.ReadFile(source)
		if err != nil {
			return fmt.Errorf("media: boot loader: %w (apt-get install isolinux syslinux-common)", err)
		}
		files["boot/isolinux/"+name] = data
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(root, name), data, 0o644); err != nil {
			return fmt.Errorf("media: %w", err)
		}
	}
	return nil
}
