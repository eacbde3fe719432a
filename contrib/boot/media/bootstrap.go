package media

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/openvic/vic/contrib/boot/initramfs"
	"github.com/openvic/vic/contrib/boot/kmod"
)

// ModulesList is the file of the initramfs that names the modules to load at every boot: absolute
// paths, one a line, in the order of loading.
const ModulesList = "/modules.list"

// What a container VM always needs, and what it may ask for by name. Each module costs about
// 10 ms under emulation. virtio is how the lab's guests reach their host; on ESXi it finds no
// device and does nothing.
func bootstrapModules() (boot, lazy []string) {
	return []string{"virtio_pci", "virtio_console", "vmw_pvscsi", "sd_mod", "vmxnet3"},
		[]string{"overlay", "nf_tables", "nft_ct", "nft_reject_inet"}
}

// bootstrapPacked are modules that few container VMs ask for. They are compressed, since all of the
// initramfs is read at each boot: 5.6 MB of NFS make 1.2 MB.
func bootstrapPacked() []string { return []string{"nfsv3", "nfsv4"} }

func applianceModules() (boot, lazy []string) {
	boot, _ = bootstrapModules()
	boot = append(boot, "overlay", "nf_tables", "nft_chain_nat", "nft_nat", "nft_masq", "nft_ct", "nft_redir",
		"nft_fib_inet", "nf_conntrack_netlink")
	return boot, []string{"nft_reject_inet", "nft_limit", "nft_log",
		"isofs", "sr_mod", "virtio_net", "virtio_blk", "vmw_vmci", "tun", "veth", "dummy", "br_netfilter", "nfsv3", "nfsv4"}
}

// Bootstrap is the tree of the container VMs' initramfs: the tether and its modules, no more.
func Bootstrap(kernel *Kernel, tether string) (*initramfs.Tree, error) {
	tree, err := base(tether)
	if err != nil {
		return nil, err
	}
	boot, lazy := bootstrapModules()
	return tree, addModules(tree, kernel, boot, lazy, bootstrapPacked())
}

// base holds what every initramfs needs: the tether as PID 1 and the places to mount on.
func base(tether string) (*initramfs.Tree, error) {
	tree := initramfs.New()
	if err := tree.File("/init", 0o755, tether); err != nil {
		return nil, err
	}
	for _, dir := range []string{"/dev", "/proc", "/sys", "/run", "/mnt", "/etc"} {
		tree.Dir(dir, 0o755)
	}
	tree.Dir("/tmp", 0o777|fs.ModeSticky)
	tree.Char("/dev/console", 0o600, 5, 1) // the kernel opens it for PID 1
	tree.Char("/dev/null", 0o666, 1, 3)
	return tree, nil
}

// addModules adds the modules' files, the list of those to load at boot, and a modules.dep and
// modules.alias of all of them. The packed ones, and what they alone need, are compressed.
func addModules(tree *initramfs.Tree, kernel *Kernel, boot, lazy, packed []string) error {
	always, err := kernel.Modules.Resolve(boot...)
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	plain, err := kernel.Modules.Resolve(append(boot, lazy...)...)
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	all, err := kernel.Modules.Resolve(slices.Concat(boot, lazy, packed)...)
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	dir := path.Join("/lib/modules", kernel.Modules.Version())
	for i, m := range all {
		if i >= len(plain) { // Resolve keeps the order, so that these come last
			data, err := gzipped(kernel.Modules.File(m))
			if err != nil {
				return err
			}
			all[i].Path += ".gz"
			tree.Bytes(path.Join(dir, all[i].Path), 0o644, data)
			continue
		}
		if err := tree.File(path.Join(dir, m.Path), 0o644, kernel.Modules.File(m)); err != nil {
			return err
		}
	}
	var list strings.Builder
	for _, m := range always {
		fmt.Fprintln(&list, path.Join(dir, m.Path))
	}
	tree.Bytes(ModulesList, 0o644, []byte(list.String()))
	tree.Bytes(path.Join(dir, "modules.dep"), 0o644, kmod.Dep(all))
	tree.Bytes(path.Join(dir, "modules.alias"), 0o644, kmod.Alias(all))
	return nil
}

// gzipped is a file's content, compressed.
func gzipped(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	var buf bytes.Buffer
	w, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	if _, err := w.Write(data); err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	return buf.Bytes(), nil
}
