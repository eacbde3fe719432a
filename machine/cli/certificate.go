package cli

import (
	"context"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/machine/advice"
	"github.com/openvic/vic/machine/certs"
	"github.com/openvic/vic/machine/progress"
	"github.com/openvic/vic/machine/session"
	"github.com/openvic/vic/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
)

func (a *app) certificateCommand() *cli.Command {
	base := func(more ...cli.Flag) []cli.Flag {
		flags := append(append(targetFlags(), idFlags()...), flagNamed(tlsFlags(), "cert-path"), flagNamed(tlsFlags(), "certificate-key-size"))
		return append(append(flags, more...), toggle(groupOther, "force", "f", "trust any certificate of the target"))
	}
	admin := toggle(groupTLS, "admin", "", "an administrator's, for the vic command, instead of a docker client's")
	return &cli.Command{Name: "certificate", Usage: "renew, add, revoke and show certificates; connections that are open stay", Subcommands: []*cli.Command{
		{Name: "show", Usage: "show the endpoint's certificates, when they expire and who is revoked", Action: a.certificateShow,
			Flags: append(append(targetFlags(), idFlags()...), formatFlags()...)},
		{Name: "renew", Usage: "give the endpoint a new certificate for the same names", Action: a.certificateRenew, Flags: base(
			flagNamed(tlsFlags(), "tls-cname"), flagNamed(tlsFlags(), "tls-server-cert"), flagNamed(tlsFlags(), "tls-server-key"),
			toggle(groupTLS, "clients", "", "renew the client certificates in --cert-path too"))},
		{Name: "add-client", Usage: "make a certificate for another client", Action: a.certificateAdd, Flags: base(admin,
			str(groupTLS, "client", "", "`name` of the client, for its certificate"),
			str(groupTLS, "out", "", "`folder` for its files; else clients/<client> in --cert-path"),
			flagNamed(tlsFlags(), "organization"))},
		{Name: "revoke", Usage: "shut a client out: its certificate is not accepted any more", Action: a.certificateRevoke, Flags: base(admin,
			many(groupTLS, "cert", "", "`file` of a certificate"), many(groupTLS, "serial", "", "serial `number` of a certificate, hexadecimal"),
			str(groupTLS, "crl", "", "`file` with the revocation list of an authority of your own, PEM, instead"))},
	}}
}

// certsOf are the options of the certificate folder.
func certsOf(c *cli.Context, name string) certs.Options {
	o := certs.Options{Dir: c.String("cert-path"), Name: name, Names: trimmed(c.StringSlice("tls-cname")), KeySize: c.Int("certificate-key-size"),
		ServerCert: c.String("tls-server-cert"), ServerKey: c.String("tls-server-key"), Organizations: c.StringSlice("organization")}
	if o.Dir == "" {
		o.Dir = filepath.Join(".", name)
	}
	if len(o.Organizations) == 0 {
		o.Organizations = []string{name}
	}
	return o
}

func kindOf(c *cli.Context) certs.Kind {
	if c.Bool("admin") {
		return certs.Administrators()
	}
	return certs.DockerClients()
}

// withTLS runs f with a VCH that has certificates.
func (a *app) withTLS(c *cli.Context, f func(context.Context, *vch.Editor, *progress.Log) error) error {
	return a.editing(c, func(ctx context.Context, _ *session.Session, e *vch.Editor, log *progress.Log) error {
		if e.ServerCert() == nil {
			return advice.Wrap(fmt.Errorf("VCH %s was made with --no-tls and has no certificates: %w", e.Record().Name, errdef.ErrInvalid), "make it anew without --no-tls")
		}
		return f(ctx, e, log)
	})
}

// shown is what show prints with --format json.
type shown struct {
	Certificates  map[string]certs.Info `json:"certificates"`
	Revoked       []string              `json:"revoked,omitempty"`       // serial numbers
	RevokedAdmins []string              `json:"revokedAdmins,omitempty"` // likewise
}

func (a *app) certificateShow(c *cli.Context) error {
	js, err := asJSON(c)
	if err != nil {
		return err
	}
	return a.withTLS(c, func(_ context.Context, e *vch.Editor, _ *progress.Log) error {
		s := shown{e.Certificates(), certs.Revoked(e.RevocationList(certs.DockerClients())), certs.Revoked(e.RevocationList(certs.Administrators()))}
		if js {
			return a.printJSON(s)
		}
		w := tabwriter.NewWriter(a.out, 0, 0, 3, ' ', 0)
		fmt.Fprintln(w, "FILE\tSUBJECT\tNAMES\tEXPIRES\tSERIAL")
		for _, name := range sortedKeys(s.Certificates) {
			i := s.Certificates[name]
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", name, i.Subject, orDash(strings.Join(i.Names, ",")), expiry(i.NotAfter), i.Serial)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		for _, l := range []struct {
			who     string
			serials []string
		}{{"Clients", s.Revoked}, {"Administrators", s.RevokedAdmins}} {
			if len(l.serials) > 0 {
				fmt.Fprintf(a.out, "%s that are revoked: %s\n", l.who, strings.Join(l.serials, ", "))
			}
		}
		return nil
	})
}

