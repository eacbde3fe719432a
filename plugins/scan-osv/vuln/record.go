// Package vuln is the database of weaknesses: OSV's records, imported from the archives that osv.dev publishes for each
// ecosystem, and asked package by package.
package vuln

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openvic/vic/plugins/scan-osv/inventory"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

// record is one file of OSV: https://ossf.github.io/osv-schema.
type record struct {
	ID               string           `json:"id"`
	Summary          string           `json:"summary"`
	Details          string           `json:"details"`
	Published        time.Time        `json:"published"`
	Withdrawn        string           `json:"withdrawn"`
	Aliases          []string         `json:"aliases"`
	Upstream         []string         `json:"upstream"`
	Severity         []rating         `json:"severity"`
	References       []reference      `json:"references"`
	Affected         []affectedRecord `json:"affected"`
	DatabaseSpecific word             `json:"database_specific"`
}

type reference struct {
	URL string `json:"url"`
}

type affectedRecord struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
	} `json:"package"`
	Severity          []rating `json:"severity"`
	Ranges            []span   `json:"ranges"`
	Versions          []string `json:"versions"`
	EcosystemSpecific word     `json:"ecosystem_specific"`
	DatabaseSpecific  word     `json:"database_specific"`
}

// rating is a vector of CVSS, or a distribution's word.
type rating struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

// word is what databases say of severity in their own fields. They put anything there: what is no text is none.
type word struct {
	Severity, Urgency string
	CWEs              []string
}

// UnmarshalJSON takes what it knows.
func (w *word) UnmarshalJSON(data []byte) error {
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil {
		return nil //nolint:nilerr // not an object: nothing that one could use
	}
	for name, into := range map[string]any{"severity": &w.Severity, "urgency": &w.Urgency, "cwe_ids": &w.CWEs} {
		if json.Unmarshal(fields[name], into) != nil && name == "cwe_ids" {
			w.CWEs = nil
		}
	}
	return nil
}

// span is a range of versions, as the database keeps it.
type span struct {
	Type   string  `json:"type"`
	Events []event `json:"events"`
}

type event struct {
	Introduced   string `json:"introduced,omitempty"`
	Fixed        string `json:"fixed,omitempty"`
	LastAffected string `json:"last_affected,omitempty"`
}

// advisory is what the database keeps of a record, for all packages.
type advisory struct {
	CVEs        []string    `json:"cves,omitempty"`
	Aliases     []string    `json:"aliases,omitempty"`
	Description string      `json:"description,omitempty"`
	Links       []string    `json:"links,omitempty"`
	CVSS        []scan.CVSS `json:"cvss,omitempty"`
	CWEs        []string    `json:"cwes,omitempty"`
	Published   time.Time   `json:"published,omitzero"`
}

// affected is what the database keeps of a record for one package of one ecosystem.
type affected struct {
	Spans    []span        `json:"spans,omitempty"`
	Versions []string      `json:"versions,omitempty"`
	Severity scan.Severity `json:"severity"`
	Source   string        `json:"source,omitempty"` // of the severity
	CVSS     []scan.CVSS   `json:"cvss,omitempty"`   // for this package, if it has its own
}

// row is what is affected by a record.
type row struct {
	ecosystem, name string
	affected
}

// The bounds of a record.
const (
	maxRecord   = 16 << 20 // bytes
	maxAffected = 20_000
	maxEvents   = 10_000 // of a package
	maxVersions = 100_000
)

