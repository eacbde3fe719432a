package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/moby/term"
	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/machine/advice"
	"github.com/openvic/vic/machine/session"
	"github.com/openvic/vic/sdk/errdef"
)

const (
	defaultName    = "virtual-container-host"
	defaultTimeout = 3 * time.Minute
)

// Help shows options under these headings.
const (
	groupTarget  = "vSphere"
	groupCompute = "Compute"
	groupStorage = "Storage"
	groupNetwork = "Networks"
	groupTLS     = "Certificates"
	groupOther   = "Other"
)

func targetFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "target", Aliases: []string{"t"}, Category: groupTarget, EnvVars: []string{"VIC_MACHINE_TARGET"},
			Usage: "vCenter or ESXi host: `host[:port][/datacenter]` or a URL"},
		&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Category: groupTarget, EnvVars: []string{"VIC_MACHINE_USER"},
			Usage: "account, with its domain: `user@domain`"},
		&cli.StringFlag{Name: "password", Aliases: []string{"p"}, Category: groupTarget, EnvVars: []string{"VIC_MACHINE_PASSWORD"},
			DefaultText: "asked for on a terminal", Usage: "its `password`"},
		&cli.StringFlag{Name: "thumbprint", Category: groupTarget, EnvVars: []string{"VIC_MACHINE_THUMBPRINT"},
			Usage: "SHA-1 or SHA-256 `thumbprint` of the certificate to trust; without it only one that the system's authorities vouch for"},
		&cli.DurationFlag{Name: "timeout", Category: groupOther, Value: defaultTimeout, Usage: "give up after this `time`"},
	}
}

func idFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "name", Aliases: []string{"n"}, Value: defaultName, Usage: "`name` of the VCH"},
		&cli.StringFlag{Name: "compute-resource", Aliases: []string{"r"}, Usage: "`cluster`, host or pool that it is on, if several VCHs have its name"},
		&cli.StringFlag{Name: "id", Usage: "managed object `id` of the VCH's endpoint VM, as ls shows it; instead of --name"},
	}
}