// expiry is a date with the days until then.
func expiry(t time.Time) string {
	return fmt.Sprintf("%s (%d days)", t.Format(time.DateOnly), int(time.Until(t).Hours()/24))
}

func (a *app) certificateRenew(c *cli.Context) error {
	return a.withTLS(c, func(ctx context.Context, e *vch.Editor, log *progress.Log) error {
		o := certsOf(c, e.Record().Name)
		if o.ServerCert != "" || o.ServerKey != "" {
			pair, err := certs.OwnServer(o, time.Now())
			if err != nil {
				return err
			}
			return a.deliver(ctx, e, log, pair)
		}
		set, err := certs.RenewServer(o, e.ServerCert(), time.Now())
		if err != nil {
			return err
		}
		undo, err := set.Write()
		if err == nil {
			err = a.deliver(ctx, e, log, set.Server)
		}
		if err != nil {
			undo()
			return err
		}
		log.Printf("wrote %s in %s", strings.Join(set.Fresh(), " "), o.Dir)
		if c.Bool("clients") {
			return renewClients(o, log)
		}
		return nil
	})
}

func (a *app) deliver(ctx context.Context, e *vch.Editor, log *progress.Log, p certs.Pair) error {
	if err := e.SetServer(ctx, p); err != nil {
		return fmt.Errorf("the new certificate is not in use: %w", err)
	}
	i, err := certs.Describe(p.Cert)
	if err == nil {
		log.Printf("the endpoint shows its new certificate, for %s, which expires on %s", strings.Join(i.Names, ", "), expiry(i.NotAfter))
	}
	return err
}

func renewClients(o certs.Options, log *progress.Log) error {
	for _, k := range []certs.Kind{certs.DockerClients(), certs.Administrators()} {
		set, err := certs.RenewClient(o, k, time.Now())
		if err != nil {
			return err
		}
		if _, err := set.Write(); err != nil {
			return err
		}
		log.Printf("wrote %s in %s", strings.Join(set.Fresh(), " "), o.Dir)
	}
	return nil
}

func (a *app) certificateAdd(c *cli.Context) error {
	client := c.String("client")
	if client == "" || strings.ContainsAny(client, `/\`) {
		return wrongOption("client", client, "not a name", "name the client")
	}
	return a.withTLS(c, func(_ context.Context, e *vch.Editor, log *progress.Log) error {
		o := certsOf(c, e.Record().Name)
		dir := c.String("out")
		if dir == "" {
			dir = filepath.Join(o.Dir, "clients", client)
		}
		set, err := certs.AddClient(o, kindOf(c), client, dir, time.Now())
		if err != nil {
			return err
		}
		if undo, err := set.Write(); err != nil {
			undo()
			return err
		}
		log.Printf("wrote %s in %s", strings.Join(set.Fresh(), " "), dir)
		return nil
	})
}

func (a *app) certificateRevoke(c *cli.Context) error {
	return a.withTLS(c, func(ctx context.Context, e *vch.Editor, log *progress.Log) error {
		o, k := certsOf(c, e.Record().Name), kindOf(c)
		list, n, err := revocation(c, e, o, k)
		if err != nil {
			return err
		}
		if err := e.SetRevocationList(ctx, k, list); err != nil {
			return fmt.Errorf("the revocation is not in effect: %w", err)
		}
		log.Printf("%d certificates are revoked, from the next connection on", n)
		return nil
	})
}

// revocation makes the new list and says how many are on it.
func revocation(c *cli.Context, e *vch.Editor, o certs.Options, k certs.Kind) ([]byte, int, error) {
	if f := c.String("crl"); f != "" {
		list, err := certs.ReadRevocationList(f)
		return list, len(certs.Revoked(list)), err
	}
	var serials []*big.Int
	for _, v := range trimmed(c.StringSlice("serial")) {
		n, err := certs.ParseSerial(v)
		if err != nil {
			return nil, 0, advice.Wrap(err, "give --serial as certificate show prints it")
		}
		serials = append(serials, n)
	}
	for _, f := range trimmed(c.StringSlice("cert")) {
		n, err := certs.SerialOf(o, k, f)
		if err != nil {
			return nil, 0, err
		}
		serials = append(serials, n)
	}
	if len(serials) == 0 {
		return nil, 0, wrongOption("cert", "", "no certificate is named", "give --cert, --serial or --crl")
	}
	list, err := certs.Revoke(o, k, e.RevocationList(k), serials, time.Now())
	return list, len(certs.Revoked(list)), err
}
