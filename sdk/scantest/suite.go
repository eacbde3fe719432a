// Package scantest is the conformance suite for scan drivers: what scan.Driver promises, as tests. A
// driver's author calls Suite with a factory.
package scantest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

// Fixture is a driver, an artifact in a registry that it reaches, and data.
type Fixture struct {
	Driver scan.Driver
	// Capabilities are the component's. Cases for others see that the method is errdef.ErrUnsupported.
	Capabilities []string
	// Artifact is all of a request but ID and Wants. The driver has data that find Findings in it, each
	// with ID, Package and Version, and may find more.
	Artifact scan.ScanRequest
	Findings []scan.Finding
	// Large, if set, is an artifact with at least LargeFindings of them.
	Large         *scan.ScanRequest
	LargeFindings int
	// Empty, if set, is a driver without data.
	Empty scan.Driver
	// Data, with CapImport, are data of an ecosystem by which Artifact has the finding New too. The
	// packages with changed records are Changed, purls, with CapChanges.
	Format, Ecosystem string
	Data              []byte
	New               scan.Finding
	Changed           []string
	// Mirror, with CapUpdate, puts Data where Update finds it.
	Mirror func(t *testing.T)
	// Timeout of one call; 0 means 10 s.
	Timeout time.Duration
}

// Factory makes a fixture for one test; what it makes ends with t.
type Factory func(t *testing.T) Fixture

// Suite runs all cases.
func Suite(t *testing.T, factory Factory) {
	cases := []struct {
		name string
		need string // a capability
		run  func(t *testing.T, s *suite)
	}{
		{"Describe tells what the capabilities say", "", describe},
		{"methods without their capability are ErrUnsupported", "", unsupported},
		{"a scan finds what is known", scan.CapVulnerability, finds},
		{"a scan again, and at once, finds the same", scan.CapVulnerability, again},
		{"what a scan refuses", "", refuses},
		{"a scan without data is ErrConflict", scan.CapVulnerability, noData},
		{"a sink's error ends a scan", "", sinkFails},
		{"the end of the call ends a scan", "", canceled},
		{"a large report comes as a stream", scan.CapVulnerability, large},
		{"an SBOM in SPDX", scan.CapSPDX, func(t *testing.T, s *suite) { sbom(t, s, scan.SPDX, "spdxVersion") }},
		{"an SBOM in CycloneDX", scan.CapCycloneDX, func(t *testing.T, s *suite) { sbom(t, s, scan.CycloneDX, "bomFormat") }},
		{"all that may be wanted, at once", "", everything},
		{"Match finds in an SBOM what the scan found", scan.CapMatch, match},
		{"what Match refuses", scan.CapMatch, matchRefuses},
		{"Import changes what is found, and again nothing", scan.CapImport, imports},
		{"an Import that fails changes nothing", scan.CapImport, importFails},
		{"one Import at a time", scan.CapImport, importsCollide},
		{"Update fetches, and again nothing", scan.CapUpdate, update},
		{"Changes tells what to look at again", scan.CapChanges, changes},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := &suite{Fixture: factory(t)}
			if s.Timeout == 0 {
				s.Timeout = 10 * time.Second
			}
			if c.need != "" && !s.has(c.need) {
				t.Skipf("the driver does not have the capability %q", c.need)
			}
			c.run(t, s)
		})
	}
}

type suite struct{ Fixture }

func (s *suite) has(capability string) bool { return slices.Contains(s.Capabilities, capability) }

func (s *suite) ctx(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
	t.Cleanup(cancel)
	return ctx
}

func want(t *testing.T, call string, err, class error) {
	t.Helper()
	if class == nil && err != nil || class != nil && !errors.Is(err, class) {
		t.Errorf("%s: got %v, want %v", call, err, class)
	}
}

// wants are all that the driver can tell.
func (s *suite) wants() []scan.Want {
	var all []scan.Want
	for _, w := range []scan.Want{scan.Vulnerability, scan.SPDX, scan.CycloneDX} {
		if s.has(string(w)) {
			all = append(all, w)
		}
	}
	return all
}

