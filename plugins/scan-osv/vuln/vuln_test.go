package vuln

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openvic/vic/plugins/scan-osv/imagetest"
	"github.com/openvic/vic/plugins/scan-osv/inventory"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openDB(t testing.TB) *DB {
	t.Helper()
	dir := t.TempDir()
	d, err := Open(filepath.Join(dir, "osv.db"), dir)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

func source(ecosystem string, data []byte) Source {
	sum := sha256.Sum256(data)
	return Source{Ecosystem: ecosystem, SHA256: hex.EncodeToString(sum[:]), Data: bytes.NewReader(data)}
}

func load(t testing.TB, d *DB, ecosystem string, list ...imagetest.Record) scan.Database {
	t.Helper()
	db, err := d.Import(t.Context(), source(ecosystem, imagetest.Zip(t, list...)))
	must(t, err)
	return db
}

func find(t testing.TB, d *DB, l inventory.Lookup) []scan.Finding {
	t.Helper()
	s, err := d.Snapshot(t.Context())
	must(t, err)
	defer s.Close()
	list, err := s.Find(t.Context(), l)
	must(t, err)
	return list
}

const (
	critical = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" // 9.8
	low      = "CVSS:3.0/AV:L/AC:H/PR:L/UI:N/S:U/C:L/I:N/A:N" // 2.5
	four     = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
)

func TestSeverityIsTheDistributionsWordThenCVSSThenTheDatabases(t *testing.T) {
	for name, c := range map[string]struct {
		record string
		want   scan.Severity
		source string
	}{
		"unimportant, whatever CVSS says": {`{"severity": [{"type": "CVSS_V3", "score": "` + critical + `"}],
			"affected": [{"package": {"ecosystem": "Debian:12", "name": "a"},
			"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}], "ecosystem_specific": {"urgency": "unimportant"}}]}`, scan.Negligible, "debian"},
		"not yet assigned is no word": {`{"severity": [{"type": "CVSS_V3", "score": "` + critical + `"}],
			"affected": [{"package": {"ecosystem": "Debian:12", "name": "a"},
			"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}], "ecosystem_specific": {"urgency": "not yet assigned"}}]}`, scan.Critical, "cvss"},
		"Ubuntu's priority": {`{"severity": [{"type": "Ubuntu", "score": "medium"}], "affected": [{"package": {"ecosystem": "Ubuntu:22.04:LTS", "name": "a"},
			"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}]}`, scan.Medium, "ubuntu"},
		"CVSS 4 before 3": {`{"severity": [{"type": "CVSS_V3", "score": "` + low + `"}, {"type": "CVSS_V4", "score": "` + four + `"}],
			"affected": [{"package": {"ecosystem": "npm", "name": "a"}, "versions": ["1"]}]}`, scan.Critical, "cvss"},
		"the package's own CVSS first": {`{"severity": [{"type": "CVSS_V3", "score": "` + critical + `"}], "affected": [{"package": {"ecosystem": "npm", "name": "a"},
			"severity": [{"type": "CVSS_V3", "score": "` + low + `"}], "versions": ["1"]}]}`, scan.Low, "cvss"},
		"the database's word": {`{"severity": [{"type": "CVSS_V3", "score": "nonsense"}],
			"affected": [{"package": {"ecosystem": "npm", "name": "a"}, "versions": ["1"]}],
			"database_specific": {"severity": "MODERATE"}}`, scan.Medium, "database"},
		"nobody knows": {`{"affected": [{"package": {"ecosystem": "npm", "name": "a"}, "versions": ["1"]}], "database_specific": "text"}`, scan.Unknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := `{"id": "X-1", ` + strings.TrimPrefix(c.record, "{")
			base := "npm"
			for _, distribution := range []string{"Debian", "Ubuntu"} {
				if strings.Contains(text, distribution+":") {
					base = distribution
				}
			}
			_, _, rows, _, err := parse([]byte(text), base)
			must(t, err)
			if len(rows) != 1 || rows[0].Severity != c.want || rows[0].Source != c.source {
				t.Errorf("%+v, want %v by %q", rows, c.want, c.source)
			}
		})
	}
}

