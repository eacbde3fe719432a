package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/plugins/internal/pull"
	"github.com/openvic/vic/plugins/scan-osv/inventory"
	"github.com/openvic/vic/plugins/scan-osv/layers"
	"github.com/openvic/vic/plugins/scan-osv/sbom"
	"github.com/openvic/vic/plugins/scan-osv/vuln"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

// driver is the scanner.
type driver struct {
	config     Config
	client     *http.Client // of the mirror
	db         *vuln.DB
	cache      *layers.Cache
	extractors *layers.Extractors
	limits     layers.Limits
	turns      chan struct{} // images that are unpacked at once

	mu     sync.Mutex
	failed string // why the last update failed; empty: it did not
}

var _ scan.Driver = (*driver)(nil)

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
)

// Close gives the files back.
func (d *driver) Close(context.Context) error { return errors.Join(d.db.Close(), d.cache.Close()) }

// Describe says what it scans: images for Linux.
func (d *driver) Describe(context.Context) (scan.Description, error) {
	out := scan.Description{Name: "OSV", Vendor: "openvic", Version: version}
	for _, w := range []scan.Want{scan.Vulnerability, scan.SPDX, scan.CycloneDX} {
		out.Supports = append(out.Supports, scan.Support{Want: w, MediaTypes: []string{ocispec.MediaTypeImageManifest, dockerManifest}})
	}
	return out, nil
}

// Database says how old the data are, and what is wrong with that.
func (d *driver) Database(ctx context.Context) (scan.Database, error) {
	s, err := d.db.State(ctx)
	if err != nil {
		return s, err
	}
	d.mu.Lock()
	s.Problem = d.failed
	d.mu.Unlock()
	if s.Version == "" {
		s.Problem = join("there are no data yet: import the archive of an ecosystem, or update from a mirror", s.Problem)
		return s, nil
	}
	var old []string
	for _, e := range s.Ecosystems {
		if age := time.Since(e.Updated); age > d.config.StaleAfter {
			old = append(old, fmt.Sprintf("%s (%d days)", e.Name, int(age.Hours()/24)))
		}
	}
	if len(old) > 0 {
		s.Problem = join("too long ago updated: "+strings.Join(old[:min(len(old), 20)], ", ")+"; import newer data, or update from a mirror", s.Problem)
	}
	return s, nil
}

func join(a, b string) string {
	if b == "" {
		return a
	}
	return (a + "; " + b)[:min(len(a)+2+len(b), scan.MaxWarning)]
}

// Changes says whose records have changed since a version.
func (d *driver) Changes(ctx context.Context, req scan.ChangesRequest) (scan.Changes, error) {
	return d.db.Changes(ctx, req.Since)
}

// Scan unpacks what nobody has unpacked yet, and looks for what is known.
func (d *driver) Scan(ctx context.Context, req scan.ScanRequest, to scan.Sink) (scan.Report, error) {
	if err := supports(req.MediaType); err != nil {
		return scan.Report{}, err
	}
	var data *vuln.Snapshot
	if slices.Contains(req.Wants, scan.Vulnerability) {
		s, err := d.snapshot(ctx)
		if err != nil {
			return scan.Report{}, err
		}
		defer s.Close()
		data = s
	}
	image, warnings, err := d.look(ctx, req, to)
	if err != nil {
		return scan.Report{}, err
	}
	report := scan.Report{Generated: time.Now().UTC(), Warnings: warnings}
	if data != nil {
		if err := to.Progress(scan.Progress{Step: "match", Percent: 90}); err != nil {
			return scan.Report{}, err
		}
		if err := match(ctx, data, image, &report, to); err != nil {
			return scan.Report{}, err
		}
	}
	s := sbom.Subject{Name: req.Repository, Digest: req.Digest, Created: report.Generated, Tool: "vic-scan-osv " + version}
	for want, write := range map[scan.Want]func(sbom.Subject, inventory.Image) ([]byte, error){scan.SPDX: sbom.SPDX, scan.CycloneDX: sbom.CycloneDX} {
		if !slices.Contains(req.Wants, want) {
			continue
		}
		text, err := write(s, image)
		if err == nil && len(text) > scan.MaxDocument {
			err = fmt.Errorf("the SBOM has %d bytes, more than %d: %w", len(text), scan.MaxDocument, errdef.ErrExhausted)
		}
		if err == nil {
			err = to.Document(want, text)
		}
		if err != nil {
			return scan.Report{}, err
		}
	}
	return report, to.Progress(scan.Progress{Step: "match", Percent: 100})
}

// snapshot is the database as it is now. ErrConflict: there are no data.
func (d *driver) snapshot(ctx context.Context) (*vuln.Snapshot, error) {
	s, err := d.db.Snapshot(ctx)
	if err == nil && s.State.Version == "" {
		s.Close()
		err = fmt.Errorf("there are no data yet: import the archive of an ecosystem, or update from a mirror: %w", errdef.ErrConflict)
	}
	return s, err
}

func match(ctx context.Context, data *vuln.Snapshot, image inventory.Image, report *scan.Report, to scan.Sink) error {
	warnings, err := data.Match(ctx, image, to.Findings)
	report.Database, report.DatabaseUpdated = data.State.Version, data.State.Updated
	report.Warnings = append(report.Warnings, warnings...)
	report.Warnings = report.Warnings[:min(len(report.Warnings), scan.MaxWarnings)]
	for i, w := range report.Warnings {
		report.Warnings[i] = strings.ToValidUTF8(w[:min(len(w), scan.MaxWarning)], "")
	}
	return err
}