// request is a scan of the artifact.
func (s *suite) request(wants ...scan.Want) scan.ScanRequest {
	r := s.Artifact
	r.ID, r.Wants = "scan-1", wants
	return r
}

// watch is a sink that sees that progress never falls.
type watch struct {
	scan.Collector
	t *testing.T
}

func (w *watch) Progress(p scan.Progress) error {
	if n := len(w.Steps); p.Percent < 0 || p.Percent > 100 || n > 0 && p.Percent < w.Steps[n-1].Percent {
		w.t.Errorf("progress %+v after %+v", p, w.Steps)
	}
	return w.Collector.Progress(p)
}

// scan scans, and demands a report.
func (s *suite) scan(t *testing.T, d scan.Driver, req scan.ScanRequest) (*watch, scan.Report) {
	t.Helper()
	w := &watch{t: t}
	r, err := d.Scan(s.ctx(t), req, w)
	if err != nil {
		t.Fatalf("Scan: %v", err)
	}
	if r.Generated.IsZero() || r.Generated.After(time.Now().Add(time.Minute)) {
		t.Errorf("the report is of %v", r.Generated)
	}
	return w, r
}

func (s *suite) database(t *testing.T) scan.Database {
	t.Helper()
	d, err := s.Driver.Database(s.ctx(t))
	if err != nil {
		t.Fatalf("Database: %v", err)
	}
	return d
}

// key is what a finding is.
func key(f scan.Finding) string { return f.ID + " in " + f.Package + " " + f.Version }

func keys(list []scan.Finding) []string {
	var all []string
	for _, f := range list {
		all = append(all, key(f))
	}
	slices.Sort(all)
	return all
}

// see demands findings.
func see(t *testing.T, got []scan.Finding, wanted ...scan.Finding) {
	t.Helper()
	for _, w := range wanted {
		i := slices.IndexFunc(got, func(f scan.Finding) bool { return key(f) == key(w) })
		if i < 0 {
			t.Errorf("%s is not found; there are %q", key(w), keys(got))
		} else if got[i].Severity < scan.Unknown || got[i].Severity > scan.Critical {
			t.Errorf("%s has the severity %d", key(w), got[i].Severity)
		}
	}
}