func TestVersionsAreComparedByTheRulesOfTheirEcosystem(t *testing.T) {
	from0 := func(fixed string) []span {
		return []span{{Type: "ECOSYSTEM", Events: []event{{Introduced: "0"}, {Fixed: fixed}}}}
	}
	twice := []span{{Type: "SEMVER", Events: []event{{Fixed: "2.5.0"}, {Introduced: "2.0.0"}, {Fixed: "1.2.0"}, {Introduced: "0"}}}} // out of order
	for _, c := range []struct {
		ecosystem, version string
		of                 affected
		hit                bool
		fixed              string
	}{
		{"Debian:12", "1.0~rc1-1", affected{Spans: from0("1.0-1")}, true, "1.0-1"},
		{"Debian:12", "1:0.1", affected{Spans: from0("9.9")}, false, ""},
		{"Alpine:v3.20", "1.2.3-r4", affected{Spans: from0("1.2.3-r10")}, true, "1.2.3-r10"},
		{"Rocky Linux:9", "3.0.7-24.el9", affected{Spans: from0("1:3.0.7-6.el9")}, true, "1:3.0.7-6.el9"},
		{"PyPI", "1.0.post1", affected{Spans: from0("1.0")}, false, ""},
		{"npm", "1.0.0-beta", affected{Spans: from0("1.0.0")}, true, "1.0.0"},
		{"npm", "1.1.0", affected{Spans: twice}, true, "1.2.0"},
		{"npm", "1.2.0", affected{Spans: twice}, false, ""},
		{"npm", "2.1.0", affected{Spans: twice}, true, "2.5.0"},
		{"npm", "2.5.0", affected{Spans: twice}, false, ""},
		{"Go", "1.2.3", affected{Spans: []span{{Type: "SEMVER", Events: []event{{Introduced: "1.0.0"}, {LastAffected: "1.2.3"}}}}}, true, ""},
		{"Go", "1.2.4", affected{Spans: []span{{Type: "SEMVER", Events: []event{{Introduced: "1.0.0"}, {LastAffected: "1.2.3"}}}}}, false, ""},
		{"PyPI", "weird version", affected{Versions: []string{"weird version"}}, true, ""},
		{"PyPI", "1.1", affected{Versions: []string{"1.0"}}, false, ""},
	} {
		if hit, fixed := c.of.hits(c.version, c.ecosystem); hit != c.hit || fixed != c.fixed {
			t.Errorf("%s %s in %+v: %v, fixed in %q", c.ecosystem, c.version, c.of, hit, fixed)
		}
	}
}

func TestRecordsAboutOneCVEAreOneFinding(t *testing.T) {
	d := openDB(t)
	load(t, d, "Debian",
		imagetest.Record{ID: "DEBIAN-CVE-2026-1", Ecosystem: "Debian:12", Package: "a", Upstream: []string{"CVE-2026-1"}, Urgency: "low"},
		imagetest.Record{ID: "DSA-1-1", Ecosystem: "Debian:12", Package: "a", Upstream: []string{"CVE-2026-1", "CVE-2026-2"}, Fixed: "2"},
		imagetest.Record{ID: "DSA-2-1", Ecosystem: "Debian:12", Package: "a", Fixed: "3"},
		imagetest.Record{ID: "DEBIAN-CVE-2026-3", Ecosystem: "Debian:12", Package: "a", Upstream: []string{"CVE-2026-3"}, Withdrawn: true},
		imagetest.Record{ID: "DEBIAN-CVE-2026-4", Ecosystem: "Debian:11", Package: "a", Upstream: []string{"CVE-2026-4"}})
	got := find(t, d, inventory.Lookup{Ecosystem: "Debian:12", Name: "a", Version: "1"})
	var ids []string
	for _, f := range got {
		ids = append(ids, fmt.Sprint(f.ID, " ", f.FixedIn, " ", f.Severity, " ", f.SeveritySource))
	}
	want := []string{"CVE-2026-1 2 Low debian", "CVE-2026-2 2 Unknown ", "DSA-2-1 3 Unknown "}
	if !slices.Equal(ids, want) {
		t.Errorf("got %q, want %q", ids, want)
	}
	if !slices.Equal(got[0].Aliases, []string{"DEBIAN-CVE-2026-1", "DSA-1-1"}) || !slices.Contains(got[0].Links, "https://osv.dev/vulnerability/DSA-1-1") {
		t.Errorf("%+v", got[0])
	}
}

