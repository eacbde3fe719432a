package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/plugins/internal/pull"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

// driver is somebody's scanner, as scan.v1 has it.
type driver struct {
	scan.Unsupported
	config  Config
	adapter *adapter

	mu    sync.Mutex
	since map[string]time.Time // when versions were seen first whose age the scanner does not tell
}

var _ scan.Driver = (*driver)(nil)

// able is what a scanner can do of one Want.
type able struct {
	consumes []string
	accept   string // of the report
	media    string // of an SBOM
	old      bool   // API 1.0: requests do not name capabilities
}

// abilities reads them from the metadata.
func abilities(m wireMetadata) map[scan.Want]able {
	all := map[scan.Want]able{}
	for _, c := range m.Capabilities[:min(len(m.Capabilities), scan.MaxMediaTypes)] {
		consumes := slices.DeleteFunc(slices.Clone(c.Consumes), func(s string) bool { return !plain(s, scan.MaxName) })
		consumes = consumes[:min(len(consumes), scan.MaxMediaTypes)]
		if len(consumes) == 0 {
			continue
		}
		switch c.Type {
		case "", "vulnerability":
			a := able{consumes: consumes, accept: typeReport, old: c.Type == ""}
			if !produces(c.Produces, typeReport) {
				if !produces(c.Produces, typeReportOld) {
					continue
				}
				a.accept = typeReportOld
			}
			if have, ok := all[scan.Vulnerability]; ok {
				a.consumes = append(have.consumes, consumes...)[:min(len(have.consumes)+len(consumes), scan.MaxMediaTypes)]
			}
			all[scan.Vulnerability] = a
		case "sbom":
			for want, media := range map[scan.Want]string{scan.SPDX: mediaSPDX, scan.CycloneDX: mediaCycloneDX} {
				if produces(c.Produces, typeSBOM) && slices.Contains(c.More.SBOM, media) {
					all[want] = able{consumes: consumes, accept: typeSBOM, media: media}
				}
			}
		}
	}
	return all
}

// produces compares media types without the spaces that adapters put there or not.
func produces(list []string, want string) bool {
	bare := func(s string) string { return strings.ReplaceAll(s, " ", "") }
	return slices.ContainsFunc(list, func(s string) bool { return bare(s) == bare(want) })
}

func plain(s string, max int) bool {
	return s != "" && len(s) <= max && strings.ToValidUTF8(s, "") == s && !strings.ContainsFunc(s, unicode.IsControl)
}

// line makes a stranger's text keep the bounds of a line.
func line(s string, max int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return strings.ToValidUTF8(s[:min(len(s), max)], "")
}

// Describe says what the scanner says of itself.
func (d *driver) Describe(ctx context.Context) (scan.Description, error) {
	m, err := d.adapter.metadata(ctx)
	if err != nil {
		return scan.Description{}, err
	}
	out := scan.Description{Name: cmp.Or(line(m.Scanner.Name, scan.MaxName), "a scanner without a name"), Vendor: line(m.Scanner.Vendor, scan.MaxName),
		Version: line(m.Scanner.Version, scan.MaxName)}
	can := abilities(m)
	for _, w := range []scan.Want{scan.Vulnerability, scan.SPDX, scan.CycloneDX} {
		if a, ok := can[w]; ok {
			out.Supports = append(out.Supports, scan.Support{Want: w, MediaTypes: a.consumes})
		}
	}
	return out, nil
}

// Database says how old the scanner's data are, if the scanner does.
func (d *driver) Database(ctx context.Context) (scan.Database, error) {
	m, err := d.adapter.metadata(ctx)
	if err != nil {
		return scan.Database{}, err
	}
	return d.database(m), nil
}

func (d *driver) database(m wireMetadata) scan.Database {
	moment := func(key string) time.Time {
		var text string
		if json.Unmarshal(m.Properties[key], &text) != nil {
			return time.Time{}
		}
		t, err := time.Parse(time.RFC3339, text)
		if err != nil || t.Year() < 1970 || t.Year() > 9999 {
			return time.Time{}
		}
		return t.UTC()
	}
	updated, next := moment(updatedKey), moment(nextUpdateKey)
	name := cmp.Or(line(m.Scanner.Name, scan.MaxName), "scanner") // the API does not tell parts of the data
	if updated.IsZero() {
		version := line(m.Scanner.Name+" "+m.Scanner.Version, scan.MaxID)
		return scan.Database{Version: version, Updated: d.seen(version), Ecosystems: []scan.Ecosystem{{Name: name}},
			Problem: "the scanner does not say how old its data are"}
	}
	out := scan.Database{Version: updated.Format(time.RFC3339Nano), Updated: updated, Ecosystems: []scan.Ecosystem{{Name: name, Updated: updated}}}
	switch age := time.Since(updated); {
	case age > d.config.StaleAfter:
		out.Problem = fmt.Sprintf("the scanner updated its data %d days ago", int(age.Hours()/24))
	case !next.IsZero() && time.Since(next) > d.config.StaleAfter:
		out.Problem = "the scanner has missed its update of " + next.Format(time.RFC3339)
	}
	return out
}

const maxSeen = 100

// seen is when the plugin saw a version first.
func (d *driver) seen(version string) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.since[version]; !ok {
		if d.since == nil || len(d.since) >= maxSeen {
			d.since = map[string]time.Time{}
		}
		d.since[version] = time.Now().UTC()
	}
	return d.since[version]
}

