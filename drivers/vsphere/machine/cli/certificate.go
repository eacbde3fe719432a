package cli

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
)

// signing is an operation that signs something.
type signing func(context.Context, *session.Session, vch.Query, option.Values, operation.Local, *progress.Log) error

func (a *app) certificateCommand() *cli.Command {
	sub := func(name, usage string, options []option.Option, f signing) *cli.Command {
		return &cli.Command{Name: name, Usage: usage, Flags: flags(options), Action: func(c *cli.Context) error {
			return a.connected(c, func(ctx context.Context, s *session.Session) error {
				return f(ctx, s, query(c), given(c, options), operation.Local{Version: a.version}, progress.New(a.out))
			})
		}}
	}
	usage := "renew, add, revoke and show certificates; connections that are open stay, but for those of a revoked client"
	return &cli.Command{Name: "certificate", Usage: usage, Subcommands: []*cli.Command{
		{Name: "show", Usage: "show the endpoint's certificates, when they expire and which are revoked", Action: a.certificateShow,
			Flags: append(append(targetFlags(), idFlags()...), formatFlags()...)},
		sub("renew", "give the endpoint a new certificate for the same names", operation.RenewOptions(), operation.Renew),
		sub("add-client", "make a certificate for another client", operation.AddClientOptions(), operation.AddClient),
		sub("revoke", "shut a client out: its certificate is not accepted any more, and its open connections end", operation.RevokeOptions(), operation.Revoke),
	}}
}

func (a *app) certificateShow(c *cli.Context) error {
	js, err := asJSON(c)
	if err != nil {
		return err
	}
	return a.connected(c, func(ctx context.Context, s *session.Session) error {
		shown, err := operation.ShowCertificates(ctx, s, query(c))
		if err != nil {
			return err
		}
		if js {
			return a.printJSON(shown)
		}
		w := tabwriter.NewWriter(a.out, 0, 0, 3, ' ', 0)
		fmt.Fprintln(w, "FILE\tSUBJECT\tNAMES\tEXPIRES\tSERIAL")
		for _, name := range sortedKeys(shown.Certificates) {
			i := shown.Certificates[name]
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", name, i.Subject, orDash(strings.Join(i.Names, ",")), operation.Expiry(i.NotAfter), i.Serial)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		for _, l := range []struct {
			who     string
			serials []string
		}{{"Clients", shown.Revoked}, {"Administrators", shown.RevokedAdmins}} {
			if len(l.serials) > 0 {
				fmt.Fprintf(a.out, "%s that are revoked: %s\n", l.who, strings.Join(l.serials, ", "))
			}
		}
		return nil
	})
}
