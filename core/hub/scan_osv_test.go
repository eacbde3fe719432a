package hub

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/hub/jobs"
)

// The identifiers are true, the versions are made up.
const osvRecord = `{"schema_version":"1.7.0","id":"DEBIAN-CVE-2024-6119","modified":"2024-09-04T00:00:00Z","published":"2024-09-03T00:00:00Z",
	"upstream":["CVE-2024-6119"],"details":"A certificate's name check may read invalid memory.","affected":[{"package":{"ecosystem":"Debian:12","name":"openssl"},
	"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"3.0.14-1~deb12u2"}]}],"ecosystem_specific":{"urgency":"high"}}],
	"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"}]}`

// osvMirror serves one ecosystem as osv.dev does, and returns its address and its authority in PEM.
func osvMirror(t *testing.T) (address, ca string) {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create("DEBIAN-CVE-2024-6119.json")
	must(t, err)
	_, err = f.Write([]byte(osvRecord))
	must(t, err)
	must(t, z.Close())
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/Debian/all.zip" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(b.Bytes())
	}))
	t.Cleanup(s.Close)
	return s.URL, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// debianLayer is one with a list of packages of Debian 12.
func debianLayer(t *testing.T, openssl string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range [][2]string{
		{"etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nNAME=\"Debian GNU/Linux\"\n"},
		{"var/lib/dpkg/status", fmt.Sprintf("Package: libssl3\nStatus: install ok installed\nMaintainer: x\nArchitecture: amd64\nSource: openssl\nVersion: %s\n"+
			"Description: x\n\nPackage: bash\nStatus: install ok installed\nMaintainer: x\nArchitecture: amd64\nVersion: 5.2.15-2\nDescription: x\n\n", openssl)},
	} {
		must(t, w.WriteHeader(&tar.Header{Name: f[0], Mode: 0o644, Size: int64(len(f[1])), Typeflag: tar.TypeReg}))
		_, err := w.Write([]byte(f[1]))
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// pushDebian pushes an image of one layer.
func (w *scanWorld) pushDebian(repo, tag, openssl string) {
	w.t.Helper()
	bearer, _ := w.bearer("admin@local", w.first, "repository:"+repo+":pull,push")
	blob := func(mediaType string, b []byte) v1.Descriptor {
		d := digest.FromBytes(b)
		_, header, _ := w.do("POST", "/v2/"+repo+"/blobs/uploads/", bearer, "", "")
		if status, _, text := w.do("PUT", header.Get("Location")+"&digest="+d.String(), bearer, "application/octet-stream", string(b)); status != 201 {
			w.t.Fatalf("blob: %d %s", status, text)
		}
		return v1.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
	}
	layer := debianLayer(w.t, openssl)
	image := fmt.Sprintf(`{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["%s"]}}`, digest.FromBytes(layer))
	m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: blob(v1.MediaTypeImageConfig, []byte(image)),
		Layers: []v1.Descriptor{blob(v1.MediaTypeImageLayer, layer)}}
	m.SchemaVersion = 2
	text, err := json.Marshal(m)
	must(w.t, err)
	if status, _, s := w.do("PUT", "/v2/"+repo+"/manifests/"+tag, bearer, v1.MediaTypeImageManifest, string(text)); status != 201 {
		w.t.Fatalf("manifest: %d %s", status, s)
	}
}

// buildScanner builds the plugin that scans, a module of its own.
func buildScanner(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vic-scan-osv")
	c := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, ".")
	c.Dir = "../../plugins/scan-osv"
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("scan-osv: %v: %s", err, out)
	}
	return path
}

