package notary

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	notaryclient "github.com/theupdateframework/notary/client"
	"github.com/theupdateframework/notary/trustpinning"
	"github.com/theupdateframework/notary/tuf"
	"github.com/theupdateframework/notary/tuf/data"

	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open lets everybody do everything: rights are tested with the hub.
type open struct{}

func (open) Authenticate(*http.Request) (registry.Caller, error) { return open{}, nil }
func (open) Challenge(*http.Request, []registry.Access) string   { return "" }
func (open) Name() string                                        { return "somebody" }
func (open) May(context.Context, registry.Access) error          { return nil }

// rig is a service with the project "p".
type rig struct {
	t   *testing.T
	db  *store.Store
	url string
	now time.Time
}

func newRig(t *testing.T, db *store.Store) *rig {
	t.Helper()
	r := &rig{t: t, db: db, now: time.Now()}
	must(t, db.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO project (name, public, created, quota, repo_quota) VALUES ('p', $1, 0, -1, -1)`, true)
		return err
	}))
	sealer, err := seal.Open(filepath.Join(t.TempDir(), "seal.key"))
	must(t, err)
	n := New(Options{DB: db, Sealer: sealer, Auth: open{}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Name: func(_ *http.Request, gun string) string { return strings.TrimPrefix(gun, "hub.example.com/") },
		Now:  func() time.Time { return r.now }})
	server := httptest.NewServer(n)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// open is one person's client of a repository.
func (r *rig) open(folder string, gun data.GUN) notaryclient.Repository {
	r.t.Helper()
	pass := func(string, string, bool, int) (string, bool, error) { return "a passphrase", false, nil }
	repo, err := notaryclient.NewFileCachedRepository(folder, gun, r.url, http.DefaultTransport, pass, trustpinning.TrustPinConfig{})
	must(r.t, err)
	return repo
}

const gun = data.GUN("hub.example.com/p/app")

// initialize makes a root, and signs a tag.
func (r *rig) initialize(repo notaryclient.Repository, tag string) {
	r.t.Helper()
	key, err := repo.GetCryptoService().Create(data.CanonicalRootRole, "", data.ECDSAKey)
	must(r.t, err)
	must(r.t, repo.Initialize([]string{key.ID()}, data.CanonicalSnapshotRole))
	r.sign(repo, tag)
}

func (r *rig) sign(repo notaryclient.Repository, tag string) {
	r.t.Helper()
	must(r.t, repo.AddTarget(&notaryclient.Target{Name: tag, Hashes: data.Hashes{"sha256": bytes.Repeat([]byte{7}, 32)}, Length: 1}, data.CanonicalTargetsRole))
	must(r.t, repo.Publish())
}

func (r *rig) get(path string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.url+path, nil)
	must(r.t, err)
	res, err := http.DefaultTransport.RoundTrip(req)
	must(r.t, err)
	defer res.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(res.Body)
	must(r.t, err)
	return res.StatusCode, b.String()
}

// version is that of a role's latest metadata.
func (r *rig) version(role string) int {
	r.t.Helper()
	status, text := r.get("/v2/" + gun.String() + "/_trust/tuf/" + role + ".json")
	var m data.SignedMeta
	if status != http.StatusOK {
		r.t.Fatalf("%s: %d %s", role, status, text)
	}
	must(r.t, json.Unmarshal([]byte(text), &m))
	return m.Signed.Version
}

func TestTimestampsAreRenewed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, make func(...store.Schema) *store.Store) {
		r := newRig(t, make(registry.Schema(), Schema()))
		repo := r.open(t.TempDir(), gun)
		r.initialize(repo, "1")
		timestamp, snapshot := r.version("timestamp"), r.version("snapshot")
		if again := r.version("timestamp"); again != timestamp {
			t.Errorf("%d, then %d", timestamp, again)
		}
		r.now = r.now.Add(14*24*time.Hour - time.Minute)
		if got := r.version("timestamp"); got != timestamp+1 {
			t.Errorf("the timestamp ends, and its version is %d, want %d", got, timestamp+1)
		}
		if got := r.version("snapshot"); got != snapshot {
			t.Errorf("the snapshot does not end, and its version is %d, want %d", got, snapshot)
		}
		if _, err := r.open(t.TempDir(), gun).GetTargetByName("1"); err != nil {
			t.Error(err)
		}
		r.now = r.now.Add(3 * 365 * 24 * time.Hour)
		r.version("timestamp")
		if got := r.version("snapshot"); got <= snapshot {
			t.Errorf("the snapshot ends, and its version is still %d", got)
		}
	})
}

func TestKeysOfTheHub(t *testing.T) {
	storetest.Each(t, func(t *testing.T, make func(...store.Schema) *store.Store) {
		r := newRig(t, make(registry.Schema(), Schema()))
		at := "/v2/" + gun.String() + "/_trust/tuf/timestamp.key"
		_, first := r.get(at)
		if _, again := r.get(at); again != first {
			t.Errorf("another key each time: %s %s", first, again)
		}
		repo := r.open(t.TempDir(), gun)
		r.initialize(repo, "1")
		if _, after := r.get(at); after != first {
			t.Errorf("the root names %s, and the key is %s", first, after)
		}
		// notary key rotate: a new key, and a root that names it.
		must(t, repo.RotateKey(data.CanonicalTimestampRole, true, nil))
		if _, rotated := r.get(at); rotated == first {
			t.Error("the key is the same after it was rotated")
		}
		r.sign(repo, "2")
		var keys int
		must(t, r.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM tuf_key`).Scan(&keys))
		if keys != 2 {
			t.Errorf("the hub keeps %d keys, want those of snapshot and timestamp", keys)
		}
		// Who knew the old root walks to the new one.
		if _, err := r.open(t.TempDir(), gun).ListTargets(); err != nil {
			t.Error(err)
		}
	})
}

