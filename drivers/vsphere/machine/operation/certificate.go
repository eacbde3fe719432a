package operation

import (
	"context"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
)

// signing are the options of all operations that sign something.
func signing(more ...option.Option) []option.Option {
	return joined(TargetOptions(), IDOptions(), option.Pick(tlsFlags(), "cert-path", "certificate-key-size"), more, []option.Option{TrustOption()})
}

func adminFlag() option.Option {
	return option.Flag(groupTLS, "admin", "", "an administrator's, for the vic command, instead of a docker client's").ForRun()
}

// RenewOptions are all options of certificate renew.
func RenewOptions() []option.Option {
	return signing(append(option.Pick(tlsFlags(), "tls-cname", "tls-server-cert", "tls-server-key"),
		option.Flag(groupTLS, "clients", "", "renew the client certificates in --cert-path too").ForRun())...)
}

// AddClientOptions are all options of certificate add-client.
func AddClientOptions() []option.Option {
	return signing(append([]option.Option{adminFlag(),
		option.Str(groupTLS, "client", "", "`name` of the client, for its certificate").ForRun(),
		option.Str(groupTLS, "out", "", "`folder` for its files; else clients/<client> in --cert-path").ForRun().AFolder()},
		option.Pick(tlsFlags(), "organization")...)...)
}

// RevokeOptions are all options of certificate revoke.
func RevokeOptions() []option.Option {
	return signing(adminFlag(), option.Many(groupTLS, "cert", "", "`file` of a certificate").ForRun().AFile(),
		option.Many(groupTLS, "serial", "", "serial `number` of a certificate, hexadecimal").ForRun(),
		option.Str(groupTLS, "crl", "", "`file` with the revocation list of an authority of your own, PEM, instead").ForRun().AFile())
}

// certsOf are the options of the certificate folder.
func certsOf(c option.Values, name string, files certs.Files) certs.Options {
	o := certs.Options{Dir: c.String("cert-path"), Name: name, Names: c.Trimmed("tls-cname"), KeySize: c.Int("certificate-key-size"),
		ServerCert: c.String("tls-server-cert"), ServerKey: c.String("tls-server-key"), Organizations: c.StringSlice("organization"), Files: files}
	if o.Dir == "" && files == nil {
		o.Dir = filepath.Join(".", name)
	}
	if len(o.Organizations) == 0 {
		o.Organizations = []string{name}
	}
	return o
}

func kindOf(c option.Values) certs.Kind {
	if c.Bool("admin") {
		return certs.Administrators()
	}
	return certs.DockerClients()
}

// Certificates are those of an endpoint, and who is shut out.
type Certificates struct {
	Certificates  map[string]certs.Info `json:"certificates"`            // by file name
	Revoked       []string              `json:"revoked,omitempty"`       // serial numbers
	RevokedAdmins []string              `json:"revokedAdmins,omitempty"` // likewise
}

// ShowCertificates reads them.
func ShowCertificates(ctx context.Context, s *session.Session, q vch.Query) (*Certificates, error) {
	e, err := openTLS(ctx, s, q, nil)
	if err != nil {
		return nil, err
	}
	return &Certificates{e.Certificates(), certs.Revoked(e.RevocationList(certs.DockerClients())), certs.Revoked(e.RevocationList(certs.Administrators()))}, nil
}

// openTLS opens a VCH that has certificates.
func openTLS(ctx context.Context, s *session.Session, q vch.Query, log *progress.Log) (*vch.Editor, error) {
	e, err := vch.Open(ctx, s, q, log)
	if err == nil && e.ServerCert() == nil {
		return nil, advice.Wrap(fmt.Errorf("VCH %s was made with --no-tls and has no certificates: %w", e.Record().Name, errdef.ErrInvalid),
			"make it anew without --no-tls")
	}
	return e, err
}