// parse reads a record for one ecosystem. A record that is withdrawn, or of other ecosystems, has no rows. The hash tells
// records apart.
func parse(data []byte, ecosystem string) (id string, a advisory, rows []row, hash uint64, err error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return "", a, nil, 0, fmt.Errorf("%v: %w", err, errdef.ErrInvalid) //nolint:errorlint // one class
	}
	switch {
	case r.ID == "" || len(r.ID) > scan.MaxID || strings.ContainsFunc(r.ID, func(c rune) bool { return c <= ' ' || c > '~' }):
		return "", a, nil, 0, fmt.Errorf("%.60q is no ID: %w", r.ID, errdef.ErrInvalid)
	case len(r.Affected) > maxAffected:
		return "", a, nil, 0, fmt.Errorf("%s affects more than %d packages: %w", r.ID, maxAffected, errdef.ErrInvalid)
	}
	if r.Withdrawn != "" {
		return r.ID, a, nil, 0, nil
	}
	at := map[[2]string]int{}
	for _, x := range r.Affected {
		if base, _, _ := strings.Cut(x.Package.Ecosystem, ":"); x.Package.Ecosystem != ecosystem && base != ecosystem {
			continue
		}
		one := row{ecosystem: inventory.Ecosystem(x.Package.Ecosystem)}
		one.name = inventory.Name(one.ecosystem, x.Package.Name)
		if one.name == "" || len(one.name) > scan.MaxName || len(one.ecosystem) > scan.MaxName {
			continue
		}
		if err := one.take(x); err != nil {
			return "", a, nil, 0, fmt.Errorf("%s: %w", r.ID, err)
		}
		one.Severity, one.Source, one.CVSS = rate(r, x)
		if len(one.Spans) == 0 && len(one.Versions) == 0 {
			continue
		}
		key := [2]string{one.ecosystem, one.name}
		if i, ok := at[key]; ok { // several streams of a release
			rows[i].Spans, rows[i].Versions = append(rows[i].Spans, one.Spans...), append(rows[i].Versions, one.Versions...)
			continue
		}
		at[key] = len(rows)
		rows = append(rows, one)
	}
	sum := sha256.Sum256(data)
	return r.ID, r.advisory(), rows, binary.BigEndian.Uint64(sum[:]), nil
}

// take reads which versions are affected.
func (o *row) take(x affectedRecord) error {
	events := 0
	for _, s := range x.Ranges {
		if s.Type == "GIT" {
			continue
		}
		if events += len(s.Events); events > maxEvents {
			return fmt.Errorf("%.100q has more than %d events: %w", x.Package.Name, maxEvents, errdef.ErrInvalid)
		}
		s.Events = slices.DeleteFunc(s.Events, func(e event) bool { return len(e.Introduced)+len(e.Fixed)+len(e.LastAffected) > scan.MaxName })
		if len(s.Events) > 0 {
			o.Spans = append(o.Spans, s)
		}
	}
	if len(x.Versions) > maxVersions {
		return fmt.Errorf("%.100q has more than %d versions: %w", x.Package.Name, maxVersions, errdef.ErrInvalid)
	}
	if len(o.Spans) == 0 || o.Spans[0].Type != "ECOSYSTEM" || !distribution(o.ecosystem) {
		// Distributions list the versions that a range has; it says the same for less.
		o.Versions = x.Versions
	}
	return nil
}

func distribution(ecosystem string) bool {
	base, _, _ := strings.Cut(ecosystem, ":")
	return !slices.Contains([]string{"PyPI", "Go", "npm", "Maven", "crates.io"}, base)
}

func (r record) advisory() advisory {
	a := advisory{Description: r.Summary, Published: r.Published, CVSS: vectors(r.Severity), CWEs: r.DatabaseSpecific.CWEs}
	if r.Details != "" && r.Details != r.Summary {
		a.Description = strings.TrimSpace(r.Summary + "\n\n" + r.Details)
	}
	for _, id := range append([]string{r.ID}, append(r.Aliases, r.Upstream...)...) {
		if strings.HasPrefix(id, "CVE-") && !slices.Contains(a.CVEs, id) {
			a.CVEs = append(a.CVEs, id)
		} else if !slices.Contains(a.Aliases, id) && len(a.Aliases) < scan.MaxAliases {
			a.Aliases = append(a.Aliases, id)
		}
	}
	a.Links = []string{"https://osv.dev/vulnerability/" + r.ID}
	for _, ref := range r.References {
		if len(a.Links) < scan.MaxLinks && !slices.Contains(a.Links, ref.URL) {
			a.Links = append(a.Links, ref.URL)
		}
	}
	f := scan.Finding{ID: r.ID, Package: "-", Description: a.Description, Links: a.Links, CWEs: a.CWEs, Published: a.Published}.Clip()
	a.Description, a.Links, a.CWEs, a.Published = f.Description, f.Links, f.CWEs, f.Published
	a.CVEs = a.CVEs[:min(len(a.CVEs), maxCVEs)]
	return a
}

const maxCVEs = 1000 // of one record: an update of a kernel has hundreds