func TestChangesTellWhoseRecordsChanged(t *testing.T) {
	d := openDB(t)
	a := imagetest.Record{ID: "GHSA-1", Ecosystem: "npm", Package: "@scope/a"}
	b := imagetest.Record{ID: "GHSA-2", Ecosystem: "npm", Package: "b"}
	first := load(t, d, "npm", a, b)
	b.Fixed = "2.0.0"
	second := load(t, d, "npm", a, b)
	third := load(t, d, "npm", b)
	fourth := load(t, d, "Debian", imagetest.Record{ID: "DEBIAN-CVE-2026-1", Ecosystem: "Debian:12", Package: "c"})
	for since, want := range map[string][]string{
		first.Version:  {"pkg:deb/debian/c", "pkg:npm/%40scope/a", "pkg:npm/b"},
		second.Version: {"pkg:deb/debian/c", "pkg:npm/%40scope/a"},
		third.Version:  {"pkg:deb/debian/c"},
		fourth.Version: nil,
	} {
		got, err := d.Changes(t.Context(), since)
		must(t, err)
		if got.All || got.Version != fourth.Version || !slices.Equal(got.Packages, want) {
			t.Errorf("%+v, want %q", got, want)
		}
	}
}

func TestDataThatComeBackAreTheSameVersion(t *testing.T) {
	d := openDB(t)
	a, b := imagetest.Record{ID: "GHSA-1", Ecosystem: "npm", Package: "a"}, imagetest.Record{ID: "GHSA-2", Ecosystem: "npm", Package: "b"}
	first := load(t, d, "npm", a)
	other := load(t, d, "npm", b)
	again := load(t, d, "npm", a)
	if first.Version != again.Version || other.Version == first.Version {
		t.Errorf("versions %q, %q, %q", first.Version, other.Version, again.Version)
	}
	got, err := d.Changes(t.Context(), other.Version)
	must(t, err)
	if !slices.Equal(got.Packages, []string{"pkg:npm/a", "pkg:npm/b"}) {
		t.Errorf("changes %+v", got)
	}
}

// archive makes a zip of files.
func archive(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for name, text := range files {
		f, err := w.Create(name)
		must(t, err)
		_, err = f.Write([]byte(text))
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}

func TestArchivesThatAreRefusedChangeNothing(t *testing.T) {
	d := openDB(t)
	before := load(t, d, "npm", imagetest.Record{ID: "GHSA-1", Ecosystem: "npm", Package: "a"})
	good := string(imagetest.Record{ID: "GHSA-2", Ecosystem: "npm", Package: "b"}.JSON(t))
	for name, c := range map[string]struct {
		source Source
		class  error
	}{
		"no archive":                {source("npm", []byte("text")), errdef.ErrInvalid},
		"no record":                 {source("npm", archive(t, map[string]string{"a.txt": "x"})), errdef.ErrInvalid},
		"records of others":         {source("PyPI", archive(t, map[string]string{"a.json": good})), errdef.ErrInvalid},
		"a broken record":           {source("npm", archive(t, map[string]string{"a.json": good, "b.json": "{"})), errdef.ErrInvalid},
		"a record without an ID":    {source("npm", archive(t, map[string]string{"a.json": good, "b.json": "{}"})), errdef.ErrInvalid},
		"a bomb":                    {source("npm", archive(t, map[string]string{"a.json": good + strings.Repeat(" ", maxRecord)})), errdef.ErrInvalid},
		"an ecosystem of nobody":    {source("Amiga", archive(t, map[string]string{"a.json": good})), errdef.ErrUnsupported},
		"a record with many events": {source("npm", archive(t, map[string]string{"a.json": manyEvents()})), errdef.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := d.Import(t.Context(), c.source); !errors.Is(err, c.class) {
				t.Errorf("Import: %v, not %v", err, c.class)
			}
			now, err := d.State(t.Context())
			must(t, err)
			if now.Version != before.Version || len(find(t, d, inventory.Lookup{Ecosystem: "npm", Name: "a", Version: "1.0.0"})) != 1 {
				t.Error("the data have changed")
			}
		})
	}
}

func manyEvents() string {
	events := strings.Repeat(`{"introduced": "1"},`, maxEvents+1)
	return `{"id": "X-1", "affected": [{"package": {"ecosystem": "npm", "name": "a"}, "ranges": [{"type": "SEMVER", "events": [` +
		strings.TrimSuffix(events, ",") + `]}]}]}`
}

