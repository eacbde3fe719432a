package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/precheck"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
)

// welcome tells how to use the new VCH, and writes the same into the environment file.
func (a *app) welcome(ctx context.Context, in precheck.Input, set *certs.Set, ready *vch.Ready, check bool) error {
	host := a.hostFor(ctx, set, ready.Address)
	endpoint := net.JoinHostPort(host, fmt.Sprint(ready.Port))
	dir, err := filepath.Abs(in.Certs.Dir)
	if err != nil {
		return err
	}
	env := environment(in.Certs, dir, endpoint)
	file := filepath.Join(dir, in.Spec.Name+".env")
	if err := writeEnv(file, env); err != nil {
		// The VCH serves: this must not look as if it did not.
		fmt.Fprintf(a.err, "vic-machine: warning: the environment file could not be written: %v\n", err)
		file = ""
	}
	if check {
		a.reachable(ctx, set, in.Spec, ready)
	}
	fmt.Fprintf(a.out, "\nDocker environment variables:\n%s\n", strings.Join(env, " "))
	if file != "" {
		fmt.Fprintf(a.out, "\nEnvironment saved in %s; to use it: set -a; . %s; set +a\n", file, file)
	}
	fmt.Fprintf(a.out, "\nConnect to docker:\n%s\n", dockerLine(in.Certs, dir, endpoint))
	for _, s := range ownCertificates(in.Certs, dir) {
		fmt.Fprintln(a.out, s)
	}
	return nil
}

func environment(o certs.Options, dir, endpoint string) []string {
	env := []string{"DOCKER_HOST=" + endpoint}
	switch {
	case o.NoTLS:
		return env
	case !o.NoVerify && authorityMade(o):
		return append([]string{"DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=" + dir}, env...)
	case !o.NoVerify: // the docker CLI's own folder, where the user has what is needed
		return append([]string{"DOCKER_TLS_VERIFY=1"}, env...)
	case o.ServerCert == "": // the docker CLI reads a ca.pem though it does not verify
		return append([]string{"DOCKER_TLS=1", "DOCKER_CERT_PATH=" + dir}, env...)
	}
	return append([]string{"DOCKER_TLS=1"}, env...)
}

func dockerLine(o certs.Options, dir, endpoint string) string {
	switch {
	case o.NoTLS:
		return "docker -H " + endpoint + " info"
	case o.NoVerify:
		return "docker -H " + endpoint + " --tls --tlscacert= info" // without the last it asks for a ca.pem
	}
	ca, cert, key := "CA.pem", "CERT.pem", "KEY.pem"
	if authorityMade(o) {
		ca = filepath.Join(dir, certs.CAFile)
	}
	if len(o.ClientCAs) == 0 {
		cert, key = filepath.Join(dir, certs.ClientCertFile), filepath.Join(dir, certs.ClientKeyFile)
	}
	return fmt.Sprintf("docker -H %s --tlsverify --tlscacert=%s --tlscert=%s --tlskey=%s info", endpoint, ca, cert, key)
}

// authorityMade says whether there is an authority of the VCH's own, in certs.CAFile.
func authorityMade(o certs.Options) bool {
	return o.ServerCert == "" || (len(o.ClientCAs) == 0 && !o.NoVerify)
}

// ownCertificates says what clients need besides what lies in dir.
func ownCertificates(o certs.Options, dir string) []string {
	var hints []string
	if o.NoTLS || o.NoVerify {
		return hints
	}
	if len(o.ClientCAs) > 0 {
		hints = append(hints, "CERT.pem and KEY.pem are those of a client of "+strings.Join(o.ClientCAs, ", ")+".")
	}
	if o.ServerCert == "" {
		return hints
	}
	place := "CA.pem"
	if authorityMade(o) {
		place = filepath.Join(dir, certs.CAFile)
	}
	return append(hints, "Where the authority of "+o.ServerCert+" is not trusted anyway, its certificate has to be in "+place+".")
}

func writeEnv(file string, env []string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(strings.Join(env, "\n")+"\n"), 0o644)
}

// hostFor chooses how clients name the endpoint: by its address if the certificate holds it, or else
// by the name in the certificate that leads to the address.
func (a *app) hostFor(ctx context.Context, set *certs.Set, addr netip.Addr) string {
	ip := addr.String()
	info, err := certs.Describe(set.Server.Cert)
	if err != nil || slices.Contains(info.Names, ip) {
		return ip
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for _, name := range info.Names {
		found, err := net.DefaultResolver.LookupHost(ctx, name)
		if err == nil && slices.Contains(found, ip) {
			return name
		}
	}
	fmt.Fprintf(a.err, "vic-machine: warning: the endpoint's address %s is not in its certificate, which is for %s; "+
		"clients that verify it must use one of those names, and it must lead to that address\n", ip, strings.Join(info.Names, ", "))
	return ip
}

// reachable asks the Docker API for a sign of life. That it cannot be reached from here is no error.
func (a *app) reachable(ctx context.Context, set *certs.Set, spec vch.Spec, ready *vch.Ready) {
	addr := net.JoinHostPort(ready.Address.String(), fmt.Sprint(ready.Port))
	err := ping(ctx, set, spec, addr)
	var net *net.OpError
	var stranger *tls.CertificateVerificationError
	switch {
	case err == nil:
		fmt.Fprintf(a.out, "The Docker API answers at %s.\n", addr)
	case errors.As(err, &net) && net.Op == "dial", errors.Is(err, context.DeadlineExceeded):
		fmt.Fprintf(a.out, "The endpoint reports that it serves, but %s cannot be reached from this machine.\n", addr)
	case len(set.Client.Cert) == 0 && strings.Contains(err.Error(), "certificate required"): // which is somebody else's to have
		fmt.Fprintf(a.out, "The Docker API answers at %s, and asks for a client certificate.\n", addr)
	case errors.As(err, &stranger):
		fmt.Fprintf(a.out, "The endpoint reports that it serves, but from this machine another one answers at %s (%v).\n", addr, stranger.Err)
	default:
		fmt.Fprintf(a.err, "vic-machine: warning: the Docker API at %s does not answer as it should: %v\n", addr, err)
	}
}

func ping(ctx context.Context, set *certs.Set, spec vch.Spec, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	t := &http.Transport{DialContext: (&net.Dialer{Timeout: 3 * time.Second}).DialContext}
	defer t.CloseIdleConnections()
	url := "http://" + addr + "/_ping"
	if !spec.NoTLS {
		cfg, err := clientTLS(set)
		if err != nil {
			return err
		}
		t.TLSClientConfig, url = cfg, "https://"+addr+"/_ping"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: t}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("it says %s", res.Status)
	}
	return nil
}

// clientTLS verifies the server by the first name in its certificate, whatever address is dialled.
func clientTLS(set *certs.Set) (*tls.Config, error) {
	info, err := certs.Describe(set.Server.Cert)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(set.CA.Cert)
	if set.SuppliedServer {
		pool.AppendCertsFromPEM(set.Server.Cert) // that this one answers is all that is asked
	}
	cfg := &tls.Config{RootCAs: pool}
	if len(info.Names) > 0 {
		cfg.ServerName = strings.Replace(info.Names[0], "*", "any", 1)
	}
	if len(set.Client.Cert) > 0 {
		pair, err := tls.X509KeyPair(set.Client.Cert, set.Client.Key)
		if err != nil {
			return nil, err
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}
