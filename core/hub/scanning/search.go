package scanning

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/query"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

// Columns are what findings are searched by, in Harbor's words.
var Columns = query.Columns{
	"cve_id": {SQL: "v.cve"}, "package": {SQL: "v.package"}, "version": {SQL: "v.version"}, "fixed_version": {SQL: "v.fixed"},
	"severity":        {Where: bySeverity, Unsorted: true},
	"cvss_score_v3":   {SQL: "v.score", Type: query.Number}, // in tenths
	"repository_name": {SQL: "p.name"}, "project_id": {SQL: "p.project_id", Type: query.Number}, "digest": {SQL: "m.digest"},
	"scanner": {SQL: "r.scanner"},
	"tag": {Where: func(f query.Filter, arg func(any) string) (string, error) {
		cond, err := query.Columns{"tag": {SQL: "t.name"}}.One(f, arg)
		return "EXISTS (SELECT 1 FROM tag t WHERE t.manifest_id = m.id AND " + cond + ")", err
	}},
}

// bySeverity reads the name of a severity.
func bySeverity(f query.Filter, arg func(any) string) (string, error) {
	for i, word := range f.Values {
		s := severityOf(word)
		if s == 0 {
			return "", fmt.Errorf("q: severity %.40q is not Unknown, Negligible, Low, Medium, High or Critical: %w", word, errdef.ErrInvalid)
		}
		f.Values[i] = fmt.Sprint(int64(s))
	}
	return query.Columns{f.Key: {SQL: "v.severity", Type: query.Number}}.One(f, arg)
}

func severityOf(word string) scan.Severity {
	for s := scan.Unknown; s <= scan.Critical; s++ {
		if s.String() == word {
			return s
		}
	}
	return 0
}

// MatchForm is a finding with the artifact that has it: Harbor's form.
type MatchForm struct {
	Project    int64    `json:"project_id"`
	Repository string   `json:"repository_name"`
	Digest     string   `json:"digest"`
	Tags       []string `json:"tags"`
	CVE        string   `json:"cve_id"`
	Severity   string   `json:"severity"`
	Score      float64  `json:"cvss_v3_score"`
	Package    string   `json:"package"`
	Version    string   `json:"version"`
	Fixed      string   `json:"fixed_version"`
	Text       string   `json:"desc"`
	Links      []string `json:"links"`
	Scanner    string   `json:"scanner"` // ours
	First      string   `json:"first_found"`
}

const from = ` FROM scan_vuln v JOIN scan_finding f ON f.vuln = v.id JOIN scan_report r ON r.id = f.report JOIN manifest m ON m.digest = r.digest
	JOIN repo p ON p.id = m.repo_id WHERE f.place = (SELECT MIN(o.place) FROM scan_finding o WHERE o.report = f.report AND o.vuln = f.vuln) AND `

// maxCount bounds how far findings are counted.
const maxCount = 100_000

// Count counts the findings for which a condition holds, up to 100,000.
func (s *Service) Count(ctx context.Context, condition string, args []any) (n int, err error) {
	err = s.o.DB.QueryRow(ctx, fmt.Sprintf(`SELECT COUNT(*) FROM (SELECT 1 AS one%s%s LIMIT %d) AS found`, from, condition, maxCount), args...).Scan(&n)
	return n, err
}

