package hub

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	notaryclient "github.com/theupdateframework/notary/client"
	"github.com/theupdateframework/notary/trustpinning"
	"github.com/theupdateframework/notary/tuf/data"
)

// dockerCLI is docker's command line as far as content trust goes: it asks the token service by the name that it knows the
// repository by, host and all, as docker/cli's GetNotaryRepository does, and leaves the rest to Notary's own client.
type dockerCLI struct {
	*signing
	gun     data.GUN
	actions string
	folder  string

	mu    sync.Mutex
	token string
}

// RoundTrip implements http.RoundTripper.
func (c *dockerCLI) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token == "" {
		c.token, _ = c.bearer("admin@local", c.password, "repository:"+c.gun.String()+":"+c.actions)
	}
	r.Header.Set("Authorization", c.token)
	return c.client.Transport.RoundTrip(r)
}

// cli is a person's command line, with keys and a cache in a folder.
func (s *signing) cli(folder, actions string) *dockerCLI {
	return &dockerCLI{signing: s, gun: data.GUN(s.hub.Addr().String() + "/default-project/app"), actions: actions, folder: folder}
}

func (c *dockerCLI) open() notaryclient.Repository {
	c.t.Helper()
	pass := func(string, string, bool, int) (string, bool, error) { return "a passphrase", false, nil }
	repo, err := notaryclient.NewFileCachedRepository(c.folder, c.gun, "https://"+c.hub.Addr().String(), c, pass, trustpinning.TrustPinConfig{})
	must(c.t, err)
	return repo
}

// trust is docker trust sign: of a repository that was never signed it makes the keys first.
func (c *dockerCLI) trust(tag string, image v1.Descriptor) error {
	c.t.Helper()
	repo := c.open()
	sum, err := hex.DecodeString(image.Digest.Encoded())
	must(c.t, err)
	target := &notaryclient.Target{Name: tag, Hashes: data.Hashes{"sha256": sum}, Length: image.Size}
	if _, err := repo.ListTargets(); err != nil {
		roots := repo.GetCryptoService().ListKeys(data.CanonicalRootRole)
		if len(roots) == 0 {
			key, err := repo.GetCryptoService().Create(data.CanonicalRootRole, "", data.ECDSAKey)
			must(c.t, err)
			roots = []string{key.ID()}
		}
		if err := repo.Initialize(roots, data.CanonicalSnapshotRole); err != nil {
			return err
		}
	}
	if err := repo.AddTarget(target, data.CanonicalTargetsRole); err != nil {
		return err
	}
	return repo.Publish()
}

// revoke is docker trust revoke.
func (c *dockerCLI) revoke(tag string) error {
	c.t.Helper()
	repo := c.open()
	must(c.t, repo.RemoveTarget(tag, data.CanonicalTargetsRole))
	return repo.Publish()
}

// TestDockerContentTrust signs and pulls as docker up to 28 does, by Notary's own client library.
func TestDockerContentTrust(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) { dockerContentTrust(t, newSigning(t, kind)) })
	}
}

func dockerContentTrust(t *testing.T, s *signing) {
	t.Helper()
	image := s.image("1", "an image")
	s.api("PUT", "/projects/default-project/metadatas/enable_content_trust", `{"enable_content_trust":"true"}`, 200)
	if status, body := s.pull("GET", "1"); status != 412 || !strings.Contains(body, "docker trust sign") {
		t.Errorf("not signed: %d %s", status, body)
	}
	signer := s.cli(t.TempDir(), "pull,push")
	reader := s.cli(t.TempDir(), "pull")
	if _, err := reader.open().GetTargetByName("1"); err == nil {
		t.Error("what nobody signed is found")
	}
	must(t, signer.trust("1", image))
	found, err := reader.open().GetTargetByName("1")
	must(t, err)
	if hex.EncodeToString(found.Hashes["sha256"]) != image.Digest.Encoded() || found.Length != image.Size {
		t.Errorf("%+v", found)
	}
	for _, ref := range []string{"1", image.Digest.String()} {
		if status, body := s.pull("GET", ref); status != 200 {
			t.Errorf("signed, by %s: %d %s", ref, status, body)
		}
	}
	// Another tag is another signature; and a tag that moved is signed no more.
	second := s.image("2", "another image")
	if status, _ := s.pull("GET", "2"); status != 412 {
		t.Errorf("another image: %d", status)
	}
	must(t, signer.trust("2", second))
	if status, body := s.pull("GET", "2"); status != 200 {
		t.Errorf("signed too: %d %s", status, body)
	}
	s.image("2", "a third image")
	if status, _ := s.pull("GET", "2"); status != 412 {
		t.Errorf("a signed tag moved: %d", status)
	}
	// A signed tag stays until its signature goes.
	const artifact = "/projects/default-project/repositories/app/artifacts/1"
	for _, path := range []string{artifact + "/tags/1", artifact, "/projects/default-project/repositories/app"} {
		if text := s.api("DELETE", path, "", 412); !strings.Contains(text, "is signed") {
			t.Errorf("%s: %s", path, text)
		}
	}
	if text := s.api("GET", artifact+"/signatures", "", 200); !strings.Contains(text, `"format":"docker"`) || !strings.Contains(text, `"state":"verified"`) {
		t.Errorf("%s", text)
	}
	must(t, signer.revoke("1"))
	if _, err := reader.open().GetTargetByName("1"); err == nil {
		t.Error("a revoked signature is found")
	}
	s.api("DELETE", artifact+"/tags/1", "", 200)
	must(t, signer.revoke("2"))
	s.api("DELETE", "/projects/default-project/repositories/app", "", 200)
	if _, err := s.cli(t.TempDir(), "pull").open().ListTargets(); err == nil {
		t.Error("a repository is gone, and its trust data are not")
	}
}