func TestSnapshotIsOfOneMoment(t *testing.T) {
	d := openDB(t)
	load(t, d, "npm", imagetest.Record{ID: "GHSA-1", Ecosystem: "npm", Package: "a"})
	s, err := d.Snapshot(t.Context())
	must(t, err)
	defer s.Close()
	load(t, d, "npm", imagetest.Record{ID: "GHSA-2", Ecosystem: "npm", Package: "a"})
	old, err := s.Find(context.Background(), inventory.Lookup{Ecosystem: "npm", Name: "a", Version: "1.0.0"})
	must(t, err)
	now := find(t, d, inventory.Lookup{Ecosystem: "npm", Name: "a", Version: "1.0.0"})
	if len(old) != 1 || old[0].ID != "GHSA-1" || len(now) != 1 || now[0].ID != "GHSA-2" {
		t.Errorf("old %+v, now %+v", old, now)
	}
}

// Images with many versions of a kernel are matched in little memory: each version has thousands of findings with long texts.
func TestWhatIsRememberedIsBoundedInBytes(t *testing.T) {
	const records, versions, text = 500, 40, 8 << 10
	files := map[string]string{}
	for i := range records {
		files[fmt.Sprint(i, ".json")] = fmt.Sprintf(`{"id":"DEBIAN-CVE-2024-%d","details":%q,"affected":[{"package":{"ecosystem":"Debian:12","name":"linux"},
			"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]}]}`, i, strings.Repeat("x", text))
	}
	d := openDB(t)
	_, err := d.Import(t.Context(), source("Debian", archive(t, files)))
	must(t, err)
	s, err := d.Snapshot(t.Context())
	must(t, err)
	defer s.Close()
	for v := range versions {
		list, err := s.Find(t.Context(), inventory.Lookup{Ecosystem: "Debian:12", Name: "linux", Version: fmt.Sprintf("6.1.%d-1", v)})
		if must(t, err); len(list) != records {
			t.Fatalf("%d findings", len(list))
		}
	}
	held := 0
	for _, list := range s.mem.found {
		for _, f := range list {
			held += len(f.Description)
		}
	}
	if held == 0 || held > maxRemembered {
		t.Errorf("%d bytes of text are remembered", held)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(string(imagetest.Record{ID: "DEBIAN-CVE-2026-1", Ecosystem: "Debian:12",
		Package: "a", Fixed: "1", Upstream: []string{"CVE-2026-1"}, Vector: critical}.JSON(f)), "Debian", "1.0-1")
	f.Add(string(imagetest.Record{ID: "GHSA-1", Ecosystem: "npm", Package: "a", Fixed: "1.0.0", Word: "HIGH"}.JSON(f)), "npm", "0.1.0-beta.1+x")
	f.Add(`{"id": "PYSEC-1", "affected": [{"package": {"ecosystem": "PyPI", "name": "A_b"}, "versions": ["1.0"], "ranges": [{"type": "GIT"}]}]}`,
		"PyPI", "1!2.0rc1.post3.dev4+l")
	f.Add(
		`{"id": "A-1", "affected": [{"package": {"ecosystem": "Alpine:v3.20", "name": "a"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"last_affected": "1_p2-r3"}]}]}]}`,
		"Alpine", "1.2a_rc3-r4")
	f.Fuzz(func(t *testing.T, text, ecosystem, version string) {
		if len(version) > scan.MaxName {
			version = version[:scan.MaxName]
		}
		id, a, rows, _, err := parse([]byte(text), ecosystem)
		if err != nil {
			if !errors.Is(err, errdef.ErrInvalid) {
				t.Errorf("%v is of another class", err)
			}
			return
		}
		for _, r := range rows {
			found, fixed := r.hits(version, r.ecosystem)
			if !found {
				continue
			}
			for _, one := range combine([]hit{{id: id, fixed: fixed, of: r.affected, about: a}}) {
				one.Package, one.Version = r.name, version
				if _, err := json.Marshal(one.Clip()); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

func FuzzImport(f *testing.F) {
	f.Add(imagetest.Zip(f, imagetest.Record{ID: "GHSA-1", Ecosystem: "npm", Package: "a"}))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		err = walk(t.Context(), r, func(_ string, data []byte) error {
			_, _, _, _, err := parse(data, "npm")
			return err
		})
		if err != nil && !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%v is of another class", err)
		}
	})
}
