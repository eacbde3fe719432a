package scan

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// Fake is a driver in memory for tests: a registry of artifacts that are lists of packages, and a database
// that Import fills.
type Fake struct {
	// Capabilities are what it serves; set by NewFake to all. Change them before the first call.
	Capabilities []string

	mu        sync.Mutex
	artifacts map[string]FakeArtifact
	records   map[string]map[string][]fakeRecord // by ecosystem and package
	updated   map[string]time.Time               // by ecosystem
	mirror    map[string][]byte                  // data by ecosystem
	changed   [][]string                         // the packages that each version changed; its number is the version
	importing bool                               // or updating
	failures  map[string]error
}

var _ Driver = (*Fake)(nil)

// FakeMediaType is the media type of the fake's artifacts.
const FakeMediaType = "application/vnd.oci.image.manifest.v1+json"

// FakeArtifact is an artifact.
type FakeArtifact struct {
	Repository, Digest string
	Authorization      secret.Text // that a request must show
	Packages           []FakePackage
}

// FakePackage is a package in an artifact.
type FakePackage struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// NewFake makes a driver without artifacts and data.
func NewFake() *Fake {
	return &Fake{
		Capabilities: Capabilities(), artifacts: map[string]FakeArtifact{}, records: map[string]map[string][]fakeRecord{},
		updated: map[string]time.Time{}, mirror: map[string][]byte{}, failures: map[string]error{},
	}
}

// Add puts an artifact into the registry.
func (f *Fake) Add(a FakeArtifact) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.artifacts[a.Repository+"@"+a.Digest] = a
}

// Mirror is where Update finds data of an ecosystem, in FormatOSV.
func (f *Fake) Mirror(ecosystem string, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mirror[ecosystem] = data
}

// Fail makes the next call of a method ("Scan") fail.
func (f *Fake) Fail(method string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures[method] = err
}

// enter locks and returns the failure that a test asked for. The caller unlocks.
func (f *Fake) enter(ctx context.Context, method, capability string) error {
	f.mu.Lock()
	if err := f.failures[method]; err != nil {
		delete(f.failures, method)
		return err
	}
	if capability != "" && !slices.Contains(f.Capabilities, capability) {
		return unsupported(method)
	}
	return ctx.Err()
}

// Describe tells what the capabilities say.
func (f *Fake) Describe(ctx context.Context) (Description, error) {
	err := f.enter(ctx, "Describe", "")
	defer f.mu.Unlock()
	d := Description{Name: "Fake", Vendor: "openvic", Version: "1"}
	for _, w := range []Want{Vulnerability, SPDX, CycloneDX} {
		if slices.Contains(f.Capabilities, string(w)) {
			d.Supports = append(d.Supports, Support{Want: w, MediaTypes: []string{FakeMediaType}})
		}
	}
	return d, err
}

// Scan finds the artifact, and looks its packages up.
func (f *Fake) Scan(ctx context.Context, req ScanRequest, to Sink) (Report, error) {
	a, err := f.artifact(ctx, req)
	if err != nil {
		return Report{}, err
	}
	if err := to.Progress(Progress{Step: "pull", Percent: 10}); err != nil {
		return Report{}, err
	}
	r := Report{Generated: time.Now().UTC()}
	for _, w := range req.Wants {
		if w == Vulnerability {
			r, err = f.match(ctx, a.Packages, to)
		} else {
			err = to.Document(w, fakeSBOM(w, a.Packages))
		}
		if err != nil {
			return Report{}, err
		}
	}
	return r, to.Progress(Progress{Step: "done", Percent: 100})
}

func (f *Fake) artifact(ctx context.Context, req ScanRequest) (FakeArtifact, error) {
	err := f.enter(ctx, "Scan", "")
	defer f.mu.Unlock()
	if err != nil {
		return FakeArtifact{}, err
	}
	for _, w := range req.Wants {
		if !slices.Contains(f.Capabilities, string(w)) {
			return FakeArtifact{}, unsupported(string(w))
		}
	}
	if req.MediaType != FakeMediaType {
		return FakeArtifact{}, unsupported("media type " + req.MediaType)
	}
	a, ok := f.artifacts[req.Repository+"@"+req.Digest]
	switch {
	case !ok:
		return a, fmt.Errorf("%s@%s: %w", req.Repository, req.Digest, errdef.ErrNotFound)
	case a.Authorization != req.Registry.Authorization:
		return a, fmt.Errorf("%s: the registry does not accept the credential: %w", req.Repository, errdef.ErrDenied)
	case slices.Contains(req.Wants, Vulnerability) && len(f.changed) == 0:
		return a, fmt.Errorf("there are no data yet: %w", errdef.ErrConflict)
	}
	return a, nil
}

// match hands on what the database knows of the packages, 1000 at a time.
func (f *Fake) match(ctx context.Context, packages []FakePackage, to Sink) (Report, error) {
	for batch := range slices.Chunk(packages, 1000) {
		if err := ctx.Err(); err != nil {
			return Report{}, err
		}
		if err := to.Findings(f.findings(batch)); err != nil {
			return Report{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return Report{Generated: time.Now().UTC(), Database: f.version(), DatabaseUpdated: f.newest()}, to.Progress(Progress{Step: "match", Percent: 90})
}

func (f *Fake) findings(packages []FakePackage) []Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []Finding
	for _, p := range packages {
		for _, ecosystem := range slices.Sorted(maps.Keys(f.records)) {
			for _, r := range f.records[ecosystem][p.Name] {
				if slices.Contains(r.Versions, p.Version) {
					found = append(found, Finding{ID: r.ID, Package: p.Name, Version: p.Version, Severity: r.Severity, SeveritySource: "fake"})
				}
			}
		}
	}
	return found
}

// fakeSBOM writes the least that the format demands.
func fakeSBOM(format Want, packages []FakePackage) []byte {
	sbom := map[string]any{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": packages}
	if format == SPDX {
		list := []map[string]string{}
		for _, p := range packages {
			list = append(list, map[string]string{"name": p.Name, "versionInfo": p.Version})
		}
		sbom = map[string]any{"spdxVersion": "SPDX-2.3", "packages": list}
	}
	data, _ := json.Marshal(sbom) // strings alone: it cannot fail
	return data
}

// Match reads what fakeSBOM wrote.
func (f *Fake) Match(ctx context.Context, req MatchRequest, to Sink) (Report, error) {
	err := f.enter(ctx, "Match", CapMatch)
	empty := len(f.changed) == 0
	f.mu.Unlock()
	if err != nil {
		return Report{}, err
	}
	if empty {
		return Report{}, fmt.Errorf("there are no data yet: %w", errdef.ErrConflict)
	}
	data, err := io.ReadAll(req.SBOM)
	if err != nil {
		return Report{}, err
	}
	var sbom struct {
		Components []FakePackage
		Packages   []struct{ Name, VersionInfo string }
	}
	if err := json.Unmarshal(data, &sbom); err != nil {
		return Report{}, fmt.Errorf("SBOM: %v: %w", err, errdef.ErrInvalid) //nolint:errorlint // one class
	}
	for _, p := range sbom.Packages {
		sbom.Components = append(sbom.Components, FakePackage{Name: p.Name, Version: p.VersionInfo})
	}
	return f.match(ctx, sbom.Components, to)
}

// version numbers the changes; the caller holds mu.
func (f *Fake) version() string {
	if len(f.changed) == 0 {
		return ""
	}
	return strconv.Itoa(len(f.changed))
}

func (f *Fake) newest() time.Time {
	var t time.Time
	for _, u := range f.updated {
		if u.After(t) {
			t = u
		}
	}
	return t
}