// Search calls f for the findings for which a condition holds over Columns, with their artifacts, the worst first: at most limit,
// after offset of them; limit 0: all.
func (s *Service) Search(ctx context.Context, condition string, args []any, limit, offset int, f func(MatchForm) error) error {
	q := `SELECT p.project_id, p.name, m.digest, m.id, v.detail, v.score, r.scanner, f.first` + from + condition + ` ORDER BY v.severity DESC, v.id DESC, m.id`
	if limit > 0 {
		q += fmt.Sprintf(" LIMIT %d OFFSET %d", limit, offset)
	}
	rows, err := s.o.DB.Query(ctx, q, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var tags struct {
		of   int64
		list []string
	}
	for rows.Next() {
		var x MatchForm
		var manifest, tenths, first int64
		var text []byte
		if err := rows.Scan(&x.Project, &x.Repository, &x.Digest, &manifest, &text, &tenths, &x.Scanner, &first); err != nil {
			return err
		}
		var d detail
		if err := json.Unmarshal(text, &d); err != nil {
			return err
		}
		if tags.of != manifest {
			if tags.list, err = s.tags(ctx, manifest); err != nil {
				return err
			}
			tags.of = manifest
		}
		x.Tags, x.CVE, x.Severity, x.Score = tags.list, d.ID, d.Severity.String(), float64(tenths)/10
		x.Package, x.Version, x.Fixed = d.Package, d.Finding.Version, d.FixedIn
		x.Text, x.Links, x.First = d.Description, append([]string{}, d.Links...), stamp(at(first))
		if err := f(x); err != nil {
			return err
		}
	}
	return rows.Err()
}

// tags are the first of a manifest's.
func (s *Service) tags(ctx context.Context, manifest int64) ([]string, error) {
	const some = 20
	rows, err := s.o.DB.Query(ctx, `SELECT name FROM tag WHERE manifest_id = $1 ORDER BY name LIMIT $2`, manifest, some)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []string{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		list = append(list, name)
	}
	return list, rows.Err()
}

// State is what scans have found in the whole hub: Harbor's form.
type State struct {
	Critical   int              `json:"critical_cnt"`
	High       int              `json:"high_cnt"`
	Medium     int              `json:"medium_cnt"`
	Low        int              `json:"low_cnt"`
	None       int              `json:"none_cnt"` // negligible ones
	Unknown    int              `json:"unknown_cnt"`
	Total      int              `json:"total_vuls"`
	Fixable    int              `json:"fixable_cnt"`
	Scanned    int              `json:"scanned_cnt"`
	Artifacts  int              `json:"total_artifact"`
	WorstCVEs  []DangerousCVE   `json:"dangerous_cves"`
	WorstOnes  []DangerousImage `json:"dangerous_artifacts"`
	Unscanned  int              `json:"unscanned_cnt"` // ours
	FailedOnes int              `json:"failed_cnt"`    // ours: whose last scan failed
}

// DangerousCVE is one of the worst weaknesses.
type DangerousCVE struct {
	ID       string  `json:"cve_id"`
	Severity string  `json:"severity"`
	Score    float64 `json:"cvss_score_v3"`
	Text     string  `json:"desc"`
	Package  string  `json:"package"`
	Version  string  `json:"version"`
}

// DangerousImage is one of the worst images.
type DangerousImage struct {
	Project    int64  `json:"project_id"`
	Repository string `json:"repository_name"`
	Digest     string `json:"digest"`
	Critical   int    `json:"critical_cnt"`
	High       int    `json:"high_cnt"`
	Medium     int    `json:"medium_cnt"`
}

// worst is how many of the worst are told.
const worst = 5

// State counts what is found by the default scanner, each digest once.
func (s *Service) State(ctx context.Context) (State, error) {
	out := State{WorstCVEs: []DangerousCVE{}, WorstOnes: []DangerousImage{}}
	err := s.o.DB.QueryRow(ctx, `SELECT COUNT(DISTINCT digest) FROM manifest WHERE subject IS NULL AND media_type NOT LIKE '%index%' AND
		media_type NOT LIKE '%manifest.list%'`).Scan(&out.Artifacts)
	if err != nil {
		return out, err
	}
	x, err := s.Scanner(ctx, "")
	if err != nil {
		out.Unscanned = out.Artifacts
		return out, nil //nolint:nilerr // without a scanner nothing is scanned
	}
	if err := s.sum(ctx, x.Name, &out); err != nil {
		return out, err
	}
	out.Unscanned = max(0, out.Artifacts-out.Scanned)
	return out, s.worstCVEs(ctx, x.Name, &out)
}

func (s *Service) sum(ctx context.Context, scanner string, out *State) error {
	rows, err := s.o.DB.Query(ctx, `SELECT digest, status, first, summary FROM scan_report WHERE scanner = $1`, scanner)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var digest, status, text string
		var first int64
		if err := rows.Scan(&digest, &status, &first, &text); err != nil {
			return err
		}
		if status == string(jobs.Error) {
			out.FailedOnes++
		}
		if first == 0 {
			continue
		}
		var sum Summary
		if err := json.Unmarshal([]byte(text), &sum); err != nil {
			return err
		}
		n := func(s scan.Severity) int { return sum.Of[s.String()] }
		out.Scanned++
		out.Total += sum.Total
		out.Fixable += sum.Fixable
		out.Critical += n(scan.Critical)
		out.High += n(scan.High)
		out.Medium += n(scan.Medium)
		out.Low += n(scan.Low)
		out.None += n(scan.Negligible)
		out.Unknown += n(scan.Unknown)
		out.WorstOnes = append(out.WorstOnes, DangerousImage{Digest: digest, Critical: n(scan.Critical), High: n(scan.High), Medium: n(scan.Medium)})
		if len(out.WorstOnes) > 4*worst {
			out.WorstOnes = worstOf(out.WorstOnes)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	out.WorstOnes = worstOf(out.WorstOnes)
	for i := range out.WorstOnes {
		o := &out.WorstOnes[i]
		err := s.o.DB.QueryRow(ctx, `SELECT COALESCE(MIN(p.name), ''), COALESCE(MIN(p.project_id), 0) FROM manifest m JOIN repo p ON p.id = m.repo_id
			WHERE m.digest = $1`, o.Digest).Scan(&o.Repository, &o.Project)
		if err != nil {
			return err
		}
	}
	return nil
}

func worstOf(list []DangerousImage) []DangerousImage {
	slices.SortFunc(list, func(a, b DangerousImage) int {
		for _, d := range []int{b.Critical - a.Critical, b.High - a.High, b.Medium - a.Medium} {
			if d != 0 {
				return d
			}
		}
		return 0
	})
	list = list[:min(worst, len(list))]
	return slices.DeleteFunc(list, func(x DangerousImage) bool { return x.Critical+x.High+x.Medium == 0 })
}

func (s *Service) worstCVEs(ctx context.Context, scanner string, out *State) error {
	rows, err := s.o.DB.Query(ctx, `SELECT v.detail, v.score FROM scan_vuln v WHERE v.severity >= $1 AND EXISTS (SELECT 1 FROM scan_finding f
		JOIN scan_report r ON r.id = f.report WHERE f.vuln = v.id AND r.scanner = $2) ORDER BY v.severity DESC, v.id DESC LIMIT $3`, int64(scan.High), scanner, worst)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var text []byte
		var tenths int64
		if err := rows.Scan(&text, &tenths); err != nil {
			return err
		}
		var d detail
		if err := json.Unmarshal(text, &d); err != nil {
			return err
		}
		out.WorstCVEs = append(out.WorstCVEs, DangerousCVE{d.ID, d.Severity.String(), float64(tenths) / 10, d.Description, d.Package, d.Finding.Version})
	}
	return rows.Err()
}