// TestWhoMayPublishTrust asks without the rights.
func TestWhoMayPublishTrust(t *testing.T) {
	s := newSigning(t, "sqlite")
	image := s.image("1", "an image")
	if err := s.cli(t.TempDir(), "pull").trust("1", image); err == nil {
		t.Error("who may pull alone signs")
	}
	base := "/v2/" + s.hub.Addr().String() + "/default-project/app/_trust/tuf/"
	status, header, _ := s.do("POST", base, "", "multipart/form-data; boundary=x", "--x--")
	if challenge := header.Get("WWW-Authenticate"); status != 401 || !strings.Contains(challenge, `realm="https://`) ||
		!strings.Contains(challenge, `scope="repository:default-project/app:pull,push"`) {
		t.Errorf("%d %s", status, challenge)
	}
	if status, _, _ := s.do("GET", base+"root.json", "", "", ""); status != 404 {
		t.Errorf("nobody reads in a public project: %d", status)
	}
	pusher, _ := s.bearer("admin@local", s.password, s.scope)
	for name, c := range map[string]struct {
		method, path, contentType, body string
		status                          int
		want                            string
	}{
		"no form":             {"POST", base, "application/json", "{}", 400, "MALFORMED_UPLOAD"},
		"an empty form":       {"POST", base, "multipart/form-data; boundary=x", "--x--\r\n", 400, "there is no root yet"},
		"a role that is none": {"POST", base, "multipart/form-data; boundary=x", form("rot", "{}"), 400, "INVALID_ROLE"},
		"a timestamp":         {"POST", base, "multipart/form-data; boundary=x", form("timestamp", "{}"), 400, "INVALID_ROLE"},
		"no JSON":             {"POST", base, "multipart/form-data; boundary=x", form("root", "x"), 400, "MALFORMED_JSON"},
		"no version":          {"POST", base, "multipart/form-data; boundary=x", form("root", "{}"), 400, "is no version"},
		"a root of nobody":    {"POST", base, "multipart/form-data; boundary=x", form("root", `{"signed":{"version":1}}`), 400, "ErrBadRoot"},
		"no root":             {"POST", base, "multipart/form-data; boundary=x", form("targets", `{"signed":{"version":1}}`), 400, "there is no root yet"},
		"too large":           {"POST", base, "multipart/form-data; boundary=x", form("root", strings.Repeat(" ", 65<<10)), 400, "more than 65536 bytes"},
		"a key of people":     {"GET", base + "root.key", "", "", 404, "METADATA_NOT_FOUND"},
		"no such path":        {"GET", base + "x/y", "", "", 404, "METADATA_NOT_FOUND"},
		"PUT":                 {"PUT", base + "root.json", "", "", 405, "UNSUPPORTED"},
		"no repository":       {"GET", "/v2/app/_trust/tuf/root.json", "", "", 400, "INVALID_GUN"},
	} {
		status, _, body := s.do(c.method, c.path, pusher, c.contentType, c.body)
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s, want %d %s", name, status, body, c.status, c.want)
		}
	}
	s.api("PUT", "/configurations", `{"read_only":true}`, 200)
	if status, _, body := s.do("POST", base, pusher, "multipart/form-data; boundary=x", "--x--\r\n"); status != 503 {
		t.Errorf("read-only: %d %s", status, body)
	}
}

func form(role, content string) string {
	return fmt.Sprintf("--x\r\nContent-Disposition: form-data; name=\"files\"; filename=%q\r\n\r\n%s\r\n--x--\r\n", role, content)
}

