package hub

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
)

// wrong is something that is not as it should be, and what somebody is told of it.
type wrong struct {
	what string
	do   func() (code int, text string)
	code int    // an exit code or an HTTP status
	want string // is in the text
}

// TestWrongInputIsToldSo gives the hub what it must not take: files, commands, requests of the API and of the registry. Each
// has its code and says what is wrong; the test prints them all.
func TestWrongInputIsToldSo(t *testing.T) {
	w := newWorld(t, "sqlite")
	password := w.administrator()
	var all []wrong
	for _, part := range [][]wrong{w.wrongFiles(), w.wrongCommands(), w.wrongVic(), w.wrongAPI(password), w.wrongRegistry(password)} {
		all = append(all, part...)
	}
	if len(all) < 30 {
		t.Errorf("%d ways", len(all))
	}
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, x := range all {
		code, said := x.do()
		said = strings.ReplaceAll(strings.TrimSpace(said), w.dir, "DIR")
		fmt.Fprintf(table, "%s\t%d\t%s\n", x.what, code, strings.ReplaceAll(said, "\n", " | "))
		if code != x.code || !strings.Contains(said, x.want) {
			t.Errorf("%s: %d %q, want %d %q", x.what, code, said, x.code, x.want)
		}
		if strings.Contains(said, "internal server error") || strings.Contains(said, password) {
			t.Errorf("%s: %s", x.what, said)
		}
	}
	must(t, table.Flush())
	t.Logf("%d ways:\n%s", len(all), text.String())
	if status, _, _ := w.do("GET", "/readyz", "", "", ""); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}

func (w *world) run(args ...string) func() (int, string) {
	return func() (int, string) {
		var out, errs bytes.Buffer
		code := Main("test", args, &out, &errs)
		return code, errs.String()
	}
}

