// Boot builds the ISO images that VMs boot from: bootstrap.iso for container VMs, appliance.iso for
// the endpoint VM, hub.iso for a hub's. It fetches Debian's cloud kernel once and keeps it unpacked in a cache.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/openvic/vic/contrib/boot/media"
	"github.com/openvic/vic/contrib/debian"
)

type options struct {
	out, cache, version, only string
	fetch                     bool
	programs                  media.Programs
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, parse()); err != nil {
		fmt.Fprintln(os.Stderr, "boot:", err)
		os.Exit(1)
	}
}

func parse() options {
	var o options
	flag.StringVar(&o.out, "out", "build/iso", "folder for the images")
	flag.StringVar(&o.cache, "cache", "build/cache/kernel", "folder for the unpacked kernel package")
	flag.StringVar(&o.version, "version", "dev", "version in the images' names")
	flag.BoolVar(&o.fetch, "fetch", false, "fetch and unpack the kernel package if the cache has none, and build nothing")
	flag.StringVar(&o.only, "only", "", "build this image alone: bootstrap, appliance or hub")
	flag.StringVar(&o.programs.Tether, "tether", "build/bin/tether", "the tether, PID 1 of all images")
	flag.StringVar(&o.programs.Vicd, "vicd", "build/bin/vicd", "the core host")
	flag.StringVar(&o.programs.Vic, "vic", "build/bin/vic", "the command line of the core host")
	flag.StringVar(&o.programs.Driver, "driver", "build/bin/vic-driver-vsphere", "the vSphere driver")
	flag.StringVar(&o.programs.Hub, "hub", "build/bin/vic-hub", "the hub")
	flag.StringVar(&o.programs.AuthLocal, "auth-local", "build/bin/vic-auth-local", "the plugin that keeps the hub's users")
	flag.StringVar(&o.programs.AuthVSphere, "auth-vsphere", "build/bin/vic-auth-vsphere", "the plugin that knows vCenter's users")
	flag.StringVar(&o.programs.AuthOIDC, "auth-oidc", "build/bin/vic-auth-oidc", "the plugin that knows the users of an OpenID provider")
	flag.StringVar(&o.programs.AuthLDAP, "auth-ldap", "build/bin/vic-auth-ldap", "the plugin that knows the users of a directory")
	flag.StringVar(&o.programs.ReplicateOCI, "replicate-oci", "build/bin/vic-replicate-oci", "the plugin that copies to other registries")
	flag.StringVar(&o.programs.Plugins, "plugins", "",
		"`folder` with plugins for the appliance, laid out as its root: etc/vic/plugins.d and so on (sdk/README.md)")
	flag.Parse()
	return o
}

func run(ctx context.Context, o options) error {
	kernelDir, err := kernelPackage(ctx, o.cache)
	if err != nil || o.fetch {
		return err
	}
	kernel, err := media.OpenKernel(kernelDir)
	if err != nil {
		return err
	}
	for _, image := range []struct {
		name  string
		build func(context.Context, *media.Kernel, options) error
	}{{"bootstrap", bootstrap}, {"appliance", appliance}, {"hub", hub}} {
		if o.only != "" && o.only != image.name {
			continue
		}
		if err := image.build(ctx, kernel, o); err != nil {
			return err
		}
	}
	return nil
}

func hub(ctx context.Context, kernel *media.Kernel, o options) error {
	if err := o.programs.Missing("tether", "hub", "auth-local", "auth-vsphere", "auth-oidc", "auth-ldap", "replicate-oci"); err != nil {
		return err
	}
	tree, err := media.Hub(ctx, kernel, o.programs)
	if err != nil {
		return err
	}
	return build(ctx, kernel, o, media.Image{Name: "hub", Tree: tree, Compress: true, Screen: true})
}

func bootstrap(ctx context.Context, kernel *media.Kernel, o options) error {
	if err := o.programs.Missing("tether"); err != nil {
		return err
	}
	tree, err := media.Bootstrap(kernel, o.programs.Tether)
	if err != nil {
		return err
	}
	return build(ctx, kernel, o, media.Image{Name: "bootstrap", Tree: tree})
}

func appliance(ctx context.Context, kernel *media.Kernel, o options) error {
	if err := o.programs.Missing("tether", "vicd", "vic", "driver"); err != nil {
		return err
	}
	tree, err := media.Appliance(ctx, kernel, o.programs)
	if err != nil {
		return err
	}
	return build(ctx, kernel, o, media.Image{Name: "appliance", Tree: tree, Compress: true})
}

func build(ctx context.Context, kernel *media.Kernel, o options, image media.Image) error {
	image.Version = o.version
	start := time.Now()
	built, err := media.Build(ctx, kernel, o.out, image)
	if err != nil {
		return err
	}
	what := "is up to date"
	if built {
		what = fmt.Sprintf("built in %.1f s", time.Since(start).Seconds())
	}
	fmt.Printf("%s/%s-%s.iso %s\n", o.out, image.Name, o.version, what)
	return nil
}

// kernelPackage returns the unpacked kernel: the newest in the cache, or else Debian's current one.
func kernelPackage(ctx context.Context, cache string) (string, error) {
	const prefix = "linux-image-"
	cached, err := filepath.Glob(filepath.Join(cache, prefix+"*"))
	if err != nil {
		return "", err
	}
	if len(cached) > 0 {
		return debian.Unpack(ctx, cache, filepath.Base(cached[len(cached)-1]))
	}
	pkg, err := debian.Dependency(ctx, "linux-image-cloud-amd64", prefix)
	if err != nil {
		return "", err
	}
	return debian.Unpack(ctx, cache, pkg)
}
