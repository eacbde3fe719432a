package media

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"

	"github.com/openvic/vic/contrib/boot/initramfs"
)

const authLocalPath = "/usr/lib/vic/plugins/vic-auth-local"

// Hub is the tree of the initramfs of a hub's VM. vic-machine gives the VM its hub.toml and the plugin's local.toml.
func Hub(ctx context.Context, kernel *Kernel, programs Programs) (*initramfs.Tree, error) {
	tree, err := base(programs.Tether)
	if err != nil {
		return nil, err
	}
	boot, _ := bootstrapModules()
	steps := []func() error{
		func() error { return addModules(tree, kernel, boot, []string{"isofs", "sr_mod", "vmw_vmci"}, nil) },
		func() error { return addHub(tree, programs) },
		func() error { return addBusybox(ctx, tree) },
		func() error { return addFileSystemTools(tree) },
		func() error { return addEtc(tree) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return tree, nil
}

// addHub adds the hub and the plugin that keeps its users.
func addHub(tree *initramfs.Tree, programs Programs) error {
	plugin, err := os.ReadFile(programs.AuthLocal)
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	tree.Bytes(authLocalPath, 0o755, plugin)
	tree.Bytes("/etc/vic-hub/plugins.d/local.toml", 0o644, fmt.Appendf(nil,
		"# The users of this hub's own; made with the image.\nname = \"local\"\npath = %q\nsha256 = \"%x\"\nconfig = \"/etc/vic-hub/local.toml\"\n",
		authLocalPath, sha256.Sum256(plugin)))
	tree.Dir("/var/lib/vic-hub", 0o700)
	return tree.File("/usr/bin/vic-hub", 0o755, programs.Hub)
}
