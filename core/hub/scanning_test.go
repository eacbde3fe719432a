package hub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/hub/admission"
	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/scanning"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

// puller is the fake scanner behind what a real one does first: it pulls the manifest and the one layer, which is a list of
// packages as JSON.
type puller struct {
	*scan.Fake
	gate *atomic.Pointer[chan struct{}] // nil: scans begin at once; else when it is closed
}

// Scan implements scan.Driver.
func (p puller) Scan(ctx context.Context, req scan.ScanRequest, to scan.Sink) (scan.Report, error) {
	if gate := p.gate.Load(); gate != nil {
		select {
		case <-*gate:
		case <-ctx.Done():
			return scan.Report{}, ctx.Err()
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(req.Registry.CA)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	get := func(path string, v any) error {
		r, err := http.NewRequestWithContext(ctx, "GET", req.Registry.URL+"/v2/"+req.Repository+path, nil)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", string(req.Registry.Authorization))
		res, err := (&http.Client{Transport: transport}).Do(r)
		if err != nil {
			return errors.Join(err, errdef.ErrUnavailable)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s: %w", path, res.Status, errdef.ErrDenied)
		}
		return json.NewDecoder(res.Body).Decode(v)
	}
	var m v1.Manifest
	if err := get("/manifests/"+req.Digest, &m); err != nil {
		return scan.Report{}, err
	}
	a := scan.FakeArtifact{Repository: req.Repository, Digest: req.Digest, Authorization: req.Registry.Authorization}
	if err := get("/blobs/"+m.Layers[0].Digest.String(), &a.Packages); err != nil {
		return scan.Report{}, err
	}
	p.Add(a)
	return p.Fake.Scan(ctx, req, to)
}

// scanWorld is a hub with the scanner "fake", whose database knows one CVE of openssl 1.
type scanWorld struct {
	*world
	fake  *scan.Fake
	gate  atomic.Pointer[chan struct{}]
	admin string // header
	first string // password
}

func newScanWorld(t *testing.T, kind string) *scanWorld {
	t.Helper()
	w := &scanWorld{world: &world{t: t, dir: t.TempDir()}, fake: scan.NewFake()}
	w.prepare = func(h *Hub) {
		h.scanners = func() []scanning.Scanner {
			return []scanning.Scanner{{Name: "fake", Driver: puller{w.fake, &w.gate}, Capabilities: scan.Capabilities()}}
		}
	}
	w.weakness("CVE-2099-1", "openssl", scan.High, "1")
	w.begin(kind, "local", fmt.Sprintf("file = %q\n", filepath.Join(w.dir, "people", "users.json")))
	within(t, "ready", func() bool { status, _, _ := w.do("GET", "/readyz", "", "", ""); return status == 200 })
	text, err := os.ReadFile(filepath.Join(w.dir, "people", "first-password"))
	must(t, err)
	w.first = strings.TrimSpace(string(text))
	w.admin = basicAuth("admin@local", w.first)
	within(t, "the first administrator", func() bool {
		status, _, _ := w.do("GET", "/api/v2.0/scanners", w.admin, "", "")
		return status == 200
	})
	return w
}

// weakness makes the scanner's data of one ecosystem, each package its own, say that a version of a package has a weakness.
func (w *scanWorld) weakness(cve, pkg string, severity scan.Severity, versions ...string) {
	w.t.Helper()
	data := scan.FakeData(cve, pkg, pkg, severity, versions...)
	_, err := w.fake.Import(w.t.Context(), scan.ImportRequest{Format: scan.FormatOSV, Ecosystem: pkg, SHA256: digest.FromBytes(data).Encoded(),
		Data: strings.NewReader(string(data))})
	must(w.t, err)
}

// api sends a request as the administrator and wants a status.
func (w *scanWorld) api(method, path, body string, want int) string {
	w.t.Helper()
	status, _, text := w.do(method, "/api/v2.0"+path, w.admin, "application/json", body)
	if status != want {
		w.t.Errorf("%s %s: %d %s, want %d", method, path, status, text, want)
	}
	return text
}

// push pushes an image of packages ("openssl 1") and returns its digest.
func (w *scanWorld) push(repo, tag string, packages ...string) string {
	w.t.Helper()
	list := []scan.FakePackage{}
	for _, p := range packages {
		name, version, _ := strings.Cut(p, " ")
		list = append(list, scan.FakePackage{Name: name, Version: version})
	}
	layer, err := json.Marshal(list)
	must(w.t, err)
	bearer, _ := w.bearer("admin@local", w.first, "repository:"+repo+":pull,push")
	blob := func(mediaType string, b []byte) v1.Descriptor {
		d := digest.FromBytes(b)
		_, header, _ := w.do("POST", "/v2/"+repo+"/blobs/uploads/", bearer, "", "")
		if status, _, text := w.do("PUT", header.Get("Location")+"&digest="+d.String(), bearer, "application/octet-stream", string(b)); status != 201 {
			w.t.Fatalf("blob: %d %s", status, text)
		}
		return v1.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
	}
	m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: blob(v1.MediaTypeImageConfig, []byte("{}")),
		Layers: []v1.Descriptor{blob(v1.MediaTypeImageLayer, layer)}}
	m.SchemaVersion = 2
	text, err := json.Marshal(m)
	must(w.t, err)
	if status, _, s := w.do("PUT", "/v2/"+repo+"/manifests/"+tag, bearer, v1.MediaTypeImageManifest, string(text)); status != 201 {
		w.t.Fatalf("manifest: %d %s", status, s)
	}
	return digest.FromBytes(text).String()
}

// pull is docker pull of a manifest.
func (w *scanWorld) pull(repo, ref string) (int, string) {
	w.t.Helper()
	bearer, _ := w.bearer("admin@local", w.first, "repository:"+repo+":pull")
	status, _, text := w.do("GET", "/v2/"+repo+"/manifests/"+ref, bearer, "", "")
	return status, text
}

// scanned waits until the last scan of an artifact has ended, and returns its head.
func (w *scanWorld) scanned(repo, ref string) (o scanning.HarborOverview) {
	w.t.Helper()
	return w.scannedIn("default-project", repo, ref)
}

// scannedIn is scanned of another project.
func (w *scanWorld) scannedIn(project, repo, ref string) (o scanning.HarborOverview) {
	w.t.Helper()
	within(w.t, "the scan of "+repo+" ends", func() bool {
		var a struct {
			Overview map[string]scanning.HarborOverview `json:"scan_overview"`
		}
		text := w.api("GET", "/projects/"+project+"/repositories/"+repo+"/artifacts/"+ref+"?with_scan_overview=true", "", 200)
		must(w.t, json.Unmarshal([]byte(text), &a))
		o = a.Overview[scanning.ReportType]
		return o.Status.Ended()
	})
	return o
}

// TestAnImageIsScannedAndStopped goes from a push to a pull that is refused, and to one that is allowed again.
func TestAnImageIsScannedAndStopped(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			w := newScanWorld(t, kind)
			w.api("PUT", "/projects/default-project/metadatas/auto_scan", `{"auto_scan":"true"}`, 200)
			w.push("default-project/app", "v1", "openssl 1", "bash 5")
			if o := w.scanned("app", "v1"); o.Status != jobs.Success || o.Severity != "High" || o.Summary == nil || o.Summary.Total != 1 || o.Scanner.Name != "Fake" {
				t.Fatalf("%+v", o)
			}
			report := w.api("GET", "/projects/default-project/repositories/app/artifacts/v1/additions/vulnerabilities", "", 200)
			for _, part := range []string{`"id":"CVE-2099-1"`, `"package":"openssl"`, `"severity":"High"`, `"version":"1"`} {
				if !strings.Contains(report, part) {
					t.Errorf("%s lacks %s", report, part)
				}
			}
			if sbom := w.api("GET", "/projects/default-project/repositories/app/artifacts/v1/additions/sbom", "", 200); !strings.Contains(sbom, "SPDX-2.3") {
				t.Error(sbom)
			}
			if status, _ := w.pull("default-project/app", "v1"); status != 200 {
				t.Errorf("without a threshold: %d", status)
			}
			w.api("POST", "/projects/default-project/metadatas", `{"prevent_vul":"true","severity":"high"}`, 200)
			status, text := w.pull("default-project/app", "v1")
			if status != 412 {
				t.Errorf("%d %s", status, text)
			}
			for _, part := range []string{"PROJECTPOLICYVIOLATION", "default-project/app:v1 cannot be pulled: it has 1 vulnerability of severity high or above",
				"CVE-2099-1 (High) in openssl 1", "allowlist"} {
				if !strings.Contains(text, part) {
					t.Errorf("%s lacks %s", text, part)
				}
			}
			for _, list := range []struct {
				cve  string
				ends time.Duration
				want int
			}{{"CVE-2099-1", -time.Hour, 412}, {"cve-2099-1", time.Hour, 200}, {"CVE-2099-2", time.Hour, 412}} {
				w.api("PUT", "/system/CVEAllowlist", fmt.Sprintf(`{"expires_at":%d,"items":[{"cve_id":%q}]}`, time.Now().Add(list.ends).Unix(), list.cve), 200)
				if status, text := w.pull("default-project/app", "v1"); status != list.want {
					t.Errorf("%+v: %d %s", list, status, text)
				}
			}
			w.findings()
			w.admission("app", "v1", false, "CVE-2099-1")
			w.api("PUT", "/projects/default-project/metadatas/severity", `{"severity":"critical"}`, 200)
			w.admission("app", "v1", true, "")
			if status, text := w.pull("default-project/app", "v1"); status != 200 {
				t.Errorf("below the threshold: %d %s", status, text)
			}
			// New data make it critical, without a pull.
			w.weakness("CVE-2099-1", "openssl", scan.Critical, "1")
			must(t, w.hub.scanning.CheckDatabases(t.Context()))
			within(t, "the image is matched again", func() bool { status, _ := w.pull("default-project/app", "v1"); return status == 412 })
			// But who says that news have grace does not break what runs.
			w.weakness("CVE-2099-1", "openssl", scan.Low, "1")
			w.weakness("CVE-2099-9", "bash", scan.Critical, "5")
			must(t, w.hub.scanning.CheckDatabases(t.Context()))
			within(t, "the news are matched", func() bool {
				status, text := w.pull("default-project/app", "v1")
				return status == 412 && strings.Contains(text, "CVE-2099-9")
			})
			w.api("POST", "/projects/default-project/metadatas", `{"grace_days":"30"}`, 200)
			if status, text := w.pull("default-project/app", "v1"); status != 200 {
				t.Errorf("within the grace: %d %s", status, text)
			}
		})
	}
}

