package scan

import (
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

func long(n int) string { return strings.Repeat("x", n) }

func texts(n int, s string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = s
	}
	return list
}

// found is a good finding, changed.
func found(change func(f *Finding)) Finding {
	f := bash
	change(&f)
	return f
}

// hostile are findings that break one bound each.
func hostile() map[string]Finding {
	return map[string]Finding{
		"no ID":              found(func(f *Finding) { f.ID = "" }),
		"a long ID":          found(func(f *Finding) { f.ID = long(MaxID + 1) }),
		"a line break":       found(func(f *Finding) { f.Package = "bash\nERROR" }),
		"no package":         found(func(f *Finding) { f.Package = "" }),
		"many aliases":       found(func(f *Finding) { f.Aliases = texts(MaxAliases+1, "a") }),
		"many CWEs":          found(func(f *Finding) { f.CWEs = texts(MaxCWEs+1, "a") }),
		"many links":         found(func(f *Finding) { f.Links = texts(MaxLinks+1, "https://a") }),
		"a script":           found(func(f *Finding) { f.Links = []string{"javascript:alert(1)"} }),
		"a long description": found(func(f *Finding) { f.Description = long(MaxDescription + 1) }),
		"an escape":          found(func(f *Finding) { f.Description = "\x1b[2J" }),
		"no severity":        found(func(f *Finding) { f.Severity = 0 }),
		"a high severity":    found(func(f *Finding) { f.Severity = 7 }),
		"a score":            found(func(f *Finding) { f.CVSS = []CVSS{{Score: 10.1}} }),
		"a score of nobody":  found(func(f *Finding) { f.CVSS = []CVSS{{Score: math.NaN()}} }),
		"many ratings":       found(func(f *Finding) { f.CVSS = make([]CVSS, MaxCVSS+1) }),
		"a long path":        found(func(f *Finding) { f.Path = long(MaxPath + 1) }),
		"vendor's no JSON":   found(func(f *Finding) { f.VendorJSON = []byte("{") }),
		"vendor's large":     found(func(f *Finding) { f.VendorJSON = []byte(`"` + long(MaxVendorJSON) + `"`) }),
		"a year":             found(func(f *Finding) { f.Published = time.Unix(1<<40, 0).UTC() }),
	}
}

func TestFindingsHaveBounds(t *testing.T) {
	if err := bash.check(); err != nil {
		t.Errorf("a good finding is refused: %v", err)
	}
	if got := bash.Clip(); !reflect.DeepEqual(got, bash) {
		t.Errorf("a good finding was clipped to %+v", got)
	}
	for name, f := range hostile() {
		if err := f.check(); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%s passed: %v", name, err)
		}
		if name == "no ID" || name == "no package" {
			continue
		}
		if err := f.Clip().check(); err != nil {
			t.Errorf("%s: clipped, it is refused: %v", name, err)
		}
	}
}

func TestRequestsHaveBounds(t *testing.T) {
	scan := func(change func(r *ScanRequest)) ScanRequest {
		r := ScanRequest{ID: "i", Registry: Registry{URL: "https://r"}, Repository: "a/b", Digest: "sha256:1", MediaType: "m", Wants: []Want{SPDX}}
		change(&r)
		return r
	}
	hash := strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		request interface{ check() error }
		good    bool
	}{
		"a scan":               {scan(func(*ScanRequest) {}), true},
		"without an ID":        {scan(func(r *ScanRequest) { r.ID = "" }), false},
		"of a file":            {scan(func(r *ScanRequest) { r.Registry.URL = "file:///etc/passwd" }), false},
		"without a digest":     {scan(func(r *ScanRequest) { r.Digest = "" }), false},
		"for nothing":          {scan(func(r *ScanRequest) { r.Wants = nil }), false},
		"for one thing twice":  {scan(func(r *ScanRequest) { r.Wants = []Want{SPDX, SPDX} }), false},
		"for what nobody has":  {scan(func(r *ScanRequest) { r.Wants = []Want{"sbom:other"} }), false},
		"with a header more":   {scan(func(r *ScanRequest) { r.Registry.Authorization = "a\r\nHost: b" }), false},
		"with a long secret":   {scan(func(r *ScanRequest) { r.Registry.Authorization = secret.Text(long(MaxSecret + 1)) }), false},
		"a match":              {MatchRequest{ID: "i", Format: SPDX}, true},
		"a match of findings":  {MatchRequest{ID: "i", Format: Vulnerability}, false},
		"an import":            {ImportRequest{Format: "f", Ecosystem: "e", SHA256: hash}, true},
		"with half a hash":     {ImportRequest{Format: "f", Ecosystem: "e", SHA256: hash[:32]}, false},
		"without an ecosystem": {ImportRequest{Format: "f", SHA256: hash}, false},
		"changes":              {ChangesRequest{Since: "1"}, true},
		"changes since a lot":  {ChangesRequest{Since: long(MaxID + 1)}, false},
	} {
		if err := c.request.check(); c.good != (err == nil) || err != nil && !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestALedgerEndsWhatHasNoEnd(t *testing.T) {
	l := newLedger(Vulnerability, SPDX)
	l.findings = MaxFindings
	if err := l.found([]Finding{bash}); err == nil {
		t.Error("one finding too many passed")
	}
	if err := l.document(SPDX, MaxDocument); err != nil {
		t.Errorf("a document of the largest size is refused: %v", err)
	}
	if err := l.document(SPDX, 1); err == nil {
		t.Error("one byte too many passed")
	}
	for _, p := range []struct{ in, out int }{{10, 10}, {5, 10}, {11, 11}} {
		if got, err := l.progress(Progress{Percent: p.in}); err != nil || got.Percent != p.out {
			t.Errorf("progress %d became %d, %v, want %d", p.in, got.Percent, err, p.out)
		}
	}
}

func TestVerifiedDataHaveBounds(t *testing.T) {
	r := ImportRequest{SHA256: strings.Repeat("0", 64), Data: strings.NewReader("abc")}
	if _, err := io.ReadAll(r.Verified()); !errors.Is(err, errdef.ErrInvalid) {
		t.Errorf("data of another hash: %v", err)
	}
	if _, err := io.ReadAll(bounded(strings.NewReader("abc"), 2, "data")); !errors.Is(err, errdef.ErrInvalid) {
		t.Errorf("a byte too many: %v", err)
	}
	if got, err := io.ReadAll(bounded(strings.NewReader("abc"), 3, "data")); err != nil || string(got) != "abc" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := io.ReadAll(bounded(nil, 3, "data")); !errors.Is(err, errdef.ErrInvalid) {
		t.Errorf("no reader: %v", err)
	}
}
