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

	"github.com/openvic/vic/machine/certs"
	"github.com/openvic/vic/machine/precheck"
	"github.com/openvic/vic/machine/vch"
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
	return nil
}

func environment(o certs.Options, dir, endpoint string) []string {
	env := []string{"DOCKER_HOST=" + endpoint}
	switch {
	case o.NoTLS:
		return env
	case !o.NoVerify:
		return append([]string{"DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=" + dir}, env...)
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
	return fmt.Sprintf("docker -H %s --tlsverify --tlscacert=%s --tlscert=%s --tlskey=%s info", endpoint,
		filepath.Join(dir, certs.CAFile), filepath.Join(dir, certs.ClientCertFile), filepath.Join(dir, certs.ClientKeyFile))
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
	if set.OwnServer {
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
