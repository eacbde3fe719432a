package hub

import (
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

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/opencontainers/go-digest"
)

// plainRegistry is distribution as it is, over files.
func plainRegistry(t *testing.T, dir string) http.Handler {
	t.Helper()
	c := &configuration.Configuration{Storage: configuration.Storage{"filesystem": {"rootdirectory": dir},
		"maintenance": {"uploadpurging": map[any]any{"enabled": false}}}}
	c.HTTP.Secret, c.HTTP.RelativeURLs = "secret", true
	return handlers.NewApp(t.Context(), c)
}

// pushPlain pushes an image of one layer to a tag, or by its digest as Harbor does.
func pushPlain(t *testing.T, h http.Handler, repo, tag, layer string) digest.Digest {
	t.Helper()
	do := func(method, path, media, body string) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", media)
		a := httptest.NewRecorder()
		h.ServeHTTP(a, r)
		if a.Code == 202 && method == "POST" {
			r := httptest.NewRequestWithContext(t.Context(), "PUT", a.Header().Get("Location")+"&digest="+digest.FromString(body).String(), strings.NewReader(body))
			a = httptest.NewRecorder()
			h.ServeHTTP(a, r)
		}
		if a.Code != 201 {
			t.Fatalf("%s %s: %d %s", method, path, a.Code, a.Body)
		}
	}
	do("POST", "/v2/"+repo+"/blobs/uploads/", "application/octet-stream", layer)
	do("POST", "/v2/"+repo+"/blobs/uploads/", "application/octet-stream", "{}")
	const media = "application/vnd.oci.image.manifest.v1+json"
	m := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},
		"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`, media, digest.FromString("{}"), digest.FromString(layer), len(layer))
	if tag == "" {
		tag = digest.FromString(m).String()
	}
	do("PUT", "/v2/"+repo+"/manifests/"+tag, media, m)
	return digest.FromString(m)
}

type adoptedJSON struct {
	Repositories, Manifests, Tags, Blobs, Linked, Projects, Members, Labels, Robots, Skipped int
	InPlace                                                                                  int `json:"in_place"`
	Attached                                                                                 int `json:"labels_on_artifacts"`
	Rules                                                                                    int `json:"immutability_rules"`
	First                                                                                    []string
}

func TestAPlainRegistryBecomesAHub(t *testing.T) {
	w := newWorld(t, "sqlite")
	w.administrator()
	dir := filepath.Join(w.dir, "plain")
	plain := plainRegistry(t, dir)
	pushPlain(t, plain, "busybox", "1", "layer one")
	pushPlain(t, plain, "team/deep/app", "v1", "layer two")
	var would, did, again adoptedJSON
	w.command(0, &would, "adopt", "--from", dir, "--public", "--dry-run")
	if would.Projects != 2 || would.Repositories != 2 || would.Tags != 2 {
		t.Errorf("%+v", would)
	}
	w.command(0, &did, "adopt", "--from", dir, "--public")
	if did.Projects != 2 || did.Repositories != 2 || did.Manifests != 2 || did.Tags != 2 || did.Blobs != 3 || did.Linked != 3 || did.Skipped != 0 {
		t.Errorf("%+v", did)
	}
	w.command(0, &again, "adopt", "--from", dir, "--public")
	if again.Projects != 0 || again.Blobs != 0 || again.Tags != 0 {
		t.Errorf("%+v", again)
	}
	w.command(0, nil, "fsck", "--hash")
	for _, ref := range []string{"library/busybox/manifests/1", "team/deep/app/manifests/v1", "team/deep/app/blobs/" + digest.FromString("layer two").String()} {
		repo := strings.Split(ref, "/manifests")[0]
		repo = strings.Split(repo, "/blobs")[0]
		var m struct{ Token string }
		_, _, body := w.do("GET", "/service/token?service=vic-hub&scope=repository:"+repo+":pull", "", "", "")
		must(t, json.Unmarshal([]byte(body), &m))
		if status, _, body := w.do("GET", "/v2/"+ref, "Bearer "+m.Token, "", ""); status != 200 {
			t.Errorf("%s: %d %s", ref, status, body)
		}
	}
	_, errs := w.command(2, nil, "adopt", "--from", t.TempDir())
	if !strings.Contains(errs, "is not that of a registry") {
		t.Error(errs)
	}
}

