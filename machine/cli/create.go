package cli

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/machine/advice"
	"github.com/openvic/vic/machine/certs"
	"github.com/openvic/vic/machine/precheck"
	"github.com/openvic/vic/machine/progress"
	"github.com/openvic/vic/machine/session"
	"github.com/openvic/vic/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
)

// layerSizeGB is the virtual size of image disks, VIC's base-image-size.
const layerSizeGB = 8

func (a *app) createCommand() *cli.Command {
	return &cli.Command{Name: "create", Usage: "make a VCH and wait until it serves", Flags: createFlags(), Action: a.create}
}

func (a *app) create(c *cli.Context) error {
	in, err := a.input(c)
	if err != nil {
		return err
	}
	t, err := a.target(c)
	if err != nil {
		return err
	}
	ctx, cancel := deadline(c)
	defer cancel()
	log := progress.New(a.out)
	log.Printf("checking what VCH %s needs", in.Spec.Name)
	if in.Session, in.ConnectErr = session.Connect(ctx, t); in.Session != nil {
		defer in.Session.Close(ctx)
		a.tellForced(t, in.Session)
	}
	checked := precheck.Run(ctx, in)
	checked.Report.Print(a.out)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !checked.OK() {
		return fmt.Errorf("%d of the checks failed; %w", checked.Report.Count(precheck.Error), errChecks)
	}
	log.Printf("making VCH %s", in.Spec.Name)
	plan := vch.NewPlan(in.Spec, checked.Resources, checked.Certs, time.Now())
	ready, err := vch.Create(ctx, plan, log)
	if err != nil {
		return fmt.Errorf("VCH %s could not be made: %w", in.Spec.Name, err)
	}
	log.Printf("VCH %s serves, %.1f s after the start (ID %s)", in.Spec.Name, ready.Took.Seconds(), ready.VM)
	return a.welcome(ctx, in, checked.Certs, ready, !c.Bool("no-reach-check"))
}

// input reads the options of create.
func (a *app) input(c *cli.Context) (precheck.Input, error) {
	name := c.String("name")
	bridge, err := netip.ParsePrefix(c.String("bridge-network-range"))
	if err != nil {
		return precheck.Input{}, advice.Wrap(fmt.Errorf("--bridge-network-range %q: %w", c.String("bridge-network-range"), errdef.ErrInvalid),
			"give it a network such as 172.16.0.0/16")
	}
	if c.Bool("no-tls") && c.Bool("no-tlsverify") {
		return precheck.Input{}, advice.Wrap(fmt.Errorf("--no-tls and --no-tlsverify exclude one another: %w", errdef.ErrInvalid), "give one of them")
	}
	spec := vch.Spec{
		Name: name, Version: a.version, BridgeRange: bridge.Masked(),
		EndpointCPU: int32(c.Int("endpoint-cpu")), EndpointMemoryMB: c.Int64("endpoint-memory"),
		StateGB: c.Int64("state-size"), ContainerMemoryMB: c.Int64("container-memory"), LayerSizeGB: layerSizeGB,
		ApplianceISO: isoFile(c.String("appliance-iso"), "appliance.iso"), BootstrapISO: isoFile(c.String("bootstrap-iso"), "bootstrap.iso"),
		NoTLS: c.Bool("no-tls"), NoVerify: c.Bool("no-tlsverify"),
		RegistryMirrors: c.StringSlice("registry-mirror"), InsecureRegistries: c.StringSlice("insecure-registry"),
		Debug: c.Int("debug"),
	}
	dir := c.String("cert-path")
	if dir == "" {
		dir = filepath.Join(".", name)
	}
	orgs := c.StringSlice("organization")
	if len(orgs) == 0 {
		orgs = []string{name}
	}
	return precheck.Input{
		Spec: spec, ComputeResource: c.String("compute-resource"), ImageStore: c.String("image-store"),
		VolumeStores:  trimmed(c.StringSlice("volume-store")),
		BridgeNetwork: c.String("bridge-network"), PublicNetwork: c.String("public-network"), Force: c.Bool("force"),
		Certs: certs.Options{Dir: dir, Name: name, Names: trimmed(c.StringSlice("tls-cname")), Organizations: orgs,
			KeySize: c.Int("certificate-key-size"), NoTLS: spec.NoTLS, NoVerify: spec.NoVerify, Force: c.Bool("force")},
	}, nil
}

func trimmed(in []string) []string {
	var out []string
	for _, s := range in {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// isoFile is the file that the option names, or the default if it is anywhere.
func isoFile(given, name string) string {
	if given != "" {
		return given
	}
	places := []string{filepath.Join("iso", name)}
	if exe, err := os.Executable(); err == nil {
		d := filepath.Dir(exe)
		places = append([]string{filepath.Join(d, name), filepath.Join(d, "iso", name), filepath.Join(d, "..", "iso", name)}, places...)
	}
	for _, p := range places {
		if _, err := os.Stat(p); err == nil {
			return filepath.Clean(p)
		}
	}
	return ""
}
