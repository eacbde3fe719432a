package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/plugins/scan-osv/imagetest"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

func scanned(t *testing.T, d scan.Driver, req scan.ScanRequest, wants ...scan.Want) (*scan.Collector, scan.Report) {
	t.Helper()
	req.Wants = wants
	var c scan.Collector
	r, err := d.Scan(t.Context(), req, &c)
	must(t, err)
	return &c, r
}

var bashRecord = imagetest.Record{ID: "DEBIAN-CVE-2014-6271", Ecosystem: "Debian:12", Package: "bash", Fixed: "5.2.16-1",
	Upstream: []string{"CVE-2014-6271"}, Urgency: "high"}

func TestFindingSaysWhatLayerBroughtThePackage(t *testing.T) {
	r, d := imagetest.NewRegistry(t), openDriver(t, nil)
	load(t, d, "Debian", bashRecord)
	base := debianLayer(t, status("zlib1g", "1", "zlib"))
	both := status("zlib1g", "1", "zlib") + status("bash", "5.2.15-2+b2", "bash (5.2.15-2)")
	upper := imagetest.NewLayer(t, imagetest.File{Name: "var/lib/dpkg/status", Text: both})
	c, _ := scanned(t, d, r.Image(t, base, upper), scan.Vulnerability)
	if len(c.Found) != 1 {
		t.Fatalf("found %+v", c.Found)
	}
	f := c.Found[0]
	want := "pkg:deb/debian/bash@5.2.15-2%2Bb2?arch=amd64&distro=debian-12"
	if f.Layer != upper.DiffID.String() || f.Path != "var/lib/dpkg/status" || f.FixedIn != "5.2.16-1" || f.Severity != scan.High ||
		f.SeveritySource != "debian" || !strings.HasPrefix(f.PURL, want) {
		t.Errorf("found %+v", f)
	}
}

func TestSecondImageOnABaseUnpacksWhatIsNew(t *testing.T) {
	r, d := imagetest.NewRegistry(t), openDriver(t, nil)
	load(t, d, "Debian", bashRecord)
	base := debianLayer(t, status("bash", "5", ""))
	one, two := imagetest.NewLayer(t, imagetest.File{Name: "one"}), imagetest.NewLayer(t, imagetest.File{Name: "two"})
	for _, upper := range []imagetest.Layer{one, two, two} {
		c, _ := scanned(t, d, r.Image(t, base, upper), scan.Vulnerability)
		if len(c.Found) != 1 {
			t.Errorf("found %+v", c.Found)
		}
	}
	for name, l := range map[string]imagetest.Layer{"base": base, "one": one, "two": two} {
		if n := r.Gets(digest.FromBytes(l.Blob)); n != 1 {
			t.Errorf("%s was pulled %d times", name, n)
		}
	}
}

// artifact puts a manifest together and returns a request that scans it.
func artifact(t *testing.T, r *imagetest.Registry, m ocispec.Manifest) scan.ScanRequest {
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	return r.Request(r.PutJSON(t, m.MediaType, m))
}

func TestWhatIsNoImageHasAClearState(t *testing.T) {
	r, d := imagetest.NewRegistry(t), openDriver(t, nil)
	load(t, d, "Debian", bashRecord)
	layer := debianLayer(t, status("bash", "5", ""))
	descriptor := r.Put(layer.MediaType, layer.Blob)
	config := func(os string, ids ...digest.Digest) ocispec.Descriptor {
		return r.PutJSON(t, ocispec.MediaTypeImageConfig, ocispec.Image{Platform: ocispec.Platform{OS: os}, RootFS: ocispec.RootFS{DiffIDs: ids}})
	}
	index := r.Request(r.PutJSON(t, ocispec.MediaTypeImageIndex, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}))
	helm := r.Put("application/vnd.cncf.helm.config.v1+json", []byte("{}"))
	cosign := ocispec.Manifest{ArtifactType: "application/vnd.dev.cosign.artifact.sig.v1+json", Config: r.Put(ocispec.MediaTypeEmptyJSON, []byte("{}"))}
	of := func(config ocispec.Descriptor) scan.ScanRequest {
		return artifact(t, r, ocispec.Manifest{Config: config, Layers: []ocispec.Descriptor{descriptor}})
	}
	outside := r.Image(t, layer)
	outside.Repository = "../../v2/x"
	lie := r.Put(ocispec.MediaTypeImageManifest, []byte("x"))
	lie.Digest = digest.FromString("y")
	for name, c := range map[string]struct {
		req   scan.ScanRequest
		class error
		says  string
	}{
		"an index":                  {index, errdef.ErrUnsupported, "index"},
		"a chart":                   {of(helm), errdef.ErrUnsupported, "helm"},
		"a signature":               {artifact(t, r, cosign), errdef.ErrUnsupported, "cosign"},
		"an image for Windows":      {of(config("windows", layer.DiffID)), errdef.ErrUnsupported, "windows"},
		"another number of layers":  {of(config("linux")), errdef.ErrInvalid, "layers"},
		"another diff ID":           {of(config("linux", digest.FromString("x"))), errdef.ErrInvalid, "diff ID"},
		"a configuration of text":   {of(r.Put(ocispec.MediaTypeImageConfig, []byte("text"))), errdef.ErrInvalid, "configuration"},
		"a manifest that is not it": {r.Request(lie), errdef.ErrNotFound, "404"},
		"a repository that is none": {outside, errdef.ErrInvalid, "repository"},
	} {
		t.Run(name, func(t *testing.T) {
			c.req.Wants = []scan.Want{scan.Vulnerability}
			_, err := d.Scan(t.Context(), c.req, &scan.Collector{})
			if !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Scan: %v; not %v with %q", err, c.class, c.says)
			}
		})
	}
}