// TestTheScannerOfOurOwn has the hub start plugins/scan-osv, fetch data for it, and refuse an image with a weakness that it
// finds, though not one that is repaired.
func TestTheScannerOfOurOwn(t *testing.T) {
	program := buildScanner(t)
	binary, err := os.ReadFile(program)
	must(t, err)
	mirror, ca := osvMirror(t)
	w := &scanWorld{world: &world{t: t, dir: t.TempDir()}}
	w.begin("sqlite", "local", fmt.Sprintf("file = %q\n", filepath.Join(w.dir, "people", "users.json")))
	w.stop()
	write := func(name, format string, args ...any) string {
		path := filepath.Join(w.dir, name)
		must(t, os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600))
		return path
	}
	settings := write("osv.toml", "data = %q\necosystems = ['Debian']\nmirror = %q\nmirror_ca = %q\n", filepath.Join(w.dir, "osv"), mirror,
		write("mirror.pem", "%s", ca))
	write("plugins.d/osv.toml", "name = 'osv'\npath = %q\nsha256 = '%x'\nconfig = %q\n", program, sha256.Sum256(binary), settings)
	text, err := os.ReadFile(filepath.Join(w.dir, "hub.toml"))
	must(t, err)
	write("hub.toml", "%s", strings.Replace(string(text), "[roles]\n", "[roles]\nscan = ['osv']\n", 1))
	w.cfg, err = config.LoadHub(filepath.Join(w.dir, "hub.toml"))
	must(t, err)
	w.start()
	within(t, "ready", func() bool { status, _, _ := w.do("GET", "/readyz", "", "", ""); return status == 200 })
	first, err := os.ReadFile(filepath.Join(w.dir, "people", "first-password"))
	must(t, err)
	w.first = strings.TrimSpace(string(first))
	w.admin = basicAuth("admin@local", w.first)
	var scanners []struct{ UUID, Name string }
	within(t, "the first administrator", func() bool {
		status, _, text := w.do("GET", "/api/v2.0/scanners", w.admin, "", "")
		return status == 200 && json.Unmarshal([]byte(text), &scanners) == nil
	})
	if len(scanners) != 1 {
		t.Fatalf("%+v", scanners)
	}
	w.api("POST", "/scanners/"+scanners[0].UUID+"/database/update", "", 202)
	within(t, "its data are there", func() bool {
		return strings.Contains(w.api("GET", "/scanners/"+scanners[0].UUID+"/metadata", "", 200), "Debian")
	})
	w.api("PUT", "/projects/default-project/metadatas/auto_scan", `{"auto_scan":"true"}`, 200)
	w.api("POST", "/projects/default-project/metadatas", `{"prevent_vul":"true","severity":"high"}`, 200)
	w.pushDebian("default-project/web", "old", "3.0.11-1~deb12u2")
	w.pushDebian("default-project/web", "new", "3.0.14-1~deb12u2")
	if o := w.scanned("web", "old"); o.Status != jobs.Success || o.Severity != "High" || o.Summary.Total != 1 {
		t.Errorf("%+v", o)
	}
	if o := w.scanned("web", "new"); o.Status != jobs.Success || o.Summary.Total != 0 {
		t.Errorf("%+v", o)
	}
	report := w.api("GET", "/projects/default-project/repositories/web/artifacts/old/additions/vulnerabilities", "", 200)
	for _, part := range []string{"CVE-2024-6119", `"fix_version":"3.0.14-1~deb12u2"`, `"package":"libssl3"`} {
		if !strings.Contains(report, part) {
			t.Errorf("%s lacks %s", report, part)
		}
	}
	if sbom := w.api("GET", "/projects/default-project/repositories/web/artifacts/old/additions/sbom", "", 200); !strings.Contains(sbom, "libssl3") {
		t.Error(sbom)
	}
	const why = "CVE-2024-6119 (High) in libssl3 3.0.11-1~deb12u2, fixed in 3.0.14-1~deb12u2"
	if status, text := w.pull("default-project/web", "old"); status != 412 || !strings.Contains(text, why) {
		t.Errorf("%d %s", status, text)
	}
	if status, text := w.pull("default-project/web", "new"); status != 200 {
		t.Errorf("%d %s", status, text)
	}
}
