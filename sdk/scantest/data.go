package scantest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

var errBroken = errors.New("the connection broke")

// broken is a reader that fails.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func sbom(t *testing.T, s *suite, format scan.Want, mark string) {
	w, _ := s.scan(t, s.Driver, s.request(format))
	var doc map[string]any
	if err := json.Unmarshal(w.Documents[format], &doc); err != nil || doc[mark] == nil {
		t.Fatalf("the SBOM has no %q: %v", mark, err)
	}
	for _, f := range s.Findings {
		if !bytes.Contains(w.Documents[format], []byte(`"`+f.Package+`"`)) {
			t.Errorf("the SBOM lacks %q", f.Package)
		}
	}
	if len(w.Found) != 0 || len(w.Documents) != 1 {
		t.Errorf("there are %d findings and %d documents that nobody wanted", len(w.Found), len(w.Documents)-1)
	}
}

func everything(t *testing.T, s *suite) {
	wants := s.wants()
	if len(wants) < 2 {
		t.Skip("the driver tells one thing")
	}
	w, _ := s.scan(t, s.Driver, s.request(wants...))
	for _, x := range wants {
		if x == scan.Vulnerability {
			see(t, w.Found, s.Findings...)
		} else if !json.Valid(w.Documents[x]) {
			t.Errorf("the document %s is no JSON", x)
		}
	}
}

// formats are the SBOMs that the driver makes, and so matches.
func (s *suite) formats() []scan.Want {
	return slices.DeleteFunc(s.wants(), func(w scan.Want) bool { return w == scan.Vulnerability })
}

func match(t *testing.T, s *suite) {
	for _, format := range s.formats() {
		w, r := s.scan(t, s.Driver, s.request(scan.Vulnerability, format))
		m := &watch{t: t}
		req := scan.MatchRequest{ID: "match-1", Format: format, SBOM: bytes.NewReader(w.Documents[format])}
		mr, err := s.Driver.Match(s.ctx(t), req, m)
		if err != nil {
			t.Fatalf("Match of %s: %v", format, err)
		}
		if !slices.Equal(keys(m.Found), keys(w.Found)) || mr.Database != r.Database {
			t.Errorf("%s: Match finds %q in %q, Scan %q in %q", format, keys(m.Found), mr.Database, keys(w.Found), r.Database)
		}
	}
}

func matchRefuses(t *testing.T, s *suite) {
	for _, format := range s.formats() {
		for name, c := range map[string]struct {
			sbom  io.Reader
			class error
		}{
			"no JSON":          {strings.NewReader("this is no SBOM"), errdef.ErrInvalid},
			"half of one":      {strings.NewReader(`{"packages": [`), errdef.ErrInvalid},
			"nothing":          {strings.NewReader(""), errdef.ErrInvalid},
			"a broken reader":  {broken{}, errBroken},
			"a missing reader": {io.MultiReader(strings.NewReader("{"), broken{}), errBroken},
		} {
			_, err := s.Driver.Match(s.ctx(t), scan.MatchRequest{ID: "match-1", Format: format, SBOM: c.sbom}, &watch{t: t})
			want(t, "Match: "+name, err, c.class)
		}
	}
	if s.Empty != nil && len(s.formats()) > 0 {
		req := scan.MatchRequest{ID: "match-1", Format: s.formats()[0], SBOM: strings.NewReader("{}")}
		_, err := s.Empty.Match(s.ctx(t), req, &watch{t: t})
		want(t, "Match without data", err, errdef.ErrConflict)
	}
}

// importing is a request with the fixture's data.
func (s *suite) importing() scan.ImportRequest {
	return scan.ImportRequest{Format: s.Format, Ecosystem: s.Ecosystem, SHA256: sum(s.Data), Data: bytes.NewReader(s.Data)}
}

// renewed demands the new data and the new finding.
func (s *suite) renewed(t *testing.T, before, after scan.Database) {
	t.Helper()
	if now := s.database(t); after.Version == before.Version || now.Version != after.Version {
		t.Errorf("the version was %q, became %q, and is %q", before.Version, after.Version, now.Version)
	}
	if s.has(scan.CapVulnerability) {
		w, _ := s.scan(t, s.Driver, s.request(scan.Vulnerability))
		see(t, w.Found, s.New)
	}
}