// file writes one and tells its path.
func (w *world) file(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, "wrong-"+name)
	must(w.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func (w *world) wrongFiles() []wrong {
	hub := func(what, text, want string) wrong {
		name := strings.ReplaceAll(what, " ", "-") + ".toml"
		return wrong{"hub.toml: " + what, w.run("fsck", "--config", w.file(name, text)), 2, want}
	}
	return []wrong{
		hub("no TOML", "data = [", "wrong-no-TOML.toml"),
		hub("an unknown key", "port = 8443\n", "port"),
		hub("a relative data folder", "data = 'here'\n[roles]\nauth = 'local'\n", `"here" is not an absolute path`),
		hub("a database of another kind", "[database]\nurl = 'mysql://root:secret@h/x'\n[roles]\nauth = 'local'\n", "neither sqlite:/PATH nor postgres://"),
		hub("a listener without a port", "listen = '0.0.0.0'\n[roles]\nauth = 'local'\n", "listen"),
		hub("a certificate without its key", "[tls]\ncert = '/c.pem'\n[roles]\nauth = 'local'\n", "tls"),
		hub("a folder and a bucket", "[storage]\nfolder = '/x'\n[storage.s3]\nbucket = 'b'\n[roles]\nauth = 'local'\n", "exclude each other"),
		hub("redirection without a bucket", "[storage]\nredirect = true\n[roles]\nauth = 'local'\n", "there is no bucket"),
		hub("a role of a VCH", "[roles]\nauth = 'local'\ncompute = 'x'\n", "is no role of a hub"),
		{"hub.toml: there is none", w.run("serve", "--config", filepath.Join(w.dir, "none.toml")), 1, "none.toml"},
	}
}

func (w *world) wrongCommands() []wrong {
	config := filepath.Join(w.dir, "hub.toml")
	letters := filepath.Join(w.dir, "letters")
	must(w.t, os.MkdirAll(letters, 0o700))
	must(w.t, os.WriteFile(filepath.Join(letters, "a.txt"), nil, 0o600))
	open := w.file("passphrase", "correct horse battery\n")
	must(w.t, os.Chmod(open, 0o644))
	return []wrong{
		{"vic-hub srve", w.run("srve"), 2, `"srve" is no command`},
		{"vic-hub gc --fast", w.run("gc", "--fast"), 2, "-fast"},
		{"vic-hub serve, a second", w.run("serve", "--config", config), 1, "in use by another vic-hub (process"},
		{"vic-hub backup without a target", w.run("backup", "--config", config), 2, "--to is missing"},
		{"vic-hub backup into a folder of other files", w.run("backup", "--to", letters, "--config", config), 2, "holds other files"},
		{"vic-hub backup --keys without a passphrase", w.run("backup", "--to", filepath.Join(w.dir, "b"), "--keys", "--config", config), 2, "--passphrase-file"},
		{"vic-hub backup, a passphrase that others read", w.run("backup", "--to", filepath.Join(w.dir, "b"), "--keys", "--passphrase-file", open, "--config", config), 2,
			"chmod 600"},
		{"vic-hub restore from a folder without backups", w.run("restore", "--from", letters, "--config", w.emptyHub()), 2, "holds no backup"},
		{"vic-hub restore onto a hub that serves", w.run("restore", "--from", letters, "--config", config), 2, "in use by another vic-hub"},
		{"vic-hub restore from a text", w.run("restore", "--from", w.file("text.tar", "no tar"), "--config", w.emptyHub()), 2, "archive"},
		{"vic-hub move onto itself", w.run("move", "--to", config, "--config", config), 2, "same database"},
	}
}

// emptyHub is the configuration of a hub that never was.
func (w *world) emptyHub() string {
	w.t.Helper()
	return w.file("empty.toml", fmt.Sprintf("data = %q\n[roles]\nauth = 'local'\n", filepath.Join(w.dir, "empty")))
}

func (w *world) wrongVic() []wrong {
	hub := "https://" + w.hub.Addr().String()
	vic := func(what, want string, args ...string) wrong {
		return wrong{"vic hub " + what, func() (int, string) { _, errs := w.vic(1, "", args...); return 1, errs }, 1, want}
	}
	return []wrong{
		vic("without a hub", "which hub?", "project", "ls"),
		vic("with http", "is not https://HOST", "--hub", "http://hub", "project", "ls"),
		vic("without its authority", "give the hub's ca.pem", "--hub", hub, "project", "ls"),
		vic("where none is", "does not answer", "--hub", "https://127.0.0.1:1", "project", "ls"),
		vic("member set with an unknown role", `"boss" is no role`, "--hub", hub, "member", "set", "p", "u", "boss"),
		vic("quota set 0", "a number above 0", "--hub", hub, "quota", "set", "--storage", "0", "p"),
		vic("immutable rm of no number", "is no number of a rule", "--hub", hub, "immutable", "rm", "p", "first"),
		vic("webhook retry of no number", "wants PROJECT NAME DELIVERY", "--hub", hub, "webhook", "retry", "p", "ci"),
		vic("registry create with a name alone", "give both or none", "--hub", hub, "registry", "create", "--username", "x", "r", "https://r"),
		vic("job stop of no number", "is no number of a job", "--hub", hub, "job", "stop", "last"),
		vic("session end of nothing", "or --all", "--hub", hub, "session", "end"),
		vic("config set without a value", `"read_only" is not NAME=VALUE`, "--hub", hub, "config", "set", "read_only"),
		vic("label ls as a picture", "it is table or json", "--hub", hub, "label", "ls", "--output", "png"),
		vic("tag rm without a tag", "is neither PROJECT/NAME:TAG", "--hub", hub, "tag", "rm", "p/a"),
	}
}

func (w *world) wrongAPI(password string) []wrong {
	as := basicAuth("admin@local", password)
	api := func(what, method, path, header, media, body string, status int, want string) wrong {
		return wrong{"API: " + what, func() (int, string) {
			status, _, text := w.do(method, "/api/v2.0"+path, header, media, body)
			return status, text
		}, status, want}
	}
	const j = "application/json"
	return []wrong{
		api("a wrong password", "GET", "/users", basicAuth("admin@local", "x"), "", "", 401, "UNAUTHORIZED"),
		api("nobody makes a project", "POST", "/projects", "", j, `{"project_name":"x"}`, 401, "sign in first"),
		api("a path that is none", "GET", "/nothing", as, "", "", 404, "there is nothing at"),
		api("a method that is none", "PATCH", "/projects", as, j, `{}`, 405, "METHOD_NOT_ALLOWED"),
		api("a body that is no JSON", "POST", "/projects", as, j, `{`, 400, "BAD_REQUEST"),
		api("a body of another type", "POST", "/projects", as, "text/plain", `{}`, 415, "UNSUPPORTED"),
		api("a name that cannot be", "POST", "/projects", as, j, `{"project_name":"No Way"}`, 400, "lower-case letters"),
		api("a name that is taken", "POST", "/projects", as, j, `{"project_name":"default-project"}`, 409, "is there already"),
		api("a project that is not there", "GET", "/projects/nothing", as, "", "", 404, "project nothing not found"),
		api("a role that is none", "POST", "/projects/default-project/members", as, j, `{"role_id":9,"principal":"admin@local"}`, 400, "role_id"),
		api("a page that is none", "GET", "/projects?page=0", as, "", "", 400, "want a number from 1"),
		api("a page that is too large", "GET", "/projects?page_size=1000", as, "", "", 400, "want a number from 1 to 100"),
		api("a name with a NUL", "POST", "/projects", as, j, `{"project_name":"a\u0000b"}`, 400, "BAD_REQUEST"),
		api("a vulnerability without an ID", "PUT", "/system/CVEAllowlist", as, j, `{"items":[{"cve_id":""}]}`, 400, "is not the ID of a vulnerability"),
		api("a list that ended before time began", "PUT", "/system/CVEAllowlist", as, j, `{"expires_at":-1}`, 400, "seconds since 1970"),
		api("the log kept for a day", "PUT", "/system/purgeaudit/schedule", as, j, `{"schedule":{"type":"Daily"}}`, 400, "[audit] keep_days of hub.toml"),
		api("permissions nowhere", "GET", "/users/current/permissions?scope=/moon", as, "", "", 400, "scope: want /project/NUMBER"),
		api("a job that is none", "PUT", "/jobservice/jobs/999999", as, "", "", 404, "execution 999999"),
		api("a profile of nobody", "PUT", "/users/999999", as, j, `{"email":"x@example.com"}`, 404, "user 999999 not found"),
		api("a delivery that is none", "POST", "/projects/default-project/webhook/policies/9/executions/9/retry", as, j, `{}`, 404, "NOT_FOUND"),
		{"browser: a form that nobody has begun", func() (int, string) {
			status, _, text := w.do("POST", "/c/oidc/callback", "", "application/x-www-form-urlencoded", "SAMLResponse=x&RelayState=y")
			return status, text
		}, 401, "has not begun a sign-in here"},
		api("more than a megabyte", "POST", "/projects", as, j, `{"project_name":"`+strings.Repeat("a", 2<<20)+`"}`, 413, "REQUEST_ENTITY_TOO_LARGE"),
	}
}

func (w *world) wrongRegistry(password string) []wrong {
	const repo = "default-project/app"
	reg := func(what, method, path, media, body string, status int, want string) wrong {
		return wrong{"registry: " + what, func() (int, string) {
			header, _ := w.bearer("admin@local", password, "repository:"+repo+":pull,push,delete")
			status, _, text := w.do(method, "/v2/"+path, header, media, body)
			if text != "" && !json.Valid([]byte(text)) {
				w.t.Errorf("%s: %q is no JSON", what, text)
			}
			return status, text
		}, status, want}
	}
	const zeros = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	upload := func() string {
		header, _ := w.bearer("admin@local", password, "repository:"+repo+":pull,push")
		_, h, _ := w.do("POST", "/v2/"+repo+"/blobs/uploads/", header, "", "")
		return strings.TrimPrefix(h.Get("Location"), "/v2/")
	}
	list := []wrong{
		reg("a manifest that is none", "PUT", repo+"/manifests/1", indexType, "x", http.StatusBadRequest, "MANIFEST_INVALID"),
		reg("a manifest of an unknown type", "PUT", repo+"/manifests/1", "text/plain", `{"schemaVersion":2}`, http.StatusBadRequest, "MANIFEST_INVALID"),
		reg("a manifest whose content is not there", "PUT", repo+"/manifests/1", "application/vnd.oci.image.manifest.v1+json",
			`{"schemaVersion":2,"config":{"mediaType":"x","digest":"`+zeros+`","size":1},"layers":[]}`, http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN"),
		reg("a tag that cannot be", "PUT", repo+"/manifests/.x", indexType, manifest, http.StatusBadRequest, "TAG_INVALID"),
		reg("a digest that cannot be", "GET", repo+"/blobs/sha256:xyz", "", "", http.StatusBadRequest, "DIGEST_INVALID"),
		reg("a repository that is not there", "GET", repo+"/manifests/none", "", "", http.StatusNotFound, "NAME_UNKNOWN"),
		reg("a project that is not there", "POST", "nothing/app/blobs/uploads/", "", "", http.StatusNotFound, "NAME_UNKNOWN"),
		reg("content that is not its digest", "POST", repo+"/blobs/uploads/?digest="+zeros, "application/octet-stream", "hello", http.StatusBadRequest, "DIGEST_INVALID"),
	}
	return append(list, wrong{"registry: half an upload is committed", func() (int, string) {
		return reg("", "PUT", upload()+"&digest="+zeros, "", "", 0, "").do()
	}, http.StatusBadRequest, "DIGEST_INVALID"})
}