// Match looks for what is known of the packages in a list that Scan wrote.
func (d *driver) Match(ctx context.Context, req scan.MatchRequest, to scan.Sink) (scan.Report, error) {
	data, err := d.snapshot(ctx)
	if err != nil {
		return scan.Report{}, err
	}
	defer data.Close()
	image, err := sbom.Read(req.Format, req.SBOM)
	if err != nil {
		return scan.Report{}, err
	}
	report := scan.Report{Generated: time.Now().UTC()}
	if err := match(ctx, data, image, &report, to); err != nil {
		return scan.Report{}, err
	}
	return report, to.Progress(scan.Progress{Step: "match", Percent: 100})
}

// supports says what an artifact is that is no image of one platform.
func supports(mediaType string) error {
	switch mediaType {
	case ocispec.MediaTypeImageManifest, dockerManifest:
		return nil
	case ocispec.MediaTypeImageIndex, dockerIndex:
		return fmt.Errorf("the artifact is an index: the images in it are scanned, each by itself: %w", errdef.ErrUnsupported)
	}
	return fmt.Errorf("manifests of the type %.100q are not scanned: %w", mediaType, errdef.ErrUnsupported)
}

// look says what is in the image.
func (d *driver) look(ctx context.Context, req scan.ScanRequest, to scan.Sink) (inventory.Image, []string, error) {
	none := inventory.Image{}
	if err := to.Progress(scan.Progress{Step: "pull"}); err != nil {
		return none, nil, err
	}
	select {
	case d.turns <- struct{}{}:
		defer func() { <-d.turns }()
	case <-ctx.Done():
		return none, nil, ctx.Err()
	}
	repo, err := pull.Open(req.Registry, req.Repository)
	if err != nil {
		return none, nil, err
	}
	defer repo.Close()
	m, err := repo.Manifest(ctx, digest.Digest(req.Digest), req.MediaType)
	if err != nil {
		return none, nil, err
	}
	config, err := imageOf(ctx, repo, m)
	if err != nil {
		return none, nil, err
	}
	p := &unpacking{driver: d, repo: repo, left: d.limits.Bytes}
	list := make([]*layers.Layer, len(m.Layers))
	ids := make([]string, len(m.Layers))
	for i, l := range m.Layers {
		ids[i] = config.RootFS.DiffIDs[i].String()
		if list[i], err = p.layer(ctx, i, l, config.RootFS.DiffIDs[i]); err != nil {
			return none, nil, err
		}
		if err := to.Progress(scan.Progress{Step: "unpack", Percent: 85 * (i + 1) / len(m.Layers)}); err != nil {
			return none, nil, err
		}
	}
	image := layers.Merge(list, ids)
	if len(image.Packages) > maxPackages {
		return none, nil, fmt.Errorf("the image has more than %d packages: %w", maxPackages, errdef.ErrExhausted)
	}
	return image, p.warnings, nil
}

// imageOf reads the configuration, and says what an artifact is that is no image which one could scan.
func imageOf(ctx context.Context, repo *pull.Repository, m ocispec.Manifest) (ocispec.Image, error) {
	var none ocispec.Image
	if t := m.Config.MediaType; m.ArtifactType != "" && t != ocispec.MediaTypeImageConfig || t != ocispec.MediaTypeImageConfig && t != dockerConfig {
		kind := m.ArtifactType
		if kind == "" {
			kind = t
		}
		return none, fmt.Errorf("the artifact is no image, but %.100q: %w", kind, errdef.ErrUnsupported)
	}
	if len(m.Layers) > maxLayers {
		return none, fmt.Errorf("the image has %d layers, more than %d: %w", len(m.Layers), maxLayers, errdef.ErrExhausted)
	}
	c, err := repo.Config(ctx, m.Config)
	if err != nil {
		return none, err
	}
	switch {
	case c.OS != "" && c.OS != "linux":
		return none, fmt.Errorf("the image is for %.40q; images for Linux are scanned: %w", c.OS, errdef.ErrUnsupported)
	case len(c.RootFS.DiffIDs) != len(m.Layers):
		return none, fmt.Errorf("the manifest has %d layers, the configuration %d: %w", len(m.Layers), len(c.RootFS.DiffIDs), errdef.ErrInvalid)
	}
	return c, nil
}

// unpacking is the unpacking of one image.
type unpacking struct {
	*driver
	repo     *pull.Repository
	left     int64 // bytes that its layers may still unpack to
	warnings []string
}

// layer is what a layer means; nil if it cannot be looked at.
func (p *unpacking) layer(ctx context.Context, i int, l ocispec.Descriptor, diffID digest.Digest) (*layers.Layer, error) {
	if layers.Encrypted(l.MediaType) {
		p.warnings = append(p.warnings, fmt.Sprintf("layer %d is encrypted: nothing is known of what is in it", i+1))
		return nil, nil
	}
	out, err := p.cache.Get(ctx, l.Digest, diffID, func() (*layers.Layer, error) {
		blob, err := p.repo.Blob(ctx, l.Digest)
		if err != nil {
			return nil, err
		}
		defer blob.Close()
		limits := p.limits
		limits.Bytes = p.left
		return layers.Unpack(ctx, blob, l, diffID, p.extractors, limits)
	})
	if err == nil {
		if p.left -= out.Size; p.left < 0 {
			err = fmt.Errorf("the image unpacks to more than %d bytes: %w", p.limits.Bytes, errdef.ErrExhausted)
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("layer %d: %w", i+1, err)
	}
	for _, w := range out.Warnings {
		p.warnings = append(p.warnings, fmt.Sprintf("layer %d: %s", i+1, w))
	}
	return out, nil
}
