package operation

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/bundle"
	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
)

// adminTimeout bounds one question to the endpoint.
const adminTimeout = 20 * time.Second

// DebugOptions are all options of debug.
func DebugOptions() []option.Option {
	return joined(TargetOptions(), IDOptions(), option.Pick(tlsFlags(), "cert-path"), []option.Option{
		option.Str(groupOther, "bundle", "", "`file.tar.gz` to collect logs into: endpoint, plugins, consoles of containers, vSphere's events; without "+
			"secrets").ForRun().AFile(),
		option.Str(groupOther, "log-level", "", "`info` or debug: what the endpoint logs from now on; vicd restarts").ForRun(),
		option.Str(groupOther, "exec", "", "`command` to run with the endpoint's shell").ForRun(),
	}, sshFlags("endpoint"), []option.Option{
		option.Str(groupOther, "admin-host", "", "`host:port` of the endpoint's admin API; else its address, port 2378").ForRun(),
		TrustOption()})
}

// sshFlags switch the SSH server of an appliance on and off.
func sshFlags(what string) []option.Option {
	return []option.Option{
		option.Flag(groupOther, "enable-ssh", "", "let --authorized-key or --rootpw log in to the "+what+" by SSH, as root, for --ssh-time; a reset or an "+
			"upgrade ends it too").ForRun(),
		option.Str(groupOther, "authorized-key", "", "`file` with public keys for --enable-ssh").ForRun().AFile(),
		option.Str(groupOther, "rootpw", "", "`password` for --enable-ssh").FromEnv("VIC_MACHINE_ROOTPW").Hidden(),
		option.Span(groupOther, "ssh-time", time.Hour, "`time` after which --enable-ssh ends by itself").ForRun(),
		option.Flag(groupOther, "disable-ssh", "", "end it now").ForRun(),
	}
}

// CheckLevel refuses what is no log level; none is none.
func CheckLevel(level string) error {
	if level != "" && level != "info" && level != "debug" {
		return wrongOption("log-level", level, "neither info nor debug", "give info or debug")
	}
	return nil
}

// SetLevel makes the endpoint log at another level.
func SetLevel(ctx context.Context, e *vch.Editor, level string, log *progress.Log) error {
	if err := CheckLevel(level); err != nil {
		return err
	}
	e.Record().Settings.Debug = 0
	if level == "debug" {
		e.Record().Settings.Debug = 1
	}
	changed, err := e.Apply(ctx)
	if err == nil && changed {
		log.Printf("the endpoint logs at the level %s", level)
	}
	return err
}

// Bundle writes a log bundle. admin may be nil. The notes say what is not in it, and why.
func Bundle(ctx context.Context, w io.Writer, s *session.Session, e *vch.Editor, d *vch.Details, admin *AdminAPI) (notes []string, err error) {
	options, err := vch.Options(ctx, s, vch.Query{ID: e.ID()})
	if err != nil {
		return nil, err
	}
	src := bundle.Source{Session: s, Editor: e, Details: d, Options: options}
	if admin != nil {
		src.Admin = admin
	}
	return bundle.Write(ctx, w, src)
}

// AdminAPI is the endpoint's administrators' API.
type AdminAPI struct {
	url    string
	client *http.Client
}

// AdminOf makes a client of the API from the certificates in --cert-path.
func AdminOf(c option.Values, l Local, e *vch.Editor, d *vch.Details) (*AdminAPI, error) {
	pair, err := certs.AdminPair(certsOf(c, d.Name, l.Files))
	if err != nil {
		return nil, advice.Wrap(fmt.Errorf("administrator's certificate: %w: %w", errdef.ErrInvalid, err), "give the folder that create wrote with --cert-path")
	}
	host := c.String("admin-host")
	if host == "" {
		host = d.Admin
	}
	if host == "" {
		return nil, advice.Wrap(fmt.Errorf("the endpoint has no admin API: %w", errdef.ErrUnavailable),
			"it needs TLS, and the endpoint VM has to be on and have an address")
	}
	shown := e.ServerCert()
	cfg := &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true, // VerifyConnection verifies
		VerifyConnection: func(cs tls.ConnectionState) error {
			want, err := certs.Describe(shown)
			if err != nil {
				return err
			}
			if len(cs.PeerCertificates) == 0 || certs.Serial(cs.PeerCertificates[0].SerialNumber) != want.Serial || !sameKey(cs.PeerCertificates[0], shown) {
				return fmt.Errorf("another server answers there: %w", errdef.ErrDenied)
			}
			return nil
		}}
	return &AdminAPI{url: "https://" + host, client: &http.Client{Transport: &http.Transport{TLSClientConfig: cfg}}}, nil
}

// sameKey says that a certificate is the first one of a PEM file: vSphere holds what the endpoint shows.
func sameKey(c *x509.Certificate, file []byte) bool {
	own, err := certs.First(file)
	return err == nil && bytes.Equal(own.Raw, c.Raw)
}

// Get implements bundle.Source's Admin.
func (a *AdminAPI) Get(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	res, err := a.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(res.Body)
}

func (a *AdminAPI) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.url+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := a.client.Do(req)
	if err != nil {
		return nil, advice.Wrap(fmt.Errorf("%w: %w", errdef.ErrUnavailable, err),
			"run it where the endpoint's admin API can be reached, or name the way there with --admin-host")
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		b, _ := io.ReadAll(io.LimitReader(res.Body, 1000)) // for the message alone
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, res.Status, bytes.TrimSpace(b))
	}
	return res, nil
}

// Exec runs a command in the endpoint's shell; its failure is an error with its exit code.
func (a *AdminAPI) Exec(ctx context.Context, command string, out, errOut io.Writer) error {
	body, err := json.Marshal(map[string]any{"args": []string{"sh", "-c", command}})
	if err != nil {
		return err
	}
	res, err := a.do(ctx, http.MethodPost, "/v1/exec", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	dec := json.NewDecoder(res.Body)
	for {
		var f struct {
			Stdout []byte `json:"stdout"`
			Stderr []byte `json:"stderr"`
			Exit   *int   `json:"exit"`
			Error  string `json:"error"`
		}
		if err := dec.Decode(&f); err != nil {
			return fmt.Errorf("the command's output ended early: %w", err)
		}
		if _, err := out.Write(f.Stdout); err != nil {
			return err
		}
		if _, err := errOut.Write(f.Stderr); err != nil {
			return err
		}
		if f.Exit == nil {
			continue
		}
		if *f.Exit != 0 {
			return fmt.Errorf("the command ended with the exit code %d %s", *f.Exit, f.Error)
		}
		return nil
	}
}
