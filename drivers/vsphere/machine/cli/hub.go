package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/hubvm"
	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/precheck"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/sdk/errdef"
)

func (a *app) hubCommand() *cli.Command {
	usage := "make, list, describe, change, upgrade and remove hubs: the registry beside VCHs, as a VM"
	return &cli.Command{Name: "hub", Usage: usage, Subcommands: []*cli.Command{
		{Name: "create", Usage: "make a hub and wait until it serves", Flags: flags(operation.HubCreateOptions()), Action: a.hubCreate},
		{Name: "adopt", Usage: "take over a hub that was deployed from the OVA; its VM boots anew", Flags: flags(operation.HubAdoptOptions()), Action: a.hubAdopt},
		{Name: "ls", Usage: "list the hubs", Flags: append(targetFlags(), formatFlags()...), Action: a.hubLs},
		{Name: "inspect", Usage: "describe a hub", Flags: append(append(targetFlags(), flags(operation.HubIDOptions())...), formatFlags()...),
			Action: a.hubInspect},
		{Name: "configure", Usage: "change a hub's size, address, name servers or certificate; its VM boots anew", Flags: flags(operation.HubConfigureOptions()),
			Action: a.hubConfigure},
		{Name: "upgrade", Usage: "make a hub boot the version of vic-machine; the old one comes back if that does not serve",
			Flags: flags(operation.HubUpgradeOptions()), Action: a.hubUpgrade},
		{Name: "rollback", Usage: "make a hub boot the version from before its last upgrade, over the data of now", Flags: flags(operation.HubRollbackOptions()),
			Action: a.hubRollback},
		{Name: "debug", Usage: "look into a hub: logs, SSH", Flags: flags(operation.HubDebugOptions()), Action: a.hubDebug},
		{Name: "delete", Usage: "remove a hub; its data disk stays unless --force is given; may be repeated", Flags: flags(operation.HubDeleteOptions()),
			Action: a.hubDelete},
	}}
}

func (a *app) hubCreate(c *cli.Context) error {
	v := given(c, operation.HubCreateOptions())
	h, err := operation.ReadHubCreate(v, operation.Local{Version: a.version})
	if err != nil {
		return err
	}
	t, err := a.target(v)
	if err != nil {
		return err
	}
	ctx, cancel := operation.WithTimeout(c.Context, v.Duration("timeout"))
	defer cancel()
	if h.Input.Session, h.Input.ConnectErr = session.Connect(ctx, t); h.Input.Session != nil {
		defer h.Input.Session.Close(ctx)
		a.tellForced(t, h.Input.Session)
	}
	made, err := operation.CreateHub(ctx, h, func(r precheck.Report) { r.Print(a.out) }, progress.New(a.out))
	if err != nil {
		return operation.EndOf(ctx, err)
	}
	host := made.Address
	if len(h.Input.Certs.Names) > 0 {
		host = h.Input.Certs.Names[0]
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "\nThe hub serves at https://%s (address %s).\n", host, made.Address)
	if h.Input.Certs.ServerCert == "" {
		fmt.Fprintf(w, "Its authority, for clients and VCHs:\t%s\n", filepath.Join(h.Input.Certs.Dir, certs.CAFile))
	}
	switch {
	case made.Kept:
		fmt.Fprintf(w, "Users and images are those of the data disk that was there.\n")
	case made.Password != "":
		fmt.Fprintf(w, "The password of its first user, admin@local:\t%s\n", made.Password)
	}
	switch {
	case made.SSO != nil && made.Kept: // who administers the hub is on the data disk
		fmt.Fprintf(w, "Users of vCenter sign in.\n")
	case made.SSO != nil:
		fmt.Fprintf(w, "Users of vCenter sign in; at first its group Administrators administers the hub.\n")
	}
	return w.Flush()
}

func (a *app) hubLs(c *cli.Context) error {
	js, err := asJSON(c)
	if err != nil {
		return err
	}
	return a.connected(c, func(ctx context.Context, s *session.Session) error {
		all, err := hubvm.List(ctx, s)
		if err != nil {
			return err
		}
		if js {
			return a.printJSON(append([]hubvm.Hub{}, all...))
		}
		w := tabwriter.NewWriter(a.out, 0, 0, 3, ' ', 0)
		fmt.Fprintln(w, "ID\tNAME\tVERSION\tSTATE\tADDRESS")
		for _, h := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", h.ID, h.Record.Name, h.Record.Version, h.State, orDash(h.Address))
		}
		return w.Flush()
	})
}

func hubQuery(c *cli.Context) hubvm.Query {
	if id := c.String("id"); id != "" {
		return hubvm.Query{ID: id}
	}
	return hubvm.Query{Name: c.String("name")}
}

func (a *app) hubInspect(c *cli.Context) error {
	js, err := asJSON(c)
	if err != nil {
		return err
	}
	return a.connected(c, func(ctx context.Context, s *session.Session) error {
		d, err := hubvm.Inspect(ctx, s, hubQuery(c))
		if err != nil {
			return err
		}
		if js {
			return a.printJSON(d)
		}
		return a.printHub(d)
	})
}