func TestVersionsThatAreKept(t *testing.T) {
	storetest.Each(t, func(t *testing.T, make func(...store.Schema) *store.Store) {
		r := newRig(t, make(registry.Schema(), Schema()))
		repo := r.open(t.TempDir(), gun)
		r.initialize(repo, "0")
		for i := range keptOlder + 2 {
			r.sign(repo, fmt.Sprint(i+1))
		}
		var n int
		must(t, r.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM tuf_meta WHERE role = 'targets'`).Scan(&n))
		if n != keptOlder {
			t.Errorf("%d versions of targets are kept, want %d", n, keptOlder)
		}
		if err := r.db.Tx(t.Context(), func(tx *store.Tx) error {
			tag, err := Held(tx, "p/app", "", []string{"x", "3"})
			if err != nil || tag != "3" {
				t.Errorf("%q %v", tag, err)
			}
			tag, err = Held(tx, "p/app", "sha256:"+hex.EncodeToString(bytes.Repeat([]byte{7}, 32)), nil)
			if err != nil || tag == "" {
				t.Errorf("%q %v", tag, err)
			}
			tag, err = Held(tx, "p/other", "", []string{"3"})
			if err != nil || tag != "" {
				t.Errorf("%q %v", tag, err)
			}
			_, err = tx.Exec(`DELETE FROM project`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		must(t, r.db.QueryRow(t.Context(), `SELECT (SELECT COUNT(*) FROM tuf_meta) + (SELECT COUNT(*) FROM tuf_key) + (SELECT COUNT(*) FROM tuf_target)`).Scan(&n))
		if n != 0 {
			t.Errorf("a project is gone, and %d rows are left", n)
		}
	})
}

func TestARepositoryHasOneName(t *testing.T) {
	storetest.Each(t, func(t *testing.T, make func(...store.Schema) *store.Store) {
		r := newRig(t, make(registry.Schema(), Schema()))
		r.initialize(r.open(t.TempDir(), gun), "1")
		other := r.open(t.TempDir(), "p/app")
		key, err := other.GetCryptoService().Create(data.CanonicalRootRole, "", data.ECDSAKey)
		must(t, err)
		if err := other.Initialize([]string{key.ID()}, data.CanonicalSnapshotRole); err == nil {
			err = other.Publish()
			if err == nil || !strings.Contains(err.Error(), "hub.example.com/p/app") {
				t.Error(err)
			}
		}
	})
}

func TestPathsThatAreFiles(t *testing.T) {
	sum := strings.Repeat("0a", 32)
	for path, want := range map[string]file{
		"root.json":                    {role: "root"},
		"3.root.json":                  {role: "root", version: 3},
		"snapshot." + sum + ".json":    {role: "snapshot", sum: sum},
		"targets/a/b." + sum + ".json": {role: "targets/a/b", sum: sum},
		"targets/releases.json":        {role: "targets/releases"},
		"timestamp.key":                {role: "timestamp", key: true},
	} {
		if got, ok := parseFile(path); !ok || got != want {
			t.Errorf("%s: %+v %v", path, got, ok)
		}
	}
	for _, path := range []string{"root", "rot.json", "root.key", "0.root.json", "targets/.json", "targets/a b.json", "../root.json", "targets.key", "-1.root.json", ""} {
		if got, ok := parseFile(path); ok {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

// FuzzUpload reads forms, and the metadata in them, as far as no key is needed.
func FuzzUpload(f *testing.F) {
	for _, content := range []string{`{"signed":{"_type":"Root","version":1,"expires":"2030-01-01T00:00:00Z","keys":{},"roles":{"root":{"keyids":["a"],"threshold":1}}},"signatures":[]}`,
		`{"signed":{"version":1}}`, `{}`, `x`} {
		for _, role := range []string{"root", "targets", "targets/releases", "snapshot"} {
			f.Add("--x\r\nContent-Disposition: form-data; name=\"files\"; filename=\"" + role + "\"\r\n\r\n" + content + "\r\n--x--\r\n")
		}
	}
	f.Add("--x--\r\n")
	f.Fuzz(func(t *testing.T, body string) {
		updates, err := readUpload("multipart/form-data; boundary=x", strings.NewReader(body))
		if err != nil {
			return
		}
		b := tuf.NewRepoBuilder(gun, nil, trustpinning.TrustPinConfig{})
		for _, u := range updates {
			if u.version < 1 || len(u.role) > maxRoleName || len(u.content) > mostBytes(u.role) {
				t.Errorf("%+v", u)
			}
			if b.Load(u.role, u.content, 1, false) == nil && u.role != data.CanonicalRootRole {
				t.Errorf("%s without a root", u.role)
			}
		}
	})
}
