package cli

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/precheck"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
)

func certSet(t *testing.T, names ...string) (*certs.Set, certs.Options) {
	t.Helper()
	o := certs.Options{Dir: filepath.Join(t.TempDir(), "c"), Name: "vch1", Names: names}
	set, err := certs.Prepare(o, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return set, o
}

// endpoint serves /_ping as a VCH with these certificates would.
func endpoint(t *testing.T, set *certs.Set) *vch.Ready {
	t.Helper()
	pair, err := tls.X509KeyPair(set.Server.Cert, set.Server.Key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(set.CA.Cert)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	a := srv.Listener.Addr().(*net.TCPAddr)
	return &vch.Ready{VM: "vm-1", Address: netip.MustParseAddr("127.0.0.1"), Port: a.Port}
}

func TestTheDockerAPIIsTriedFromHere(t *testing.T) {
	set, _ := certSet(t, "*.example.com")
	other, _ := certSet(t, "other.example.com")
	without := *set // --tls-ca
	without.Client = certs.Pair{}
	ready := endpoint(t, set)
	closed := *ready
	closed.Port = 1
	for name, c := range map[string]struct {
		set   *certs.Set
		ready *vch.Ready
		want  string
	}{
		"it answers":          {set, ready, "answers at 127.0.0.1"},
		"own clients":         {&without, ready, "asks for a client certificate"},
		"another one answers": {other, ready, "another one answers"},
		"nobody answers":      {set, &closed, "cannot be reached"},
	} {
		var out, errOut bytes.Buffer
		(&app{out: &out, err: &errOut}).reachable(t.Context(), c.set, vch.Spec{}, c.ready)
		if !strings.Contains(out.String(), c.want) || errOut.Len() > 0 {
			t.Errorf("%s: %s%s", name, out.String(), errOut.String())
		}
	}
}

func TestTheEndpointIsNamedAsItsCertificateNamesIt(t *testing.T) {
	for _, c := range []struct {
		names []string
		want  string
		warns bool
	}{
		{[]string{"127.0.0.1"}, "127.0.0.1", false},
		{[]string{"localhost"}, "localhost", false},
		{[]string{"vch.invalid"}, "127.0.0.1", true},
	} {
		set, _ := certSet(t, c.names...)
		var errOut bytes.Buffer
		got := (&app{err: &errOut}).hostFor(t.Context(), set, netip.MustParseAddr("127.0.0.1"))
		if got != c.want || (errOut.Len() > 0) != c.warns {
			t.Errorf("%v: %s %s", c.names, got, errOut.String())
		}
	}
}

func TestEnvironmentFollowsTheTLSMode(t *testing.T) {
	for _, c := range []struct {
		o    certs.Options
		line string
		env  []string
	}{
		{certs.Options{}, "--tlsverify", []string{"DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=/d", "DOCKER_HOST=h:1"}},
		{certs.Options{ServerCert: "own.pem"}, "--tlscacert=/d/ca.pem --tlscert=/d/cert.pem", []string{"DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=/d",
			"DOCKER_HOST=h:1"}},
		{certs.Options{ClientCAs: []string{"a.pem"}}, "--tlscacert=/d/ca.pem --tlscert=CERT.pem --tlskey=KEY.pem",
			[]string{"DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=/d", "DOCKER_HOST=h:1"}},
		{certs.Options{ServerCert: "own.pem", ClientCAs: []string{"a.pem"}}, "--tlscacert=CA.pem --tlscert=CERT.pem",
			[]string{"DOCKER_TLS_VERIFY=1", "DOCKER_HOST=h:1"}},
		{certs.Options{NoVerify: true}, "docker -H h:1 --tls --tlscacert= info", []string{"DOCKER_TLS=1", "DOCKER_CERT_PATH=/d", "DOCKER_HOST=h:1"}},
		{certs.Options{NoVerify: true, ServerCert: "own.pem"}, "docker -H h:1 --tls --tlscacert= info", []string{"DOCKER_TLS=1", "DOCKER_HOST=h:1"}},
		{certs.Options{NoTLS: true}, "docker -H h:1 info", []string{"DOCKER_HOST=h:1"}},
	} {
		if got := environment(c.o, "/d", "h:1"); !slices.Equal(got, c.env) {
			t.Errorf("%+v: %v", c.o, got)
		}
		if got := dockerLine(c.o, "/d", "h:1"); !strings.Contains(got, c.line) {
			t.Errorf("%+v: %s", c.o, got)
		}
	}
}

func TestWhoBringsCertificatesIsToldWhatClientsNeed(t *testing.T) {
	for _, c := range []struct {
		o    certs.Options
		want []string
	}{
		{certs.Options{}, nil},
		{certs.Options{NoVerify: true, ServerCert: "own.pem"}, nil},
		{certs.Options{ServerCert: "own.pem"}, []string{"own.pem is not trusted anyway, its certificate has to be in /d/ca.pem"}},
		{certs.Options{ServerCert: "own.pem", ClientCAs: []string{"a.pem"}}, []string{"a client of a.pem", "has to be in CA.pem"}},
	} {
		got := ownCertificates(c.o, "/d")
		if len(got) != len(c.want) {
			t.Errorf("%+v: %q", c.o, got)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], c.want[i]) {
				t.Errorf("%+v: %q, want %q", c.o, got[i], c.want[i])
			}
		}
	}
}

func TestAnEnvironmentFileThatCannotBeWrittenIsOnlyAWarning(t *testing.T) {
	set, o := certSet(t, "127.0.0.1")
	o.Dir = "/dev/null/x"
	var out, errOut bytes.Buffer
	err := (&app{out: &out, err: &errOut}).welcome(t.Context(), precheck.Input{Spec: vch.Spec{Name: "vch1"}, Certs: o}, set, endpoint(t, set), true)
	if err != nil || !strings.Contains(errOut.String(), "warning") || !strings.Contains(out.String(), "DOCKER_HOST") {
		t.Errorf("%v\n%s%s", err, out.String(), errOut.String())
	}
}