// Scan lets the scanner scan, once for each Want, as Harbor does.
func (d *driver) Scan(ctx context.Context, req scan.ScanRequest, to scan.Sink) (scan.Report, error) {
	if err := to.Progress(scan.Progress{Step: "scan"}); err != nil {
		return scan.Report{}, err
	}
	limited, cancel := context.WithTimeout(ctx, d.config.Timeout)
	defer cancel()
	report, err := d.scan(limited, req, to)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		err = fmt.Errorf("the scanner has no report after %v: %w", d.config.Timeout, errdef.ErrUnavailable)
	}
	return report, err
}

func (d *driver) scan(ctx context.Context, req scan.ScanRequest, to scan.Sink) (scan.Report, error) {
	m, err := d.adapter.metadata(ctx)
	if err != nil {
		return scan.Report{}, err
	}
	can := abilities(m)
	for _, w := range req.Wants {
		if a, ok := can[w]; !ok {
			return scan.Report{}, fmt.Errorf("the scanner does not tell %q: %w", w, errdef.ErrUnsupported)
		} else if !slices.Contains(a.consumes, req.MediaType) {
			return scan.Report{}, fmt.Errorf("the scanner does not scan manifests of the type %.100q: %w", req.MediaType, errdef.ErrUnsupported)
		}
	}
	if err := readable(ctx, req); err != nil {
		return scan.Report{}, err
	}
	out := scan.Report{Generated: time.Now().UTC()}
	source := line(cmp.Or(strings.ToLower(m.Scanner.Name), "scanner"), scan.MaxID)
	for i, w := range req.Wants {
		base := 100 * i / len(req.Wants)
		p, err := d.one(ctx, req, w, can[w], source, to, base)
		if err != nil {
			return scan.Report{}, err
		}
		if w == scan.Vulnerability {
			if y := p.generated.Year(); y >= 1970 && y <= 9999 && p.generated.Before(time.Now().Add(time.Minute)) {
				out.Generated = p.generated
			}
			db := d.database(m)
			out.Database, out.DatabaseUpdated = db.Version, db.Updated
		}
	}
	return out, to.Progress(scan.Progress{Step: "scan", Percent: 100})
}

// readable looks whether the artifact is there and the credential opens it: what scanners say of either differs, and none
// says it with a status.
func readable(ctx context.Context, req scan.ScanRequest) error {
	repo, err := pull.Open(req.Registry, req.Repository)
	if err != nil {
		return err
	}
	defer repo.Close()
	_, err = repo.Manifest(ctx, digest.Digest(req.Digest), req.MediaType)
	return err
}

// one is one scan for one Want. A scan that the scanner has forgotten is started a second time.
func (d *driver) one(ctx context.Context, req scan.ScanRequest, w scan.Want, a able, source string, to scan.Sink, percent int) (parsed, error) {
	var r wireRequest
	r.Registry.URL, r.Registry.Authorization = cmp.Or(d.config.RegistryURL, req.Registry.URL), string(req.Registry.Authorization)
	r.Artifact.Repository, r.Artifact.Digest, r.Artifact.Tag, r.Artifact.MediaType = req.Repository, req.Digest, req.Tag, req.MediaType
	query := ""
	switch {
	case w != scan.Vulnerability:
		r.Enabled = []wireEnabled{{Type: "sbom", Produces: []string{typeSBOM}, Parameters: &wireParameters{SBOM: []string{a.media}}}}
		query = url.Values{"sbom_media_type": {a.media}}.Encode()
	case !a.old:
		r.Enabled = []wireEnabled{{Type: "vulnerability", Produces: []string{a.accept}}}
	}
	for try := 0; ; try++ {
		id, err := d.adapter.submit(ctx, r)
		if err != nil {
			return parsed{}, err
		}
		res, err := d.wait(ctx, id, a.accept, query, to, percent)
		if errors.Is(err, errdef.ErrNotFound) && try == 0 {
			continue
		}
		if err != nil {
			if errors.Is(err, errdef.ErrNotFound) {
				err = fmt.Errorf("the scanner forgets its scans: %v: %w", err, errdef.ErrUnavailable) //nolint:errorlint // the artifact is there
			}
			return parsed{}, err
		}
		defer res.Close()
		p, err := parse(res.body, source, func(list []scan.Finding) error {
			if w != scan.Vulnerability {
				return nil // nobody asked for them
			}
			return to.Findings(list)
		})
		if ctx.Err() != nil {
			return parsed{}, ctx.Err()
		}
		if err == nil && w != scan.Vulnerability {
			err = document(p, w, a.media, to)
		}
		return p, err
	}
}

// wait asks until the report is there.
func (d *driver) wait(ctx context.Context, id, accept, query string, to scan.Sink, percent int) (*answer, error) {
	for {
		res, wait, err := d.adapter.report(ctx, id, accept, query)
		if res != nil || err != nil {
			return res, err
		}
		if err := to.Progress(scan.Progress{Step: "scan", Percent: percent}); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// document hands an SBOM on if it looks like one of the format.
func document(p parsed, w scan.Want, media string, to scan.Sink) error {
	var mark struct {
		SPDX      string `json:"spdxVersion"`
		CycloneDX string `json:"bomFormat"`
	}
	if err := json.Unmarshal(p.sbom, &mark); err != nil || w == scan.SPDX && mark.SPDX == "" || w == scan.CycloneDX && mark.CycloneDX == "" {
		return fmt.Errorf("the scanner's SBOM is none of the type %s: %w", media, errdef.ErrInternal)
	}
	if len(p.sbom) > scan.MaxDocument {
		return fmt.Errorf("the scanner's SBOM has %d bytes, more than %d: %w", len(p.sbom), scan.MaxDocument, errdef.ErrExhausted)
	}
	return to.Document(w, p.sbom)
}