func (a *app) printHub(d *hubvm.Details) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 3, ' ', 0)
	row := func(k, format string, args ...any) { fmt.Fprintf(w, k+"\t"+format+"\n", args...) }
	r := d.Record
	row("Name", "%s", r.Name)
	row("ID", "%s (UUID %s)", d.ID, r.ID)
	row("Version", "%s, created %s", r.Version, r.Created.Local().Format(time.DateTime))
	state := d.State
	if d.Message != "" {
		state += " (" + d.Message + ")"
	}
	row("State", "%s", state)
	row("Address", "%s", orDash(d.URL))
	how := "by DHCP"
	if r.Static.Address.IsValid() {
		how = r.Static.Address.String() + ", static"
	}
	row("Network", "%s: %s", r.Network, how)
	row("Size", "%d CPU, %d MiB, %d GiB data disk", r.CPUs, r.MemoryMB, r.DataGB)
	if r.SSO != nil {
		row("Single Sign-On", "solution user %s@%s", r.SSO.User, r.SSO.Domain)
	}
	row("Folder", "[%s] %s", r.Datastore, r.Folder)
	if !d.Certificate.NotAfter.IsZero() {
		row("Certificate", "for %s, expires %s", strings.Join(d.Certificate.Names, ", "), operation.Expiry(d.Certificate.NotAfter))
	}
	return w.Flush()
}

// showChecks prints what checks found, if it is they that failed.
func (a *app) showChecks(err error) error {
	var checks operation.ChecksError
	if errors.As(err, &checks) {
		checks.Report.Print(a.out)
	}
	return err
}

func (a *app) hubConfigure(c *cli.Context) error {
	ch, err := operation.ReadHubConfigure(given(c, operation.HubConfigureOptions()), operation.Local{Version: a.version})
	if err != nil {
		return a.showChecks(err)
	}
	return a.connected(c, func(ctx context.Context, s *session.Session) error {
		changed, err := hubvm.Configure(ctx, s, hubQuery(c), ch, progress.New(a.out))
		switch {
		case err != nil:
			return err
		case len(changed) == 0:
			fmt.Fprintln(a.out, "Nothing to change.")
		default:
			fmt.Fprintf(a.out, "The hub %s serves; changed: %s.\n", hubQuery(c), strings.Join(changed, ", "))
		}
		return nil
	})
}

func (a *app) hubUpgrade(c *cli.Context) error {
	u, err := operation.ReadHubUpgrade(given(c, operation.HubUpgradeOptions()), operation.Local{Version: a.version})
	if err != nil {
		return a.showChecks(err)
	}
	return a.connected(c, func(ctx context.Context, s *session.Session) error {
		err := u.Run(ctx, s, hubQuery(c), progress.New(a.out))
		if errors.Is(err, errdef.ErrExists) {
			fmt.Fprintf(a.out, "Nothing to do: %v\n", err)
			return nil
		}
		if err == nil {
			fmt.Fprintf(a.out, "The hub %s serves with version %s.\n", hubQuery(c), u.Version)
		}
		return err
	})
}

func (a *app) hubRollback(c *cli.Context) error {
	return a.connected(c, func(ctx context.Context, s *session.Session) error {
		if err := hubvm.Rollback(ctx, s, hubQuery(c), c.Duration("serve-timeout"), progress.New(a.out)); err != nil {
			return err
		}
		d, err := hubvm.Inspect(ctx, s, hubQuery(c))
		if err == nil {
			fmt.Fprintf(a.out, "The hub %s serves with version %s.\n", hubQuery(c), d.Record.Version)
		}
		return err
	})
}

func (a *app) hubAdopt(c *cli.Context) error {
	ad, err := operation.ReadHubAdopt(given(c, operation.HubAdoptOptions()))
	if err != nil {
		return err
	}
	return a.connected(c, func(ctx context.Context, s *session.Session) error {
		d, err := ad.Adopt(ctx, s, hubQuery(c), progress.New(a.out))
		switch {
		case errors.Is(err, errdef.ErrExists):
			fmt.Fprintf(a.out, "Nothing to do: %v\n", err)
			return nil
		case err == nil:
			fmt.Fprintf(a.out, "The hub %s serves at %s, and vic-machine hub upgrades and configures it.\n", d.Record.Name, d.URL)
		}
		return err
	})
}

func (a *app) hubDebug(c *cli.Context) error {
	file := c.String("bundle")
	if file == "" && !c.Bool("enable-ssh") && !c.Bool("disable-ssh") {
		return advice.Wrap(fmt.Errorf("nothing to do: %w", errdef.ErrInvalid), "give --bundle, --enable-ssh or --disable-ssh")
	}
	ssh, err := sshOf(c)
	if err != nil {
		return err
	}
	return a.connected(c, func(ctx context.Context, s *session.Session) error {
		log := progress.New(a.out)
		d, err := hubvm.OpenDebugger(ctx, s, hubQuery(c), log)
		if err != nil {
			return err
		}
		if err := switchSSH(ctx, c, s, d.SSHHost(), ssh, log); err != nil || file == "" {
			return err
		}
		return writeBundle(file, log, func(w io.Writer) ([]string, error) {
			return operation.HubBundle(ctx, w, s, d, given(c, operation.HubDebugOptions()), operation.Local{Version: a.version})
		})
	})
}

func (a *app) hubDelete(c *cli.Context) error {
	return a.connected(c, func(ctx context.Context, s *session.Session) error {
		kept, err := hubvm.Delete(ctx, s, hubvm.DeleteOptions{Query: hubQuery(c), Force: c.Bool("force"), NoSSO: c.Bool("no-sso")}, progress.New(a.out))
		switch {
		case errors.Is(err, errdef.ErrNotFound):
			fmt.Fprintf(a.out, "Nothing to delete: %v\n", err)
			return nil
		case err == nil && kept != "":
			fmt.Fprintf(a.out, "The hub's data stays: %s. The next hub of this name takes it over; hub delete --force removes it.\n", kept)
		case err == nil:
			fmt.Fprintf(a.out, "The hub %s is gone.\n", hubQuery(c))
		}
		return err
	})
}
