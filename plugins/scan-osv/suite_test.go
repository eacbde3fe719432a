package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/osv-scalibr/log"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/openvic/vic/plugins/scan-osv/imagetest"
	"github.com/openvic/vic/plugins/scan-osv/layers"
	"github.com/openvic/vic/sdk/scan"
	"github.com/openvic/vic/sdk/scantest"
	"github.com/openvic/vic/sdk/serve"
)

func TestMain(m *testing.M) {
	log.SetLogger(quiet{})
	if len(os.Args) == 3 && os.Args[1] == layers.ReadRPMArgument {
		if err := layers.ReadRPM(os.Args[2], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const bookworm = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n"

// status is a stanza of dpkg's database. source may be empty.
func status(name, version, source string) string {
	s := "Package: " + name + "\nStatus: install ok installed\nArchitecture: amd64\nVersion: " + version + "\n"
	if source != "" {
		s += "Source: " + source + "\n"
	}
	return s + "Description: a package\n\n"
}

func debianLayer(t testing.TB, packages ...string) imagetest.Layer {
	return imagetest.NewLayer(t, imagetest.File{Name: "etc/"}, imagetest.File{Name: "etc/os-release", Text: bookworm},
		imagetest.File{Name: "var/lib/dpkg/status", Text: strings.Join(packages, "")})
}

func openDriver(t testing.TB, change func(*Config)) *driver {
	t.Helper()
	c := defaults()
	c.Data, c.Ecosystems, c.Mirror = t.TempDir(), []string{"Debian"}, ""
	if change != nil {
		change(&c)
	}
	d, err := open(c)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close(context.Background())) })
	return d
}

func load(t testing.TB, d scan.Driver, ecosystem string, list ...imagetest.Record) scan.Database {
	t.Helper()
	data := imagetest.Zip(t, list...)
	sum := sha256.Sum256(data)
	db, err := d.Import(t.Context(), scan.ImportRequest{Format: scan.FormatOSV, Ecosystem: ecosystem, SHA256: hex.EncodeToString(sum[:]), Data: bytes.NewReader(data)})
	must(t, err)
	return db
}

// mirror is a server of archives.
type mirror struct {
	files map[string][]byte
	sent  int
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, ok := m.files[r.URL.EscapedPath()]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	sum := sha256.Sum256(data)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	m.sent++
	_, _ = w.Write(data)
}

const many = 3000

func fixture(t *testing.T, dial func(*testing.T, scan.Driver) scan.Driver) scantest.Fixture {
	r := imagetest.NewRegistry(t)
	base := debianLayer(t, status("bash", "5.2.15-2+b2", "bash (5.2.15-2)"), status("libssl3", "3.0.11-1", "openssl"), status("zlib1g", "1:1.2.13", "zlib"))
	large := make([]string, many)
	for i := range large {
		large[i] = status(fmt.Sprintf("bash-part%d", i), "5.2.15-2", "bash")
	}
	m := &mirror{files: map[string][]byte{}}
	s := httptest.NewServer(m)
	t.Cleanup(s.Close)
	d := openDriver(t, func(c *Config) { c.Mirror, c.Ecosystems = s.URL, []string{"Debian:12"} })
	load(t, d, "Debian", imagetest.Record{ID: "DEBIAN-CVE-2014-6271", Ecosystem: "Debian:12", Package: "bash", Fixed: "5.2.16-1", Upstream: []string{"CVE-2014-6271"}, Urgency: "high"},
		imagetest.Record{ID: "DEBIAN-CVE-2020-1", Ecosystem: "Debian:11", Package: "zlib"})
	load(t, d, "npm", imagetest.Record{ID: "GHSA-aaaa-bbbb-cccc", Ecosystem: "npm", Package: "left-pad"})
	data := imagetest.Zip(t, imagetest.Record{ID: "DEBIAN-CVE-2022-0778", Ecosystem: "Debian:12", Package: "openssl", Fixed: "3.0.12-1", Upstream: []string{"CVE-2022-0778"}})
	req, big := r.Image(t, base), r.Image(t, debianLayer(t, large...))
	return scantest.Fixture{
		Driver: dial(t, d), Empty: dial(t, openDriver(t, nil)), Capabilities: scan.Capabilities(), Artifact: req,
		Findings: []scan.Finding{{ID: "CVE-2014-6271", Package: "bash", Version: "5.2.15-2+b2"}},
		Large:    &big, LargeFindings: many,
		Format: scan.FormatOSV, Ecosystem: "Debian:12", Data: data, Changed: []string{"pkg:deb/debian/openssl"},
		New:     scan.Finding{ID: "CVE-2022-0778", Package: "libssl3", Version: "3.0.11-1"},
		Mirror:  func(*testing.T) { m.files["/Debian:12/all.zip"] = data },
		Timeout: time.Minute,
	}
}

// overTheWire serves the driver as a plugin does.
func overTheWire(t *testing.T, d scan.Driver) scan.Driver {
	l := bufconn.Listen(1 << 20)
	s := grpc.NewServer(serve.ServerOptions()...)
	scan.Register(s, func() (scan.Driver, error) { return d, nil })
	go func() { _ = s.Serve(l) }()
	options := append(serve.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	conn, err := grpc.NewClient("passthrough:///plugin", options...)
	must(t, err)
	t.Cleanup(func() { conn.Close(); s.Stop() })
	return scan.NewClient(conn)
}

func TestConforms(t *testing.T) {
	scantest.Suite(t, func(t *testing.T) scantest.Fixture {
		return fixture(t, func(_ *testing.T, d scan.Driver) scan.Driver { return d })
	})
}

func TestConformsOverTheWire(t *testing.T) {
	scantest.Suite(t, func(t *testing.T) scantest.Fixture { return fixture(t, overTheWire) })
}