// An image that nobody scanned is refused, or not if the project says so; signatures and the hub's own pulls are not.
func TestUnscannedImages(t *testing.T) {
	w := newScanWorld(t, "sqlite")
	digest := w.push("default-project/app", "v1", "openssl 2")
	w.api("POST", "/projects/default-project/metadatas", `{"prevent_vul":"true"}`, 200)
	if status, text := w.pull("default-project/app", digest); status != 412 || !strings.Contains(text, "has not been scanned") {
		t.Errorf("%d %s", status, text)
	}
	w.api("PUT", "/projects/default-project/metadatas/unscanned_images", `{"unscanned_images":"allow"}`, 200)
	if status, text := w.pull("default-project/app", digest); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	w.api("PUT", "/projects/default-project/metadatas/unscanned_images", `{"unscanned_images":"refuse"}`, 200)
	w.fake.Fail("Scan", fmt.Errorf("it is no tar: %w", errdef.ErrInvalid))
	w.api("POST", "/projects/default-project/repositories/app/artifacts/v1/scan", "", 202)
	if o := w.scanned("app", "v1"); o.Status != jobs.Error || !strings.Contains(o.Message, "it is no tar") || o.Summary != nil {
		t.Errorf("%+v", o)
	}
	if status, text := w.pull("default-project/app", digest); status != 412 || !strings.Contains(text, "its scan is failed") {
		t.Errorf("%d %s", status, text)
	}
	w.api("POST", "/projects/default-project/repositories/app/artifacts/v1/scan", "", 202)
	if o := w.scanned("app", "v1"); o.Status != jobs.Success || o.Severity != "None" {
		t.Errorf("%+v", o)
	}
	if status, text := w.pull("default-project/app", digest); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	w.api("PATCH", "/scanners/fake", `{"is_default":true}`, 200)
	w.api("PUT", "/projects/default-project/scanner", `{"uuid":"other"}`, 400)
	w.api("PUT", "/projects/default-project/scanner", `{"uuid":"fake"}`, 200)
	if text := w.api("GET", "/projects/default-project/scanner", "", 200); !strings.Contains(text, `"uuid":"fake"`) {
		t.Error(text)
	}
}

