package hub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

// command runs vic-hub beside the hub and reads its JSON into v, unless v is nil.
func (w *world) command(want int, v any, args ...string) (stdout, stderr string) {
	w.t.Helper()
	if v != nil {
		args = append(args, "--output", "json")
	}
	if !slices.Contains(args, "--config") {
		args = append(args, "--config", filepath.Join(w.dir, "hub.toml"))
	}
	var out, errs bytes.Buffer
	if code := Main("test", args, &out, &errs); code != want {
		w.t.Errorf("%v: exit code %d, want %d: %s%s", args, code, want, out.String(), errs.String())
	}
	if v != nil {
		if err := json.Unmarshal(out.Bytes(), v); err != nil {
			w.t.Errorf("%v: %v in %q", args, err, out.String())
		}
	}
	return out.String(), errs.String()
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	must(w.t, w.hub.db.Tx(w.t.Context(), func(tx *store.Tx) error {
		n, err := tx.Exec(query, args...)
		if err == nil && n == 0 {
			err = fmt.Errorf("%s changed nothing", query)
		}
		return err
	}))
}

// objects are the files in the storage.
func (w *world) objects() (all []string) {
	w.t.Helper()
	must(w.t, filepath.WalkDir(w.cfg.Storage.Folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			all = append(all, path)
		}
		return err
	}))
	return all
}

// pushBlob pushes content that no manifest needs, and returns when it is there.
func (w *world) pushBlob(content string) {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, "people", "first-password"))
	must(w.t, err)
	path := "/v2/default-project/app/blobs/uploads/?digest=" + digest.FromString(content).String()
	within(w.t, "the first administrator may push", func() bool {
		header, status := w.bearer("admin@local", strings.TrimSpace(string(text)), "repository:default-project/app:pull,push")
		if status != 200 {
			return false
		}
		status, _, _ = w.do("POST", path, header, "application/octet-stream", content)
		return status == 201
	})
}

type fsckJSON struct {
	OK                            bool
	Objects, Blobs, Bytes, Faults int
	First                         []struct{ Kind, What string }
}

type gcJSON struct {
	DryRun                        bool `json:"dry_run"`
	Objects, Bytes, Blobs, Failed int
}

// TestCommandsBesideARunningHub runs them on the database and the storage of a hub that serves meanwhile.
func TestCommandsBesideARunningHub(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, kind)
			within(t, "ready", func() bool { status, _, _ := w.do("GET", "/readyz", "", "", ""); return status == 200 })
			const content = "hello hub"
			w.pushBlob(content)
			var health fsckJSON
			w.command(0, &health, "fsck", "--hash")
			if !health.OK || health.Objects != 1 || health.Blobs != 1 || health.Bytes != len(content) || health.First == nil {
				t.Errorf("%+v", health)
			}
			if out, _ := w.command(0, nil, "fsck"); out != "1 objects in the storage, 1 blobs of 9 bytes: no fault\n" {
				t.Error(out)
			}

			// The collector: leaves what is young, tells what would go of what is not, and removes it.
			var did gcJSON
			for _, args := range [][]string{{"gc", "--dry-run"}, {"gc"}} {
				w.command(0, &did, args...)
				if did.DryRun != (len(args) == 2) || did.Blobs != 0 || did.Objects != 0 || len(w.objects()) != 1 {
					t.Errorf("%v: %+v, objects %v", args, did, w.objects())
				}
			}
			object := w.objects()[0]
			w.exec(`UPDATE review SET due = 0`)
			w.command(0, &did, "gc", "--dry-run")
			if !did.DryRun || did.Objects != 1 || did.Bytes != len(content) || len(w.objects()) != 1 {
				t.Errorf("%+v, objects %v", did, w.objects())
			}
			if out, _ := w.command(0, nil, "gc", "--dry-run"); !strings.HasPrefix(out, "of what is due now, this and later runs would remove 1 objects of 9 bytes") {
				t.Error(out)
			}
			w.command(0, &did, "gc")
			w.exec(`UPDATE trash SET due = 0`)
			out, _ := w.command(0, nil, "gc")
			if did.Blobs != 1 || !strings.HasPrefix(out, "removed 1 objects of 9 bytes") || len(w.objects()) != 0 {
				t.Errorf("%+v, %s, objects %v", did, out, w.objects())
			}

			// What the check finds.
			w.pushBlob(content)
			must(t, os.WriteFile(w.objects()[0], []byte("hello hu8"), 0o600))
			w.command(0, nil, "fsck")
			if out, _ := w.command(1, nil, "fsck", "--hash"); !strings.HasSuffix(out, ": 1 faults\n") {
				t.Error(out)
			}
			must(t, os.Remove(w.objects()[0]))
			must(t, os.MkdirAll(filepath.Dir(object), 0o700))
			must(t, os.WriteFile(object+"x", nil, 0o600))
			w.command(1, &health, "fsck")
			if health.OK || health.Faults != 2 || len(health.First) != 2 || health.First[0].Kind == "" || health.First[0].What == "" {
				t.Errorf("%+v", health)
			}
		})
	}
}