// Renew gives the endpoint a new certificate for the same names.
func Renew(ctx context.Context, s *session.Session, q vch.Query, c option.Values, l Local, log *progress.Log) error {
	e, err := openTLS(ctx, s, q, log)
	if err != nil {
		return err
	}
	log.Step("certificate")
	o := certsOf(c, e.Record().Name, l.Files)
	if o.ServerCert != "" || o.ServerKey != "" {
		pair, err := certs.SuppliedServer(o, time.Now())
		if err != nil {
			return err
		}
		return deliver(ctx, e, log, pair)
	}
	set, err := certs.RenewServer(o, e.ServerCert(), time.Now())
	if err != nil {
		return err
	}
	undo, err := set.Write()
	if err == nil {
		err = deliver(ctx, e, log, set.Server)
	}
	if err != nil {
		undo()
		return err
	}
	wrote(log, set, o.Dir)
	if c.Bool("clients") {
		return renewClients(o, log)
	}
	return nil
}

// wrote tells which files are new; those that the service gives back are in no folder.
func wrote(log *progress.Log, set *certs.Set, dir string) {
	if dir != "" {
		dir = " in " + dir
	}
	log.Printf("wrote %s%s", strings.Join(set.NewFiles(), " "), dir)
}

func deliver(ctx context.Context, e *vch.Editor, log *progress.Log, p certs.Pair) error {
	if err := e.SetServer(ctx, p); err != nil {
		return fmt.Errorf("the new certificate is not in use: %w", err)
	}
	i, err := certs.Describe(p.Cert)
	if err == nil {
		log.Printf("the endpoint shows its new certificate, for %s, which expires on %s", strings.Join(i.Names, ", "), Expiry(i.NotAfter))
	}
	return err
}

// Expiry is a date with the days until then.
func Expiry(t time.Time) string {
	return fmt.Sprintf("%s (%d days)", t.Format(time.DateOnly), int(time.Until(t).Hours()/24))
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
		wrote(log, set, o.Dir)
	}
	return nil
}

// AddClient makes a certificate for another client.
func AddClient(ctx context.Context, s *session.Session, q vch.Query, c option.Values, l Local, log *progress.Log) error {
	client := c.String("client")
	if client == "" || strings.HasPrefix(client, ".") || strings.ContainsAny(client, `/\`) {
		return wrongOption("client", client, "not a name", "name the client, without a slash and a dot before it")
	}
	e, err := openTLS(ctx, s, q, log)
	if err != nil {
		return err
	}
	log.Step("certificate")
	o := certsOf(c, e.Record().Name, l.Files)
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
	wrote(log, set, dir)
	return nil
}

// Revoke shuts clients out from their next connection on.
func Revoke(ctx context.Context, s *session.Session, q vch.Query, c option.Values, l Local, log *progress.Log) error {
	e, err := openTLS(ctx, s, q, log)
	if err != nil {
		return err
	}
	log.Step("revocation")
	k := kindOf(c)
	list, n, err := revocation(c, e, certsOf(c, e.Record().Name, l.Files), k)
	if err != nil {
		return err
	}
	if err := e.SetRevocationList(ctx, k, list); err != nil {
		return fmt.Errorf("the revocation is not in effect: %w", err)
	}
	log.Printf("revoked, from the next connection on: %d in all", n)
	return nil
}

// revocation makes the new list and says how many are on it.
func revocation(c option.Values, e *vch.Editor, o certs.Options, k certs.Kind) ([]byte, int, error) {
	if f := c.String("crl"); f != "" {
		list, err := o.Files.ReadRevocationList(f)
		return list, len(certs.Revoked(list)), err
	}
	var serials []*big.Int
	for _, v := range c.Trimmed("serial") {
		n, err := certs.ParseSerial(v)
		if err != nil {
			return nil, 0, advice.Wrap(err, "give --serial as certificate show prints it")
		}
		serials = append(serials, n)
	}
	for _, f := range c.Trimmed("cert") {
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
