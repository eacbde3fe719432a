package portal

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/openvic/vic/core/hub/role"
)

func get(t *testing.T, path string, header ...string) *http.Response {
	t.Helper()
	h, err := Handler()
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec.Result()
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestEveryPageLeadsToTheHubsAddress looks at the <base> of pages, which is all that the portal knows of a proxy's prefix.
func TestEveryPageLeadsToTheHubsAddress(t *testing.T) {
	for path, base := range map[string]string{
		"/": "./", "/projects": "./", "/projects/shop": "./../", "/projects/shop/repositories/a/b": "./../../../../", "/projects/a%2Fb": "./../",
		"/projects/": "./../",
	} {
		res := get(t, path, "Accept", "text/html,application/xhtml+xml")
		if text := body(t, res); res.StatusCode != http.StatusOK || !strings.Contains(text, `<base href="`+base+`">`) {
			t.Errorf("%s: %d, want a base of %s in\n%s", path, res.StatusCode, base, text)
		}
	}
}

func TestWhoIsNoBrowserIsToldThatNothingIsThere(t *testing.T) {
	for _, path := range []string{"/v1/_ping", "/api/nothing", "/assets/nothing.js"} {
		if res := get(t, path, "Accept", "*/*"); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
	if res := get(t, "/assets/nothing.js", "Accept", "text/html"); res.StatusCode != http.StatusNotFound {
		t.Errorf("a file that is not there, to a browser: %d", res.StatusCode)
	}
	h, err := Handler()
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "POST", "/", nil))
	if rec.Code != http.StatusMethodNotAllowed || rec.Header().Get("Allow") == "" {
		t.Errorf("POST: %d %v", rec.Code, rec.Header())
	}
}

// TestFilesAreKeptForEver follows what index.html names.
func TestFilesAreKeptForEver(t *testing.T) {
	page := body(t, get(t, "/"))
	names := regexp.MustCompile(`(?:href|src)="(assets/[^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(names) != 3 {
		t.Fatalf("index.html names %q", names)
	}
	for _, m := range names {
		plain := get(t, "/"+m[1])
		zipped := get(t, "/"+m[1], "Accept-Encoding", "br;q=1.0, gzip;q=0.8")
		refused := get(t, "/"+m[1], "Accept-Encoding", "gzip;q=0")
		if plain.StatusCode != 200 || zipped.StatusCode != 200 || refused.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %d, %d, %v", m[1], plain.StatusCode, zipped.StatusCode, refused.Header)
		}
		want := body(t, plain)
		if zipped.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(zipped.Body)
			if err != nil {
				t.Fatal(err)
			}
			if have, err := io.ReadAll(z); err != nil || string(have) != want {
				t.Errorf("%s is another when it is compressed: %v", m[1], err)
			}
		} else if strings.HasSuffix(m[1], ".js") || strings.HasSuffix(m[1], ".css") {
			t.Errorf("%s is not compressed", m[1])
		}
		if c := plain.Header.Get("Cache-Control"); !strings.Contains(c, "immutable") {
			t.Errorf("%s: Cache-Control %q", m[1], c)
		}
		if again := get(t, "/"+m[1], "If-None-Match", plain.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s again: %d", m[1], again.StatusCode)
		}
	}
}

func TestPagesAreKeptFromOthers(t *testing.T) {
	head := get(t, "/").Header
	for name, want := range map[string]string{"Content-Security-Policy": "frame-ancestors 'none'", "X-Content-Type-Options": "nosniff",
		"Referrer-Policy": "same-origin", "Cache-Control": "no-cache"} {
		if have := head.Get(name); !strings.Contains(have, want) {
			t.Errorf("%s: %q, want %q", name, have, want)
		}
	}
	if csp := head.Get("Content-Security-Policy"); !strings.Contains(csp, "script-src 'self';") || strings.Count(csp, "unsafe") != 1 ||
		!strings.Contains(csp, "style-src 'self' 'unsafe-inline'") {
		t.Errorf("policy %q", csp)
	}
	if page := body(t, get(t, "/")); strings.Contains(page, "<script>") || strings.Contains(page, "style=") {
		t.Errorf("index.html has a script or a style in it:\n%s", page)
	}
}

// most is what a browser may have to load before the first page, compressed.
const most = 150 << 10

// static finds what a script loads before it runs.
var static = regexp.MustCompile(`(?:from|import)"\./([^"]+\.js)"`)