func describe(t *testing.T, s *suite) {
	d, err := s.Driver.Describe(s.ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	if d.Name == "" {
		t.Error("the scanner has no name")
	}
	var supported []scan.Want
	for _, x := range d.Supports {
		supported = append(supported, x.Want)
		if !slices.Contains(x.MediaTypes, s.Artifact.MediaType) {
			t.Errorf("%q is not for %q", x.Want, s.Artifact.MediaType)
		}
	}
	wanted := s.wants()
	slices.Sort(supported)
	slices.Sort(wanted)
	if !slices.Equal(supported, wanted) {
		t.Errorf("Describe has %q, the capabilities %q", supported, wanted)
	}
	for _, c := range s.Capabilities {
		if !slices.Contains(scan.Capabilities(), c) {
			t.Errorf("the capability %q is none", c)
		}
	}
}

func unsupported(t *testing.T, s *suite) {
	w := &watch{t: t}
	for _, x := range []scan.Want{scan.Vulnerability, scan.SPDX, scan.CycloneDX} {
		if !s.has(string(x)) {
			_, err := s.Driver.Scan(s.ctx(t), s.request(x), w)
			want(t, "Scan for "+string(x), err, errdef.ErrUnsupported)
		}
	}
	for capability, call := range map[string]func(ctx context.Context) error{
		scan.CapMatch: func(ctx context.Context) error {
			_, err := s.Driver.Match(ctx, scan.MatchRequest{ID: "a", Format: scan.SPDX, SBOM: strings.NewReader("{}")}, w)
			return err
		},
		scan.CapImport: func(ctx context.Context) error {
			_, err := s.Driver.Import(ctx, scan.ImportRequest{Format: "f", Ecosystem: "e", SHA256: sum(nil), Data: strings.NewReader("")})
			return err
		},
		scan.CapUpdate: func(ctx context.Context) error {
			_, err := s.Driver.Update(ctx, nil)
			return err
		},
		scan.CapChanges: func(ctx context.Context) error {
			_, err := s.Driver.Changes(ctx, scan.ChangesRequest{Since: "1"})
			return err
		},
	} {
		if !s.has(capability) {
			want(t, capability, call(s.ctx(t)), errdef.ErrUnsupported)
		}
	}
}

func finds(t *testing.T, s *suite) {
	w, r := s.scan(t, s.Driver, s.request(scan.Vulnerability))
	see(t, w.Found, s.Findings...)
	if d := s.database(t); d.Version == "" || r.Database != d.Version || d.Updated.IsZero() || len(d.Ecosystems) == 0 {
		t.Errorf("the report is of the data %q, and there are %+v", r.Database, d)
	}
	if len(w.Documents) != 0 {
		t.Error("nobody wanted an SBOM")
	}
}

func again(t *testing.T, s *suite) {
	first, _ := s.scan(t, s.Driver, s.request(scan.Vulnerability))
	var wg sync.WaitGroup
	for range 4 {
		ctx := s.ctx(t)
		wg.Go(func() {
			var c scan.Collector
			_, err := s.Driver.Scan(ctx, s.request(scan.Vulnerability), &c)
			if err != nil || !slices.Equal(keys(c.Found), keys(first.Found)) {
				t.Errorf("found %q, %v; before %q", keys(c.Found), err, keys(first.Found))
			}
		})
	}
	wg.Wait()
}

func refuses(t *testing.T, s *suite) {
	if len(s.wants()) == 0 {
		t.Skip("the driver scans nothing")
	}
	const none = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	for name, c := range map[string]struct {
		change func(r *scan.ScanRequest)
		class  error
	}{
		"an artifact that is not there":  {func(r *scan.ScanRequest) { r.Digest = none }, errdef.ErrNotFound},
		"another credential":             {func(r *scan.ScanRequest) { r.Registry.Authorization = "Basic d3Jvbmc6d3Jvbmc=" }, errdef.ErrDenied},
		"a media type that nobody knows": {func(r *scan.ScanRequest) { r.MediaType = "application/vnd.example.none" }, errdef.ErrUnsupported},
	} {
		r := s.request(s.wants()[0])
		c.change(&r)
		_, err := s.Driver.Scan(s.ctx(t), r, &watch{t: t})
		want(t, name, err, c.class)
	}
}

func noData(t *testing.T, s *suite) {
	if s.Empty == nil {
		t.Skip("the fixture has no driver without data")
	}
	d, err := s.Empty.Database(s.ctx(t))
	if err != nil || d.Version != "" {
		t.Errorf("Database: %+v, %v", d, err)
	}
	_, err = s.Empty.Scan(s.ctx(t), s.request(scan.Vulnerability), &watch{t: t})
	want(t, "Scan", err, errdef.ErrConflict)
}

// full is a sink that takes nothing.
type full struct{ err error }

func (f full) Progress(scan.Progress) error     { return f.err }
func (f full) Findings([]scan.Finding) error    { return f.err }
func (f full) Document(scan.Want, []byte) error { return f.err }

func sinkFails(t *testing.T, s *suite) {
	if len(s.wants()) == 0 {
		t.Skip("the driver scans nothing")
	}
	reason := fmt.Errorf("the disk is full: %w", errdef.ErrExhausted)
	_, err := s.Driver.Scan(s.ctx(t), s.request(s.wants()...), full{reason})
	want(t, "Scan", err, reason)
}

func canceled(t *testing.T, s *suite) {
	if len(s.wants()) == 0 {
		t.Skip("the driver scans nothing")
	}
	ctx, cancel := context.WithCancel(s.ctx(t))
	cancel()
	_, err := s.Driver.Scan(ctx, s.request(s.wants()...), &watch{t: t})
	want(t, "Scan with a context that has ended", err, context.Canceled)
}

func large(t *testing.T, s *suite) {
	if s.Large == nil {
		t.Skip("the fixture has no large artifact")
	}
	r := *s.Large
	r.ID, r.Wants = "scan-large", []scan.Want{scan.Vulnerability}
	w, _ := s.scan(t, s.Driver, r)
	if len(w.Found) < s.LargeFindings {
		t.Errorf("%d findings, want %d", len(w.Found), s.LargeFindings)
	}
}