// The credential of a scan opens one repository for pulls, and nothing else.
func TestScanCredentialOpensOneRepository(t *testing.T) {
	w := newScanWorld(t, "sqlite")
	at := w.push("default-project/app", "v1", "openssl 2")
	w.push("default-project/other", "v1", "openssl 2")
	credential, err := w.hub.scanCredential(t.Context(), "default-project/app")
	must(t, err)
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/v2/default-project/app/manifests/" + at, 200},
		{"GET", "/v2/default-project/other/manifests/v1", 403},
		{"PUT", "/v2/default-project/app/manifests/v2", 403},
		{"DELETE", "/v2/default-project/app/manifests/" + at, 403},
		{"GET", "/api/v2.0/users/current", 401},
	} {
		if status, _, text := w.do(c.method, c.path, string(credential), "", ""); status != c.want {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, status, text, c.want)
		}
	}
}

// findings looks for the one finding by all ways.
func (w *scanWorld) findings() {
	w.t.Helper()
	for path, want := range map[string]string{
		"/security/vul?q=cve_id=CVE-2099-1,severity=High,package=openssl,repository_name=default-project/app,tag=v1": `"cve_id":"CVE-2099-1"`,
		"/security/vul?q=severity={High%20Critical},cvss_score_v3=[0~100]":                                           `"tags":["v1"]`,
		"/security/vul?q=package=~SSL&sort=":                                                                         `"package":"openssl"`,
		"/security/vul?q=package=bash":                                                                               "[]",
		"/projects/default-project/security/vul":                                                                     `"severity":"High"`,
		"/projects/default-project/export/cve/csv":                                                                   "default-project/app,sha256:",
		"/export/cve/jsonl?q=cve_id=CVE-2099-1":                                                                      `"cve_id":"CVE-2099-1"`,
		"/security/summary":                                                                                          `"high_cnt":1,"medium_cnt":0,"low_cnt":0,"none_cnt":0,"unknown_cnt":0,"total_vuls":1`,
	} {
		if text := w.api("GET", path, "", 200); !strings.Contains(text, want) {
			w.t.Errorf("%s: %s lacks %s", path, text, want)
		}
	}
	w.api("GET", "/security/vul?q=severity=awful", "", 400)
	w.api("GET", "/export/cve/xml", "", 404)
}

