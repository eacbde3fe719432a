package media

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"

	"github.com/openvic/vic/contrib/boot/initramfs"
)

// pluginFolder is where the hub's plugins are.
const pluginFolder = "/usr/lib/vic/plugins/"

// Hub is the tree of the initramfs of a hub's VM. vic-machine gives the VM its hub.toml, which says
// which of the identity sources are used, and their configurations, /etc/vic-hub/local.toml and so on.
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

// addHub adds the hub, its identity sources and what replicates. Their entries in plugins.d hold their checksums, so they are made with the image.
func addHub(tree *initramfs.Tree, programs Programs) error {
	for name, path := range map[string]string{"local": programs.AuthLocal, "vsphere": programs.AuthVSphere, "oidc": programs.AuthOIDC, "ldap": programs.AuthLDAP,
		"oci": programs.ReplicateOCI} {
		plugin, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("media: %w", err)
		}
		target := pluginFolder + "vic-auth-" + name
		if name == "oci" {
			target = pluginFolder + "vic-replicate-oci"
			tree.Bytes("/etc/vic-hub/oci.toml", 0o644, nil) // what it does without a word
		}
		tree.Bytes(target, 0o755, plugin)
		tree.Bytes("/etc/vic-hub/plugins.d/"+name+".toml", 0o644, fmt.Appendf(nil,
			"# Made with the image; [roles] in hub.toml says whether it is used.\nname = %q\npath = %q\nsha256 = \"%x\"\nconfig = \"/etc/vic-hub/%s.toml\"\n",
			name, target, sha256.Sum256(plugin), name))
	}
	tree.Dir("/var/lib/vic-hub", 0o700)
	// A VM that was deployed from the OVA is configured by OVF properties (tether/ovf).
	tree.Bytes("/usr/lib/vic/ovf-config", 0o755, []byte("#!/bin/sh\nexec /usr/bin/vic-hub ovf\n"))
	return tree.File("/usr/bin/vic-hub", 0o755, programs.Hub)
}