// TestFirstLoadIsSmall counts what index.html names and what that needs before it runs: the terminal comes when it is used.
func TestFirstLoadIsSmall(t *testing.T) {
	n, seen := 0, map[string]bool{}
	var add func(name string)
	add = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		text, err := site.ReadFile("site/assets/" + name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := newFile(name, text)
		if err != nil {
			t.Fatal(err)
		}
		n += min(len(f.zipped), len(text))
		for _, m := range static.FindAllSubmatch(text, -1) {
			add(string(m[1]))
		}
	}
	page := body(t, get(t, "/"))
	for _, m := range regexp.MustCompile(`(?:href|src)="assets/([^"]+)"`).FindAllStringSubmatch(page, -1) {
		add(m[1])
	}
	if n > most || len(seen) < 3 {
		t.Errorf("%d bytes in %d files, want at most %d", n, len(seen), most)
	}
	t.Logf("%d bytes of first load, compressed", n)
}

// sources are the texts of the portal's sources, by name.
func sources(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir("ui/src", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.Contains(name, "/gen/") || !strings.HasPrefix(filepath.Ext(name), ".ts") {
			return err
		}
		text, err := os.ReadFile(name)
		all[name] = string(text)
		return err
	})
	if err != nil || len(all) < 10 {
		t.Fatalf("%d sources, %v", len(all), err)
	}
	return all
}

var operation = regexp.MustCompile(`"((?:GET|HEAD|POST|PUT|PATCH|DELETE) /[^"]*)"`)

// TestPageUsesTheDocumentedAPI compares each call in the sources with the document of the API: TypeScript does so too, but
// only where the portal is built.
func TestPageUsesTheDocumentedAPI(t *testing.T) {
	text, err := os.ReadFile("../../docs/hub-openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	n := 0
	for name, source := range sources(t) {
		for _, m := range operation.FindAllStringSubmatch(source, -1) {
			n++
			method, path, _ := strings.Cut(m[1], " ")
			if _, ok := document.Paths[path][strings.ToLower(method)]; !ok && !strings.Contains(source, "offers("+m[0]) {
				t.Errorf("%s calls %s, which docs/hub-openapi.json does not have", name, m[1])
			}
		}
	}
	if n < 5 {
		t.Errorf("only %d calls were found", n)
	}
}

// TestPageKnowsTheRoles compares what the page shows to whom with the table that the hub enforces.
func TestPageKnowsTheRoles(t *testing.T) {
	source := sources(t)["ui/src/lib/session.ts"]
	_, rest, _ := strings.Cut(source, "export const least = {")
	table, _, _ := strings.Cut(rest, "}")
	least := map[string]string{}
	for _, p := range role.All() {
		least[p.Row().Name] = p.Row().Least.String()
	}
	rows := regexp.MustCompile(`"([a-z:-]+)": "([a-z-]+)"`).FindAllStringSubmatch(table, -1)
	if len(rows) < 10 {
		t.Fatalf("only %d rows in\n%s", len(rows), table)
	}
	for _, m := range rows {
		if least[m[1]] != m[2] {
			t.Errorf("the page thinks that %s needs %s, the hub %q", m[1], m[2], least[m[1]])
		}
	}
}

func TestLicencesOfWhatIsBundledAreThere(t *testing.T) {
	text, err := site.ReadFile("site/LICENSES.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"preact 1", "@preact/signals ", "@preact/signals-core ", "Lucide"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("LICENSES.txt does not name %s", want)
		}
	}
}