func imports(t *testing.T, s *suite) {
	before := s.database(t)
	after, err := s.Driver.Import(s.ctx(t), s.importing())
	if err != nil {
		t.Fatalf("Import: %v", err)
	}
	s.renewed(t, before, after)
	i := slices.IndexFunc(after.Ecosystems, func(e scan.Ecosystem) bool { return e.Name == s.Ecosystem })
	if i < 0 || after.Ecosystems[i].Records == 0 || after.Ecosystems[i].Updated.IsZero() {
		t.Errorf("the ecosystem %q is not among %+v", s.Ecosystem, after.Ecosystems)
	}
	again, err := s.Driver.Import(s.ctx(t), s.importing())
	if err != nil || again.Version != after.Version {
		t.Errorf("Import again: %q, %v, not %q", again.Version, err, after.Version)
	}
}

func importFails(t *testing.T, s *suite) {
	before := s.database(t)
	half := s.Data[:len(s.Data)/2]
	for name, c := range map[string]struct {
		change func(r *scan.ImportRequest)
		class  error
	}{
		"another hash":   {func(r *scan.ImportRequest) { r.SHA256 = sum(half) }, errdef.ErrInvalid},
		"half the data":  {func(r *scan.ImportRequest) { r.Data = bytes.NewReader(half) }, errdef.ErrInvalid},
		"no data of it":  {func(r *scan.ImportRequest) { r.Data, r.SHA256 = bytes.NewReader(half), sum(half) }, errdef.ErrInvalid},
		"a reader fails": {func(r *scan.ImportRequest) { r.Data = io.MultiReader(bytes.NewReader(half), broken{}) }, errBroken},
		"another format": {func(r *scan.ImportRequest) { r.Format = "no-such-format" }, errdef.ErrUnsupported},
	} {
		ctx, err := s.ctx(t), errdef.ErrConflict
		for errors.Is(err, errdef.ErrConflict) { // the plugin may not know yet that the sender of the one before has gone
			r := s.importing()
			c.change(&r)
			_, err = s.Driver.Import(ctx, r)
		}
		want(t, "Import: "+name, err, c.class)
		if now := s.database(t); now.Version != before.Version {
			t.Fatalf("%s: the version was %q and is %q", name, before.Version, now.Version)
		}
	}
}

func importsCollide(t *testing.T, s *suite) {
	r, w := io.Pipe()
	slow := s.importing()
	slow.Data = r
	done := make(chan error, 1)
	ctx := s.ctx(t)
	go func() {
		_, err := s.Driver.Import(ctx, slow)
		r.CloseWithError(err)
		done <- err
	}()
	if _, err := w.Write(s.Data[:1]); err != nil {
		t.Fatal(err)
	}
	for sent := 1; ; sent++ { // the first one's call has begun; which of the two comes to the driver first is open
		_, err := s.Driver.Import(ctx, s.importing())
		select {
		case first := <-done:
			want(t, "the Import that came second", first, errdef.ErrConflict)
			return
		default:
		}
		if errors.Is(err, errdef.ErrConflict) {
			break
		}
		if err != nil {
			t.Fatalf("Import while another is under way: %v", err)
		}
		if sent < len(s.Data)-1 { // a client that was refused sees it when its Read returns
			_, _ = w.Write(s.Data[sent : sent+1])
		}
	}
	w.CloseWithError(errBroken)
	want(t, "the Import that was under way", <-done, errBroken)
}

func update(t *testing.T, s *suite) {
	before := s.database(t)
	s.Mirror(t)
	w := &watch{t: t}
	after, err := s.Driver.Update(s.ctx(t), w.Progress)
	if err != nil {
		t.Fatalf("Update: %v", err)
	}
	s.renewed(t, before, after)
	again, err := s.Driver.Update(s.ctx(t), nil)
	if err != nil || again.Version != after.Version {
		t.Errorf("Update again: %q, %v, not %q", again.Version, err, after.Version)
	}
}

func changes(t *testing.T, s *suite) {
	before := s.database(t)
	if _, err := s.Driver.Import(s.ctx(t), s.importing()); err != nil {
		t.Skipf("there is no change to see: %v", err)
	}
	now := s.database(t)
	got, err := s.Driver.Changes(s.ctx(t), scan.ChangesRequest{Since: before.Version})
	if err != nil || got.Version != now.Version {
		t.Fatalf("Changes: %+v, %v; the version is %q", got, err, now.Version)
	}
	for _, p := range s.Changed {
		if !got.All && !slices.Contains(got.Packages, p) {
			t.Errorf("%q is not among %q", p, got.Packages)
		}
	}
	got, err = s.Driver.Changes(s.ctx(t), scan.ChangesRequest{Since: now.Version})
	if err != nil || got.All || len(got.Packages) != 0 {
		t.Errorf("Changes since now: %+v, %v", got, err)
	}
	got, err = s.Driver.Changes(s.ctx(t), scan.ChangesRequest{Since: "no-such-version"})
	if err != nil || !got.All {
		t.Errorf("Changes since a version of nobody: %+v, %v", got, err)
	}
}
