package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
)

func formatFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "format", Value: "text", Usage: "`text` or json"},
		&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Category: groupOther, Usage: "trust any certificate of the target"},
	}
}

// asJSON reads --format.
func asJSON(c *cli.Context) (bool, error) { return textOrJSON(c, "format") }

func textOrJSON(c *cli.Context, option string) (bool, error) {
	switch f := c.String(option); f {
	case "text", "json":
		return f == "json", nil
	default:
		return false, advice.Wrap(fmt.Errorf("--%s %q: %w", option, f, errdef.ErrInvalid), "give text or json")
	}
}

func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func (a *app) lsCommand() *cli.Command {
	return &cli.Command{Name: "ls", Usage: "list the VCHs", Flags: append(targetFlags(), formatFlags()...), Action: a.ls}
}

func (a *app) ls(c *cli.Context) error {
	js, err := asJSON(c)
	if err != nil {
		return err
	}
	return a.connected(c, func(ctx context.Context, s *session.Session) error {
		all, err := vch.List(ctx, s)
		if err != nil {
			return err
		}
		if js {
			return a.printJSON(append([]vch.Entry{}, all...))
		}
		w := tabwriter.NewWriter(a.out, 0, 0, 3, ' ', 0)
		fmt.Fprintln(w, "ID\tPATH\tNAME\tVERSION\tSTATE\tADDRESS\tCERTIFICATE EXPIRES")
		for _, e := range all {
			addr := "-"
			if e.Address.IsValid() {
				addr = e.Address.String()
			}
			expires := "-"
			if !e.Expires.IsZero() {
				expires = operation.Expiry(e.Expires)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.ID, e.Path, e.Name, e.Version, e.State, addr, expires)
		}
		return w.Flush()
	})
}

func (a *app) inspectCommand() *cli.Command {
	return &cli.Command{Name: "inspect", Usage: "describe a VCH", Flags: append(append(targetFlags(), idFlags()...), formatFlags()...), Action: a.inspect,
		Subcommands: []*cli.Command{a.inspectConfigCommand()}}
}

func (a *app) inspect(c *cli.Context) error {
	js, err := asJSON(c)
	if err != nil {
		return err
	}
	return a.connected(c, func(ctx context.Context, s *session.Session) error {
		d, err := vch.Inspect(ctx, s, query(c))
		if err != nil {
			return err
		}
		if js {
			return a.printJSON(d)
		}
		return a.printDetails(d)
	})
}

func query(c *cli.Context) vch.Query {
	if id := c.String("id"); id != "" {
		return vch.Query{ID: id}
	}
	return vch.Query{Name: c.String("name"), Compute: c.String("compute-resource")}
}

func (a *app) printDetails(d *vch.Details) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	row := func(k, format string, args ...any) { fmt.Fprintf(w, "%s:\t%s\n", k, fmt.Sprintf(format, args...)) }
	row("Name", "%s", d.Name)
	row("ID", "%s (UUID %s)", d.ID, d.UUID)
	row("Version", "%s, created %s", d.Version, d.Created.Local().Format(time.DateTime))
	row("State", "%s", stateWord(d))
	for _, name := range sortedKeys(d.Services) {
		row("  "+name, "%s", d.Services[name])
	}
	row("Docker endpoint", "%s, %s", orDash(d.Endpoint), tlsWord(d))
	row("Admin endpoint", "%s", orDash(d.Admin))
	row("Compute", "%s, %s %s", d.Path, d.PoolType, d.Pool)
	row("Containers", "%d, %d of them run", d.Containers, d.Running)
	row("Image store", "%s", d.ImageStore)
	for _, label := range slices.Sorted(maps.Keys(d.VolumeStores)) {
		row("Volume store", "%s: %s", label, d.VolumeStores[label])
	}
	row("Folder", "%s", d.Folder)
	row("Bridge network", "%s", d.Bridge)
	if len(d.NICs) == 0 { // a VCH of an old version
		row("Public network", "%s", d.Public)
	}
	a.printSettings(row, d)
	for _, name := range sortedKeys(d.Certificates) {
		i := d.Certificates[name]
		names := ""
		if len(i.Names) > 0 {
			names = ", for " + strings.Join(i.Names, ", ")
		}
		row("Certificate "+name, "expires %s (%d days)%s", i.NotAfter.Format(time.DateOnly), int(time.Until(i.NotAfter).Hours()/24), names)
	}
	return w.Flush()
}

func stateWord(d *vch.Details) string {
	if d.Message == "" {
		return d.State
	}
	return d.State + " (" + d.Message + ")"
}

func tlsWord(d *vch.Details) string {
	switch {
	case !d.TLS:
		return "not encrypted"
	case !d.TLSVerify:
		return "TLS, any client"
	}
	return "TLS, clients with a certificate"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (a *app) deleteCommand() *cli.Command {
	return &cli.Command{Name: "delete", Usage: "remove a VCH with its containers and images; may be repeated", Action: a.delete,
		Flags: flags(operation.DeleteOptions())}
}

func (a *app) delete(c *cli.Context) error {
	hub, err := operation.ReadHub(given(c, operation.DeleteOptions()), operation.Local{Version: a.version})
	if err != nil {
		return err
	}
	return a.connected(c, func(ctx context.Context, s *session.Session) error {
		d, err := operation.Delete(ctx, s, vch.DeleteOptions{Query: query(c), Force: c.Bool("force"), Hub: hub}, progress.New(a.out))
		if d.Nothing != nil {
			fmt.Fprintf(a.out, "Nothing to delete: %v%s\n", d.Nothing, d.Others)
		}
		return err
	})
}

func (a *app) versionCommand() *cli.Command {
	return &cli.Command{Name: "version", Usage: "print the version", Action: func(*cli.Context) error {
		_, err := fmt.Fprintf(a.out, "vic-machine version %s\n", a.version)
		return err
	}}
}