func TestImageThatUnpacksToTooMuchIsTooLarge(t *testing.T) {
	r, d := imagetest.NewRegistry(t), openDriver(t, func(c *Config) { c.ImageBytes, c.FileBytes = 1<<20, 1<<20 })
	load(t, d, "Debian", bashRecord)
	half := imagetest.File{Name: "zeros", Text: strings.Repeat("\x00", 700<<10)}
	req := r.Image(t, imagetest.NewLayer(t, half), imagetest.NewLayer(t, half, imagetest.File{Name: "other"}))
	req.Wants = []scan.Want{scan.Vulnerability}
	if _, err := d.Scan(t.Context(), req, &scan.Collector{}); !errors.Is(err, errdef.ErrExhausted) {
		t.Errorf("Scan: %v", err)
	}
}

func TestEncryptedLayerAndMissingDataAreWarnings(t *testing.T) {
	r, d := imagetest.NewRegistry(t), openDriver(t, nil)
	load(t, d, "npm", imagetest.Record{ID: "GHSA-1", Ecosystem: "npm", Package: "a"})
	secret := imagetest.Layer{Blob: []byte("cipher"), DiffID: digest.FromString("plain"), MediaType: ocispec.MediaTypeImageLayerGzip + "+encrypted"}
	_, report := scanned(t, d, r.Image(t, debianLayer(t, status("bash", "5", "")), secret), scan.Vulnerability)
	want := []string{"layer 2 is encrypted: nothing is known of what is in it", "there are no data of Debian:12: nothing is known of 1 packages"}
	if !slices.Equal(report.Warnings, want) {
		t.Errorf("warnings %q", report.Warnings)
	}
}

func TestMatchNeedsNoRegistryAndSeesNewData(t *testing.T) {
	r, d := imagetest.NewRegistry(t), openDriver(t, nil)
	load(t, d, "Debian", bashRecord)
	layer := debianLayer(t, status("libssl3", "3.0.11-1", "openssl"))
	c, _ := scanned(t, d, r.Image(t, layer), scan.SPDX, scan.CycloneDX)
	load(t, d, "Debian", imagetest.Record{ID: "DEBIAN-CVE-2022-0778", Ecosystem: "Debian:12", Package: "openssl", Fixed: "3.0.12-1",
		Upstream: []string{"CVE-2022-0778"}})
	for _, format := range []scan.Want{scan.SPDX, scan.CycloneDX} {
		var found scan.Collector
		_, err := d.Match(t.Context(), scan.MatchRequest{ID: "match-1", Format: format, SBOM: strings.NewReader(string(c.Documents[format]))}, &found)
		must(t, err)
		if len(found.Found) != 1 || found.Found[0].ID != "CVE-2022-0778" || found.Found[0].Layer != layer.DiffID.String() || found.Found[0].Package != "libssl3" {
			t.Errorf("%s: found %+v", format, found.Found)
		}
	}
}

func TestUpdateFetchesWhatIsNewerAndSaysWhatFails(t *testing.T) {
	m := &mirror{files: map[string][]byte{"/osv/Debian/all.zip": imagetest.Zip(t, bashRecord)}}
	s := httptest.NewServer(m)
	defer s.Close()
	d := openDriver(t, func(c *Config) { c.Mirror, c.Ecosystems = s.URL+"/osv/", []string{"Debian", "Rocky Linux"} })
	if _, err := d.Update(t.Context(), nil); !errors.Is(err, errdef.ErrUnavailable) {
		t.Fatalf("Update of what the mirror lacks: %v", err)
	}
	db, err := d.Database(t.Context())
	must(t, err)
	if db.Version == "" || !strings.Contains(db.Problem, "Rocky Linux") {
		t.Errorf("%+v does not tell of the failure, or lost the first ecosystem", db)
	}
	m.files["/osv/Rocky%20Linux/all.zip"] = imagetest.Zip(t, imagetest.Record{ID: "RLSA-1", Ecosystem: "Rocky Linux:9", Package: "openssl-libs"})
	db, err = d.Update(t.Context(), nil)
	must(t, err)
	if len(db.Ecosystems) != 2 || db.Problem != "" || m.sent != 2 {
		t.Errorf("%+v, archives sent: %d", db, m.sent)
	}
}

func TestUpdateGoesThroughTheProxy(t *testing.T) {
	m := &mirror{files: map[string][]byte{"/Debian/all.zip": imagetest.Zip(t, bashRecord)}}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host != "mirror.invalid" {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		m.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	d := openDriver(t, func(c *Config) { c.Mirror, c.Proxy = "http://mirror.invalid", proxy.URL })
	db, err := d.Update(t.Context(), nil)
	must(t, err)
	if db.Version == "" || m.sent != 1 {
		t.Errorf("%+v, archives sent: %d", db, m.sent)
	}
}

func TestDataThatAreTooOldAreAProblem(t *testing.T) {
	d := openDriver(t, nil)
	db, err := d.Database(t.Context())
	must(t, err)
	if !strings.Contains(db.Problem, "no data yet") {
		t.Errorf("without data: %q", db.Problem)
	}
	if db = load(t, d, "Debian", bashRecord); db.Problem != "" {
		t.Errorf("with new data: %q", db.Problem)
	}
	d.config.StaleAfter = -time.Minute
	db, err = d.Database(t.Context())
	must(t, err)
	if !strings.Contains(db.Problem, "Debian (0 days)") {
		t.Errorf("with old data: %q", db.Problem)
	}
}