func TestAuditVerifyTellsAChangedLine(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, kind)
			var seen struct {
				OK              bool
				Lines, Unsealed int
				Head, Fault     string
			}
			for i := range 3 {
				w.exec(`INSERT INTO audit_line (at, caller, caller_kind, address, agent, operation, resource_type, resource, project, outcome, detail)
					VALUES ($1, 'alice', 'password', '', '', 'create', 'project', 'p', 0, 201, '')`, i+1)
			}
			_, err := w.hub.audit.SealNow(t.Context())
			must(t, err)
			w.command(0, &seen, "audit", "verify")
			if !seen.OK || seen.Lines != 3 || !strings.HasPrefix(seen.Head, "3:") || seen.Unsealed != 0 {
				t.Errorf("%+v", seen)
			}
			if out, _ := w.command(0, nil, "audit", "verify"); !strings.Contains(out, "3 lines are as they were written") || !strings.Contains(out, seen.Head) {
				t.Error(out)
			}
			noted := seen.Head
			w.command(0, nil, "audit", "verify", "--head", noted)
			w.command(0, nil, "audit", "verify", "--head", "0:"+strings.Repeat("00", 32))
			for head, want := range map[string]string{"4" + noted[1:]: "it ends with line 3", "2" + noted[1:]: "made anew"} {
				if out, _ := w.command(1, nil, "audit", "verify", "--head", head); !strings.Contains(out, want) {
					t.Errorf("%s: %s, want %q", head, out, want)
				}
			}
			if _, errs := w.command(2, nil, "audit", "verify", "--head", "3:xy"); !strings.Contains(errs, "NUMBER:HASH") {
				t.Error(errs)
			}
			w.exec(`UPDATE audit_line SET caller = 'bob' WHERE seq = 2`)
			if out, _ := w.command(1, nil, "audit", "verify"); !strings.Contains(out, "line 2 of") || !strings.Contains(out, "1 lines follow") {
				t.Error(out)
			}
			w.exec(`DELETE FROM audit_line WHERE seq = 2`)
			w.command(1, &seen, "audit", "verify")
			if seen.OK || !strings.Contains(seen.Fault, "line 2 is missing") {
				t.Errorf("%+v", seen)
			}

			// Somebody makes the chain anew: only the noted head tells.
			w.exec(`UPDATE audit_line SET seq = NULL, hash = NULL`)
			w.exec(`UPDATE audit_chain SET last_seq = 0, last_hash = first_hash`)
			w.exec(`INSERT INTO audit_line (at, caller, caller_kind, address, agent, operation, resource_type, resource, project, outcome, detail)
				VALUES (9, 'eve', 'password', '', '', 'create', 'project', 'p', 0, 201, '')`)
			_, err = w.hub.audit.SealNow(t.Context())
			must(t, err)
			w.command(0, nil, "audit", "verify")
			if out, _ := w.command(1, nil, "audit", "verify", "--head", noted); !strings.Contains(out, "made anew") {
				t.Error(out)
			}
		})
	}
}