// TestNobodyGoesBackInTrust replays what was published before, and publishes what another's keys signed.
func TestNobodyGoesBackInTrust(t *testing.T) {
	s := newSigning(t, "sqlite")
	image := s.image("1", "an image")
	signer := s.cli(t.TempDir(), "pull,push")
	must(t, signer.trust("1", image))
	pusher, _ := s.bearer("admin@local", s.password, s.scope)
	base := "/v2/" + s.hub.Addr().String() + "/default-project/app/_trust/tuf/"
	read := func(name string) string {
		t.Helper()
		status, _, body := s.do("GET", base+name, pusher, "", "")
		if status != 200 {
			t.Fatalf("%s: %d %s", name, status, body)
		}
		return body
	}
	before := read("targets.json")
	must(t, signer.trust("2", image))
	after := read("targets.json")
	if before == after {
		t.Fatal("nothing was published")
	}
	status, _, body := s.do("POST", base, pusher, "multipart/form-data; boundary=x", form("targets", before))
	if status != 400 || !strings.Contains(body, `"VERSION"`) || read("targets.json") != after {
		t.Errorf("targets of before: %d %s", status, body)
	}
	changed := strings.Replace(after, `"version":3`, `"version":9`, 1)
	if changed == after {
		t.Fatalf("no version 3 in %s", after)
	}
	if status, _, body := s.do("POST", base, pusher, "multipart/form-data; boundary=x", form("targets", changed)); status != 400 || !strings.Contains(body, "ErrBadTargets") {
		t.Errorf("changed targets: %d %s", status, body)
	}
	// Another person's keys are not those of the root.
	if err := s.cli(t.TempDir(), "pull,push").trust("3", image); err == nil {
		t.Error("somebody signs without the keys of the repository")
	}
	// What a timestamp names is there by its sum, and the first root by its version.
	var timestamp struct {
		Signed struct {
			Meta map[string]struct{ Hashes map[string][]byte }
		}
	}
	must(t, json.Unmarshal([]byte(read("timestamp.json")), &timestamp))
	snapshot := read(fmt.Sprintf("snapshot.%x.json", timestamp.Signed.Meta["snapshot"].Hashes["sha256"]))
	if snapshot != read("snapshot.json") || read("1.root.json") != read("root.json") {
		t.Error("by sum and version there is something else")
	}
	// The keys of the hub are nowhere as they are.
	var sealed []byte
	must(t, s.hub.db.QueryRow(t.Context(), `SELECT sealed FROM tuf_key WHERE role = 'timestamp'`).Scan(&sealed))
	if len(sealed) == 0 || strings.Contains(string(sealed), "ecdsa") {
		t.Errorf("%q", sealed)
	}
	res, err := signer.RoundTrip(mustRequest(t, "POST", "https://"+s.hub.Addr().String()+base+"timestamp.key"))
	must(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(t, err)
	if res.StatusCode != 401 {
		t.Errorf("who may push alone rotates the hub's key: %d %s", res.StatusCode, text)
	}
}

func mustRequest(t *testing.T, method, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	must(t, err)
	return r
}

// TestDelegationsCount signs as several people do: docker trust signer add, and sign by targets/releases.
func TestDelegationsCount(t *testing.T) {
	s := newSigning(t, "sqlite")
	image := s.image("1", "an image")
	signer := s.cli(t.TempDir(), "pull,push")
	must(t, signer.trust("0", image))
	repo := signer.open()
	key, err := repo.GetCryptoService().Create("targets/releases", signer.gun, data.ECDSAKey)
	must(t, err)
	must(t, repo.AddDelegation("targets/releases", []data.PublicKey{key}, []string{""}))
	must(t, repo.Publish())
	sum, err := hex.DecodeString(image.Digest.Encoded())
	must(t, err)
	must(t, repo.AddTarget(&notaryclient.Target{Name: "1", Hashes: data.Hashes{"sha256": sum}, Length: image.Size}, "targets/releases"))
	must(t, repo.Publish())
	s.api("PUT", "/projects/default-project/metadatas/enable_content_trust", `{"enable_content_trust":"true"}`, 200)
	if status, body := s.pull("GET", "1"); status != 200 {
		t.Errorf("signed by a delegation: %d %s", status, body)
	}
	found, err := s.cli(t.TempDir(), "pull").open().GetTargetByName("1", "targets/releases", data.CanonicalTargetsRole)
	if err != nil || found.Role != "targets/releases" {
		t.Errorf("%+v %v", found, err)
	}
	// Without its key, what the delegation signed counts no more.
	must(t, repo.RemoveDelegationKeysAndPaths("targets/releases", []string{key.ID()}, nil))
	must(t, repo.Publish())
	if status, _ := s.pull("GET", "1"); status != 412 {
		t.Errorf("signed by one who was removed: %d", status)
	}
}