// admission asks whether an artifact may be run, and checks the signature of the answer.
func (w *scanWorld) admission(repo, tag string, allowed bool, text string) {
	w.t.Helper()
	_, header, _ := w.do("HEAD", "/v2/default-project/"+repo+"/manifests/"+tag, w.admin, "", "")
	at := header.Get("Docker-Content-Digest")
	var form struct {
		Allowed     bool
		Text, Token string
	}
	must(w.t, json.Unmarshal([]byte(w.api("POST", "/projects/default-project/admission",
		fmt.Sprintf(`{"repository":"default-project/%s","digest":%q,"tag":%q,"nonce":"once"}`, repo, at, tag), 200)), &form))
	if form.Allowed != allowed || !strings.Contains(form.Text, text) {
		w.t.Errorf("%+v", form)
	}
	var set jose.JSONWebKeySet
	must(w.t, json.Unmarshal([]byte(w.api("GET", "/admission/keys", "", 200)), &set))
	parsed, err := jwt.ParseSigned(form.Token, []jose.SignatureAlgorithm{jose.ES256})
	must(w.t, err)
	var claims jwt.Claims
	var answer admission.Answer
	must(w.t, parsed.Claims(set, &claims, &answer))
	must(w.t, claims.Validate(jwt.Expected{AnyAudience: jwt.Audience{admission.Audience}, Time: time.Now()}))
	if answer.Allowed != allowed || answer.Digest != at || answer.Nonce != "once" {
		w.t.Errorf("%+v", answer)
	}
	if status, _, _ := w.do("GET", "/v2/default-project/"+repo+"/manifests/"+tag, "Bearer "+form.Token, "", ""); status != 401 {
		w.t.Errorf("an answer opens the registry: %d", status)
	}
}