func TestWhatStopsACommandSaysSo(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	good := file("hub.toml", fmt.Sprintf("data = %q\n[roles]\nauth = 'local'\n", filepath.Join(dir, "data")))
	away := file("away.toml", fmt.Sprintf("data = %q\n[roles]\nauth = 'local'\n[database]\nurl = 'postgres://127.0.0.1:1/hub'\n", filepath.Join(dir, "data")))
	broken := file("broken.toml", "data = 1")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no command":               {nil, "vic-hub fsck"},
		"an unknown one":           {[]string{"fly"}, "vic-hub fsck"},
		"audit without a verb":     {[]string{"audit"}, "vic-hub audit verify"},
		"audit with another verb":  {[]string{"audit", "burn"}, "vic-hub audit verify"},
		"an unknown option":        {[]string{"gc", "--fast"}, "-fast"},
		"an argument":              {[]string{"fsck", "now", "--config", good}, `"now" is no option`},
		"an output":                {[]string{"fsck", "--output", "xml", "--config", good}, `"xml" is neither text nor json`},
		"no configuration":         {[]string{"fsck", "--config", filepath.Join(dir, "nothing.toml")}, "nothing.toml"},
		"a wrong configuration":    {[]string{"gc", "--config", broken}, "broken.toml"},
		"a hub that never started": {[]string{"gc", "--config", good}, "there is no database at " + filepath.Join(dir, "data", "hub.db")},
		"a database that is away":  {[]string{"audit", "verify", "--config", away}, "127.0.0.1"},
	} {
		var out, errs bytes.Buffer
		if code := Main("test", c.args, &out, &errs); code != exitUnknown || !strings.Contains(errs.String(), c.want) || out.Len() > 0 {
			t.Errorf("%s: exit code %d, %q, %q, want %q", name, code, out.String(), errs.String(), c.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		t.Error("a command made a hub's folder")
	}
}

type keptJSON struct {
	Needs         string `json:"needs_seal_key"`
	Name          string
	Objects, Rows int
	Copied        int
	Tables        map[string]struct{ Digest string }
	Faults        struct{ Count int }
}

// TestAHubIsBackedUpRestoredAndMoved does so by the commands, while it serves where that may be, and pulls afterwards.
func TestAHubIsBackedUpRestoredAndMoved(t *testing.T) {
	w := newWorld(t, "sqlite")
	within(t, "ready", func() bool { status, _, _ := w.do("GET", "/readyz", "", "", ""); return status == 200 })
	w.pushBlob("hello hub")
	dir := filepath.Join(w.dir, "backups")
	var a, b, c keptJSON
	w.command(0, &a, "backup", "--to", dir)
	w.command(0, &b, "backup", "--to", dir, "--keep", "1")
	if a.Objects != 1 || a.Copied != 1 || b.Copied != 0 || a.Name == b.Name || b.Faults.Count != 0 {
		t.Errorf("%+v %+v", a, b)
	}
	archive := filepath.Join(w.dir, "hub.tar")
	if out, _ := w.command(0, nil, "backup", "--to", archive); !strings.Contains(out, "1 objects of 9 bytes") {
		t.Error(out)
	}

	// What serves is not written over, and a second hub on its database says why it ends.
	_, errs := w.command(2, nil, "restore", "--from", dir)
	if !strings.Contains(errs, "in use by another vic-hub") {
		t.Error(errs)
	}
	second := w.cfg
	if _, err := New(t.Context(), second, "test", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "in use by another vic-hub (process "+fmt.Sprint(os.Getpid())) {
		t.Errorf("a second hub: %v", err)
	}

	// another is a configuration for the data in another folder and database.
	text, err := os.ReadFile(filepath.Join(w.dir, "hub.toml"))
	must(t, err)
	another := func(name, kind string) config.Hub {
		moved := strings.ReplaceAll(string(text), filepath.Join(w.dir, "data"), filepath.Join(w.dir, name))
		moved = strings.ReplaceAll(moved, w.cfg.Database.URL, storetest.URL(t, kind))
		must(t, os.WriteFile(filepath.Join(w.dir, name+".toml"), []byte(moved), 0o600))
		cfg, err := config.ParseHub(name, moved)
		must(t, err)
		return cfg
	}
	another("new", "postgres")
	must(t, os.MkdirAll(filepath.Join(w.dir, "new"), 0o700))
	key, err := os.ReadFile(filepath.Join(w.cfg.Data, "seal.key"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(w.dir, "new", "seal.key"), key, 0o600))
	w.command(0, &c, "restore", "--from", dir, "--config", filepath.Join(w.dir, "new.toml"))
	if len(c.Tables) == 0 || c.Tables["blob"] != b.Tables["blob"] || c.Objects != 1 {
		t.Errorf("%+v, want %+v", c, b)
	}
	third := another("third", "sqlite")
	w.command(0, &c, "restore", "--from", archive, "--config", filepath.Join(w.dir, "third.toml"))
	if c.Needs == "" {
		t.Error("nobody is told that the secrets do not open there")
	}
	if h, err := New(t.Context(), third, "test", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "seal.key is not there") {
		t.Errorf("a hub with sealed secrets and no key: %v", err)
		if err == nil {
			h.close()
		}
	}
	if _, err := os.Stat(filepath.Join(third.Data, "seal.key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another key was made: %v", err)
	}

	moved := another("moved", "postgres")
	if _, errs := w.command(2, nil, "move", "--to", filepath.Join(w.dir, "moved.toml")); !strings.Contains(errs, "in use by another vic-hub") {
		t.Error(errs)
	}
	w.command(0, nil, "move", "--to", filepath.Join(w.dir, "moved.toml"), "--content-only")
	w.stop()
	w.command(0, &c, "move", "--to", filepath.Join(w.dir, "moved.toml"))
	if c.Copied != 0 || c.Objects != 1 {
		t.Errorf("%+v", c)
	}
	w.cfg = moved
	w.start()
	within(t, "ready", func() bool { status, _, _ := w.do("GET", "/readyz", "", "", ""); return status == 200 })
	var m struct{ Token string }
	_, _, body := w.do("GET", "/service/token?service=vic-hub&scope=repository:default-project/app:pull", "", "", "")
	must(t, json.Unmarshal([]byte(body), &m))
	if status, _, body := w.do("GET", "/v2/default-project/app/blobs/"+digest.FromString("hello hub").String(), "Bearer "+m.Token, "", ""); status != 200 || body != "hello hub" {
		t.Errorf("after the move: %d %s", status, body)
	}
}