func createFlags() []cli.Flag {
	return append(targetFlags(),
		&cli.StringFlag{Name: "name", Aliases: []string{"n"}, Value: defaultName, Usage: "`name` of the VCH: its vApp, endpoint VM and datastore folder"},
		&cli.StringFlag{Name: "compute-resource", Aliases: []string{"r"}, Category: groupCompute,
			Usage: "`cluster`, host or resource pool; may be left out if there is only one"},
		&cli.Int64Flag{Name: "endpoint-memory", Category: groupCompute, Value: 2048, Usage: "memory of the endpoint VM in `MiB`"},
		&cli.IntFlag{Name: "endpoint-cpu", Category: groupCompute, Value: 1, Usage: "`CPUs` of the endpoint VM"},
		&cli.Int64Flag{Name: "container-memory", Category: groupCompute, Value: 256,
			Usage: "memory in `MiB` of container VMs for which docker run gives no -m (VIC gave 2048)"},
		&cli.StringFlag{Name: "image-store", Aliases: []string{"i"}, Category: groupStorage,
			Usage: "`datastore` or datastore/path for images; the VCH's folder and its VMs are on the same datastore"},
		&cli.StringSliceFlag{Name: "volume-store", Aliases: []string{"vs"}, Category: groupStorage,
			Usage: "place of volumes, `datastore/path:label` or nfs://host/path?options:label; the one labelled default is taken where docker volume create names none; may be repeated"},
		&cli.Int64Flag{Name: "state-size", Category: groupStorage, Value: 40,
			Usage: "size in `GiB` of the endpoint's disk for downloads and image metadata; it is thin"},
		&cli.StringFlag{Name: "bridge-network", Aliases: []string{"b"}, Category: groupNetwork,
			Usage: "`port group` for container VMs, of this VCH alone; on vCenter a distributed one"},
		&cli.StringFlag{Name: "bridge-network-range", Aliases: []string{"bnr"}, Category: groupNetwork, Value: "172.16.0.0/16",
			Usage: "`IP range` of the bridge network"},
		&cli.StringFlag{Name: "public-network", Aliases: []string{"pn"}, Category: groupNetwork, Value: "VM Network",
			Usage: "`port group` of clients, registries and vCenter; it must have DHCP"},
		&cli.StringSliceFlag{Name: "registry-mirror", Category: groupNetwork, Usage: "`URL` of a mirror for docker.io; may be repeated"},
		&cli.StringSliceFlag{Name: "insecure-registry", Aliases: []string{"dir"}, Category: groupNetwork,
			Usage: "`host[:port]` of a registry without a trusted certificate; may be repeated"},
		&cli.StringSliceFlag{Name: "tls-cname", Category: groupTLS,
			Usage: "DNS `name` or address of the endpoint for its certificate; may be repeated"},
		&cli.BoolFlag{Name: "no-tlsverify", Aliases: []string{"kv"}, Category: groupTLS, Usage: "let clients in without a certificate of theirs"},
		&cli.BoolFlag{Name: "no-tls", Aliases: []string{"k"}, Category: groupTLS, Usage: "no encryption: anybody who sees the traffic can take over the VCH"},
		&cli.StringFlag{Name: "cert-path", Aliases: []string{"tls-cert-path"}, Category: groupTLS, DefaultText: "./<name>",
			Usage: "`folder` in which certificates are looked for, and written if they are not there"},
		&cli.StringSliceFlag{Name: "organization", Category: groupTLS, DefaultText: "the VCH's name",
			Usage: "`name` to put into certificates; may be repeated"},
		&cli.IntFlag{Name: "certificate-key-size", Aliases: []string{"ksz"}, Category: groupTLS, Value: 256,
			Usage: "256, 384 or 521 `bits` for ECDSA; 2048 or more for RSA, as VIC's default was, which costs an emulated endpoint far more time for each connection"},
		&cli.StringFlag{Name: "appliance-iso", Aliases: []string{"ai"}, Category: groupOther, DefaultText: "appliance.iso beside vic-machine, in iso there, or in ./iso",
			Usage: "`file` that the endpoint VM boots"},
		&cli.StringFlag{Name: "bootstrap-iso", Aliases: []string{"bi"}, Category: groupOther, DefaultText: "bootstrap.iso, likewise",
			Usage: "`file` that container VMs boot"},
		&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Category: groupOther,
			Usage: "trust any certificate of the target, take some errors of the checks as warnings, replace certificates that cannot be used"},
		&cli.BoolFlag{Name: "no-reach-check", Category: groupOther,
			Usage: "do not ask the Docker API at the endpoint's address for a sign of life; for a machine that has no route to it"},
		&cli.IntFlag{Name: "debug", Aliases: []string{"v"}, Category: groupOther, Usage: "`1` keeps what was made when create fails"},
	)
}

// target reads where to log in, and asks for a password that is missing.
func (a *app) target(c *cli.Context) (session.Target, error) {
	t, err := session.ParseTarget(c.String("target"))
	if err != nil {
		return t, err
	}
	if u := c.String("user"); u != "" {
		t.User = u
	}
	if t.User == "" {
		return t, advice.Wrap(fmt.Errorf("no user: %w", errdef.ErrInvalid), "give --user, or VIC_MACHINE_USER")
	}
	if t.Thumbprint, err = session.NormalThumbprint(c.String("thumbprint")); err != nil {
		return t, err
	}
	t.Force = c.Bool("force")
	if c.IsSet("password") {
		t.Password = c.String("password")
	}
	if t.Password == "" && !c.IsSet("password") {
		t.Password, err = a.askPassword(t)
	}
	return t, err
}

// askPassword reads a line without showing it; only from a terminal, so that a script that forgot
// the password fails instead of hanging.
func (a *app) askPassword(t session.Target) (string, error) {
	f, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(f.Fd()) {
		return "", advice.Wrap(fmt.Errorf("no password: %w", errdef.ErrInvalid),
			"give --password, or VIC_MACHINE_PASSWORD, or run on a terminal to be asked")
	}
	fmt.Fprintf(a.err, "Password of %s at %s: ", t.User, t.URL.Host)
	state, err := term.SaveState(f.Fd())
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if err := term.DisableEcho(f.Fd(), state); err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	line, err := readLine(f)
	_ = term.RestoreTerminal(f.Fd(), state)
	fmt.Fprintln(a.err)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return line, nil
}

// readLine reads no further than the line's end.
func readLine(r io.Reader) (string, error) {
	var b strings.Builder
	one := make([]byte, 1)
	for {
		n, err := r.Read(one)
		if n == 1 && one[0] == '\n' {
			return strings.TrimSuffix(b.String(), "\r"), nil
		}
		b.Write(one[:n])
		if err != nil {
			return b.String(), err
		}
	}
}
