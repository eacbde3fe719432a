package scanning

import (
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/scan"
)

// Tool is the scanner of a report.
type Tool struct {
	Name    string `json:"name"`
	Vendor  string `json:"vendor"`
	Version string `json:"version"`
}

// Summary counts the findings of a report, each once however often it is in the image.
type Summary struct {
	Total   int            `json:"total"`
	Fixable int            `json:"fixable"`
	Of      map[string]int `json:"summary"` // by the name of a severity
}

type key struct{ vuln, place int64 }

// keep makes what was found a report's, within the transaction that ends the scan.
func (s *Service) keep(tx *store.Tx, digest string, scanner Scanner, f *found) (Overview, error) {
	var o Overview
	var id, first int64
	err := tx.Lock(`SELECT id, first FROM scan_report WHERE digest = $1 AND scanner = $2`, digest, scanner.Name).Scan(&id, &first)
	if err != nil {
		return o, err
	}
	now := s.now()
	if first == 0 {
		first = now
	}
	summary, worst, err := s.replace(tx, id, now, f.links)
	if err != nil {
		return o, err
	}
	count, err := json.Marshal(summary)
	if err != nil {
		return o, err
	}
	tool, err := json.Marshal(Tool{f.tool.Name, f.tool.Vendor, f.tool.Version})
	if err != nil {
		return o, err
	}
	warnings, err := json.Marshal(append([]string{}, f.report.Warnings...))
	if err != nil {
		return o, err
	}
	_, err = tx.Exec(`UPDATE scan_report SET status = 'Success', message = '', ended = $1, first = $2, generated = $3, database_version = $4,
		database_updated = $5, severity = $6, summary = $7, tool = $8, warnings = $9 WHERE id = $10`,
		now, first, f.report.Generated.UnixMilli(), f.report.Database, milli(f.report.DatabaseUpdated), int64(worst), string(count),
		string(tool), string(warnings), id)
	if err != nil {
		return o, err
	}
	if f.packer != nil {
		if err := keepSBOM(tx, id, f); err != nil {
			return o, err
		}
	}
	return overview(tx.Row(selectOverview+` WHERE id = $1`, id).Scan)
}

func milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// replace makes links the findings of a report, writing what is different alone. A weakness that is known already keeps since
// when, also when something of its text has changed.
func (s *Service) replace(tx *store.Tx, report, now int64, links []link) (Summary, scan.Severity, error) {
	old, since, err := findingsOf(tx, report)
	if err != nil {
		return Summary{}, 0, err
	}
	sum, worst, counted, wanted := Summary{Of: map[string]int{}}, scan.Severity(0), map[int64]bool{}, map[key]bool{}
	for _, l := range links {
		k := key{l.vuln, l.place}
		if wanted[k] {
			continue
		}
		wanted[k] = true
		if !counted[l.vuln] {
			counted[l.vuln] = true
			sum.Total++
			sum.Of[l.severity.String()]++
			if l.fixed {
				sum.Fixable++
			}
			worst = max(worst, l.severity)
		}
		if old[k] {
			delete(old, k)
			continue
		}
		first, known := since[[2]string{l.cve, l.pkg}]
		if !known {
			first = now
		}
		if _, err := tx.Exec(`INSERT INTO scan_finding (report, vuln, place, first) VALUES ($1, $2, $3, $4)`, report, l.vuln, l.place, first); err != nil {
			return sum, worst, err
		}
	}
	for k := range old {
		if _, err := tx.Exec(`DELETE FROM scan_finding WHERE report = $1 AND vuln = $2 AND place = $3`, report, k.vuln, k.place); err != nil {
			return sum, worst, err
		}
	}
	return sum, worst, nil
}

// findingsOf are those of a report, and since when each weakness of a package is known.
func findingsOf(tx *store.Tx, report int64) (map[key]bool, map[[2]string]int64, error) {
	rows, err := tx.Query(tx.Context(), `SELECT f.vuln, f.place, f.first, v.cve, v.package FROM scan_finding f JOIN scan_vuln v ON v.id = f.vuln
		WHERE f.report = $1`, report)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	all, since := map[key]bool{}, map[[2]string]int64{}
	for rows.Next() {
		var k key
		var first int64
		var name [2]string
		if err := rows.Scan(&k.vuln, &k.place, &first, &name[0], &name[1]); err != nil {
			return nil, nil, err
		}
		all[k] = true
		if was, ok := since[name]; !ok || first < was {
			since[name] = first
		}
	}
	return all, since, rows.Err()
}

// keepSBOM keeps the document and what packages are in it.
func keepSBOM(tx *store.Tx, report int64, f *found) error {
	if err := f.packer.Close(); err != nil {
		return err
	}
	var numbers []int64
	for _, name := range f.names.sorted() {
		n, err := number(tx, `scan_package WHERE name = $1`, []any{name}, `INSERT INTO scan_package (name) VALUES ($1) ON CONFLICT (name) DO NOTHING`, name)
		if err != nil {
			return err
		}
		numbers = append(numbers, n)
	}
	_, err := tx.Exec(`INSERT INTO scan_sbom (report, format, size, packages, document) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (report) DO UPDATE SET format = excluded.format, size = excluded.size, packages = excluded.packages, document = excluded.document`,
		report, string(f.format), f.size, packNumbers(numbers), f.document.Bytes())
	return err
}

// packNumbers writes numbers as the differences of their order.
func packNumbers(list []int64) []byte {
	slices.Sort(list)
	out, last := []byte{}, int64(0)
	for _, n := range list {
		out = binary.AppendUvarint(out, uint64(n-last)) //nolint:gosec // they are in order
		last = n
	}
	return out
}

// holds says whether packed numbers have one of some.
func holds(packed []byte, some map[int64]bool) bool {
	var at int64
	for len(packed) > 0 {
		d, n := binary.Uvarint(packed)
		if n <= 0 {
			return true // it is damaged
		}
		at += int64(d) //nolint:gosec // so packNumbers wrote it
		if some[at] {
			return true
		}
		packed = packed[n:]
	}
	return false
}

// Overview is the head of a report.
type Overview struct {
	ID              int64
	Digest, Scanner string
	Status          jobs.Status // of the last scan
	Message         string
	Execution       int64
	Started, Ended  time.Time
	// First is when the first scan succeeded; zero: none has, and there is nothing of what follows.
	First, Generated time.Time
	Database         string
	DatabaseUpdated  time.Time
	Severity         scan.Severity // the highest; 0: there are no findings
	Summary          Summary
	Tool             Tool
	Warnings         []string
}

const selectOverview = `SELECT id, digest, scanner, status, message, execution, started, ended, first, generated, database_version, database_updated, severity,
	summary, tool, warnings FROM scan_report`

func overview(scanRow func(...any) error) (o Overview, err error) {
	var started, ended, first, generated, updated, severity int64
	var summary, tool, warnings string
	err = scanRow(&o.ID, &o.Digest, &o.Scanner, &o.Status, &o.Message, &o.Execution, &started, &ended, &first, &generated, &o.Database, &updated, &severity,
		&summary, &tool, &warnings)
	if err != nil {
		return o, err
	}
	o.Started, o.Ended, o.First, o.Generated, o.DatabaseUpdated = at(started), at(ended), at(first), at(generated), at(updated)
	o.Severity = scan.Severity(severity)
	return o, errors.Join(json.Unmarshal([]byte(summary), &o.Summary), json.Unmarshal([]byte(tool), &o.Tool), json.Unmarshal([]byte(warnings), &o.Warnings))
}

func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func overviewRow(r *sql.Rows) (Overview, error) { return overview(r.Scan) }