// TestAHarborBecomesAHub saves the answers of something that speaks as a Harbor by the script that does so, and takes over
// what it says, with a storage as Harbor leaves it: manifests by digest, no tags.
func TestAHarborBecomesAHub(t *testing.T) {
	for _, name := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(err)
		}
	}
	w := newWorld(t, "sqlite")
	password := w.administrator()
	dir := filepath.Join(w.dir, "plain")
	d := pushPlain(t, plainRegistry(t, dir), "shop/web/app", "", "layer")
	answers := map[string]string{
		"/projects":                    `[{"project_id":7,"name":"shop","metadata":{"public":"true"}},{"project_id":8,"name":"empty","metadata":{"public":"false"}}]`,
		"/quotas":                      `[{"id":1,"ref":{"id":7,"name":"shop"},"hard":{"storage":1073741824},"used":{"storage":5}}]`,
		"/labels?project_id=7&scope=p": `[{"id":3,"name":"tested","color":"#61717D","scope":"p","project_id":7}]`,
		"/labels?scope=g":              `[{"id":4,"name":"approved","scope":"g"}]`,
		"/robots":                      `[{"name":"robot$all","level":"system","duration":-1,"permissions":[{"kind":"system","namespace":"/","access":[{"resource":"scanner","action":"fly"}]}]}]`,
		"/robots?q=Level=project,ProjectID=7": `[{"name":"robot$shop+ci","level":"project","duration":30,"permissions":[{"kind":"project","namespace":"shop",
			"access":[{"resource":"repository","action":"pull"},{"resource":"repository","action":"push"}]}]}]`,
		"/projects/shop/members": `[{"entity_name":"ann","entity_type":"u","role_id":1},{"entity_name":"devs","entity_type":"g","role_id":4}]`,
		"/projects/shop/immutabletagrules": `[{"disabled":false,"template":"immutable_template","tag_selectors":[{"kind":"doublestar","decoration":"matches",
			"pattern":"v*"}],"scope_selectors":{"repository":[{"kind":"doublestar","decoration":"repoMatches","pattern":"**"}]}}]`,
		"/projects/shop/repositories": `[{"name":"shop/web/app"}]`,
		"/projects/shop/repositories/web%252Fapp/artifacts?with_label=true&with_tag=true": fmt.Sprintf(
			`[{"digest":%q,"tags":[{"name":"v1"},{"name":"latest"}],"labels":[{"name":"tested","scope":"p"},{"name":"approved","scope":"g"}]}]`, d),
	}
	harbor := httptest.NewTLSServer(http.HandlerFunc(func(res http.ResponseWriter, r *http.Request) {
		if user, pass, _ := r.BasicAuth(); user != "admin" || pass != `pass"word\` {
			res.WriteHeader(401)
			return
		}
		q := r.URL.Query()
		q.Del("page")
		q.Del("page_size")
		key := strings.TrimPrefix(r.URL.EscapedPath(), "/api/v2.0")
		var parts []string
		for _, name := range []string{"project_id", "q", "scope", "with_label", "with_tag"} {
			if q.Get(name) != "" {
				parts = append(parts, name+"="+q.Get(name))
			}
		}
		if len(parts) > 0 {
			key += "?" + strings.Join(parts, "&")
		}
		text := answers[key]
		if text == "" {
			text = "[]"
		}
		_, _ = res.Write([]byte(text))
	}))
	defer harbor.Close()
	file := func(name string, text []byte) string {
		path := filepath.Join(w.dir, name)
		must(t, os.WriteFile(path, text, 0o600))
		return path
	}
	export := filepath.Join(w.dir, "export")
	script := exec.CommandContext(t.Context(), "bash", "../../contrib/harbor/export.sh", export)
	script.Env = append(os.Environ(), "HARBOR="+harbor.URL, "HARBOR_USER=admin", "HARBOR_PASSWORD_FILE="+file("pw", []byte("pass\"word\\\n")),
		"HARBOR_CA="+file("harbor.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: harbor.Certificate().Raw})))
	if out, err := script.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	var would, did adoptedJSON
	args := []string{"adopt", "--from", dir, "--harbor", export, "--domain", "local"}
	w.command(1, &would, append(args, "--dry-run")...)
	w.command(1, &did, args...)
	want := adoptedJSON{Repositories: 1, Manifests: 1, Tags: 2, Blobs: 2, Linked: 2, Projects: 2, Members: 2, Labels: 2, Robots: 1, Attached: 2, Rules: 1, Skipped: 2}
	would.Linked = 2
	for what, got := range map[string]adoptedJSON{"would": would, "did": did} {
		first := strings.Join(got.First, "\n")
		got.First = nil
		if fmt.Sprint(got) != fmt.Sprint(want) || !strings.Contains(first, "scanner:fly") {
			t.Errorf("%s: %+v, want %+v: %s", what, got, want, first)
		}
	}
	as := basicAuth("admin@local", password)
	for path, want := range map[string]string{
		"/projects/shop":                   `"public":"true"`,
		"/quotas":                          "1073741824",
		"/projects/shop/members":           "local/devs",
		"/projects/shop/immutabletagrules": `"pattern":"v*"`,
		"/projects/shop/repositories/web%252Fapp/artifacts?with_label=true": "tested",
	} {
		if status, _, body := w.do("GET", "/api/v2.0"+path, as, "", ""); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %s", path, status, body, want)
		}
	}
	w.command(0, nil, "fsck", "--hash")
}