// TestVicHubScans runs each command about scans against a hub.
func TestVicHubScans(t *testing.T) {
	w := newScanWorld(t, "sqlite")
	w.push("default-project/app", "v1", "openssl 1")
	url, ca := "https://"+w.hub.Addr().String(), filepath.Join(w.cfg.Data, "tls", "ca.pem")
	w.vic(0, w.first+"\n", "--hub", url, "--ca", ca, "--user", "admin@local", "--password-stdin", "login")
	run := func(want string, args ...string) {
		t.Helper()
		if out, _ := w.vic(0, "", args...); !strings.Contains(out, want) {
			t.Errorf("vic hub %q: %s lacks %q", args, out, want)
		}
	}
	refused := func(want string, args ...string) {
		t.Helper()
		if _, errs := w.vic(1, "", args...); !strings.Contains(errs, want) {
			t.Errorf("vic hub %q: %s lacks %q", args, errs, want)
		}
	}
	refused("was never scanned", "scan", "status", "default-project/app:v1")
	run("is being scanned", "scan", "start", "default-project/app:v1")
	w.scanned("app", "v1")
	run("1, of which 0 can be fixed", "scan", "status", "default-project/app:v1")
	run("CVE-2099-1", "scan", "show", "default-project/app:v1")
	run(`"severity": "High"`, "scan", "show", "--output", "json", "default-project/app:v1")
	run("default-project/app@sha256:", "cve", "find", "CVE-2099-1")
	run("openssl", "cve", "find", "--project", "default-project", "--severity", "High", "--package", "ssl")
	refused("no scan of default-project/app", "scan", "stop", "default-project/app:v1")
	run("all images", "scan", "all", "default-project")
	run("all images", "scan", "all")
	run("fake", "scanner", "ls")
	run("Records", "scanner", "data", "fake")
	run("is the default", "scanner", "default", "fake")
	run("fetches new data", "scanner", "update", "fake")
	refused("not found", "scanner", "data", "other")
	run("3 settings", "policy", "set", "--prevent", "true", "--severity", "medium", "--grace-days", "3", "default-project")
	run("medium", "policy", "show", "default-project")
	refused("want 0 to 365 days", "policy", "set", "--grace-days", "1000", "default-project")
	refused("give one of its flags", "policy", "set", "default-project")
	if status, text := w.pull("default-project/app", "v1"); status != 412 {
		t.Errorf("%d %s", status, text)
	}
}
