package scanning

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

// Overview tells the head of the report of an artifact by its project's scanner; for an index all of its images together.
// errdef.ErrNotFound: it was never scanned.
func (s *Service) Overview(ctx context.Context, repo registry.Repository, m registry.Stored) (Overview, error) {
	all, err := s.Overviews(ctx, repo, []registry.Stored{m})
	if err != nil {
		return Overview{}, err
	}
	o, ok := all[m.Digest.String()]
	if !ok {
		return o, fmt.Errorf("%s@%s was never scanned: %w", repo.Name, m.Digest, errdef.ErrNotFound)
	}
	return o, nil
}

// Overviews tells those of some artifacts of a repository that have one, by digest.
func (s *Service) Overviews(ctx context.Context, repo registry.Repository, list []registry.Stored) (map[string]Overview, error) {
	out := map[string]Overview{}
	scanner, err := s.ofProject(ctx, repo.Project)
	if errors.Is(err, errdef.ErrConflict) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		digests := []string{m.Digest.String()}
		if isIndex(m.MediaType) {
			if digests, err = s.children(ctx, m.ID); err != nil {
				return nil, err
			}
		}
		all, err := s.reports(ctx, scanner.Name, digests)
		if err != nil {
			return nil, err
		}
		if len(all) > 0 {
			out[m.Digest.String()] = merge(all)
		}
	}
	return out, nil
}

// children are the digests of what an index names, at most maxChildren.
func (s *Service) children(ctx context.Context, manifest int64) ([]string, error) {
	list, _, err := store.List(ctx, s.o.DB, maxChildren, func(r *sql.Rows) (d string, err error) { return d, r.Scan(&d) },
		`SELECT digest FROM manifest_ref WHERE manifest_id = $1 ORDER BY digest LIMIT $2`, manifest)
	return list, err
}

func (s *Service) reports(ctx context.Context, scanner string, digests []string) ([]Overview, error) {
	if len(digests) == 0 {
		return nil, nil
	}
	args, marks := []any{scanner}, make([]string, len(digests))
	for i, d := range digests {
		args, marks[i] = append(args, d), fmt.Sprintf("$%d", i+2)
	}
	list, _, err := store.List(ctx, s.o.DB, len(digests), overviewRow,
		fmt.Sprintf(selectOverview+` WHERE scanner = $1 AND digest IN (%s) ORDER BY id LIMIT $%d`, strings.Join(marks, ", "), len(digests)+2), args...)
	return list, err
}

// rank orders statuses by what is to be told of several scans: one that is under way, then one that failed.
var rank = map[string]int{"Running": 5, "Pending": 4, "Error": 3, "Stopped": 2, "Success": 1}

// merge makes one head of several.
func merge(all []Overview) Overview {
	o := all[0]
	o.Summary.Of = map[string]int{}
	o.Summary.Total, o.Summary.Fixable = 0, 0
	for _, x := range all {
		o.Severity = max(o.Severity, x.Severity)
		o.Summary.Total += x.Summary.Total
		o.Summary.Fixable += x.Summary.Fixable
		for name, n := range x.Summary.Of {
			o.Summary.Of[name] += n
		}
		if rank[string(x.Status)] > rank[string(o.Status)] {
			o.Status, o.Message = x.Status, x.Message
		}
		if x.Started.Before(o.Started) {
			o.Started = x.Started
		}
		if x.Ended.After(o.Ended) {
			o.Ended = x.Ended
		}
	}
	return o
}

// Finding is one of a report.
type Finding struct {
	scan.Finding
	First  time.Time // since when the hub knows of it in this image
	Digest string    // of the image
}

// Findings calls f for those of an artifact, the worst first; for an index those of all of its images. errdef.ErrNotFound: it
// was never scanned with success.
func (s *Service) Findings(ctx context.Context, repo registry.Repository, m registry.Stored, f func(Finding) error) (Overview, error) {
	o, err := s.Overview(ctx, repo, m)
	if err == nil && o.First.IsZero() {
		err = fmt.Errorf("%s@%s has no report: its last scan is %s: %w", repo.Name, m.Digest, o.Status, errdef.ErrNotFound)
	}
	if err != nil {
		return o, err
	}
	digests := []string{m.Digest.String()}
	if isIndex(m.MediaType) {
		if digests, err = s.children(ctx, m.ID); err != nil {
			return o, err
		}
	}
	for _, d := range digests {
		if err := s.findings(ctx, o.Scanner, d, f); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (s *Service) findings(ctx context.Context, scanner, digest string, f func(Finding) error) error {
	rows, err := s.o.DB.Query(ctx, `SELECT v.detail, p.layer, p.path, f.first FROM scan_report r JOIN scan_finding f ON f.report = r.id
		JOIN scan_vuln v ON v.id = f.vuln JOIN scan_place p ON p.id = f.place WHERE r.digest = $1 AND r.scanner = $2
		ORDER BY v.severity DESC, v.cve, v.package, p.path`, digest, scanner)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var text []byte
		var first int64
		var layer, path string
		if err := rows.Scan(&text, &layer, &path, &first); err != nil {
			return err
		}
		var d detail
		if err := json.Unmarshal(text, &d); err != nil {
			return err
		}
		x := Finding{Finding: d.Finding, First: at(first), Digest: digest}
		x.VendorJSON, x.Layer, x.Path = d.VendorJSON, layer, path
		if err := f(x); err != nil {
			return err
		}
	}
	return rows.Err()
}

// SBOM is the one that the scanner made of an image. The caller closes it. errdef.ErrNotFound: there is none.
func (s *Service) SBOM(ctx context.Context, repo registry.Repository, m registry.Stored) (scan.Want, io.ReadCloser, error) {
	scanner, err := s.ofProject(ctx, repo.Project)
	if err != nil {
		return "", nil, err
	}
	var format string
	var packed []byte
	err = s.o.DB.QueryRow(ctx, `SELECT b.format, b.document FROM scan_sbom b JOIN scan_report r ON r.id = b.report WHERE r.digest = $1 AND r.scanner = $2`,
		m.Digest.String(), scanner.Name).Scan(&format, &packed)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil, fmt.Errorf("%s@%s has no SBOM: scan it first: %w", repo.Name, m.Digest, errdef.ErrNotFound)
	}
	if err != nil {
		return "", nil, err
	}
	r, err := unpack(packed)
	return scan.Want(format), r, err
}

// unpack reads what keepSBOM packed.
func unpack(packed []byte) (io.ReadCloser, error) {
	d, err := zstd.NewReader(strings.NewReader(string(packed)), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxDocument*2))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}
