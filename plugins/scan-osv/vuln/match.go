package vuln

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"github.com/openvic/vic/plugins/scan-osv/inventory"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

// memory is what was asked for of one version of the database: images share most of their packages.
type memory struct {
	version string
	mu      sync.Mutex
	found   map[inventory.Lookup][]finding
	size    int // bytes, about
}

// finding is a weakness of a version of a package, of whatever image.
type finding struct{ scan.Finding }

const (
	maxRemembered = 64 << 20 // bytes; a kernel alone has thousands of findings, with some kilobytes of text each
	batch         = 500      // findings
)

func newMemory(version string) *memory {
	return &memory{version: version, found: map[inventory.Lookup][]finding{}}
}

func (m *memory) get(l inventory.Lookup) ([]finding, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.found[l]
	return f, ok
}

func (m *memory) put(l inventory.Lookup, f []finding) {
	const entry = 200 // bytes of one without its text
	size := entry + len(l.Ecosystem) + len(l.Name) + len(l.Version)
	for _, x := range f {
		size += x.size()
	}
	if size > maxRemembered {
		return // it is looked up each time
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.found[l]; ok {
		return // somebody else was quicker
	}
	if m.size+size > maxRemembered {
		m.found, m.size = map[inventory.Lookup][]finding{}, 0
	}
	m.found[l] = f
	m.size += size
}

// size is about how many bytes of memory a finding takes.
func (f finding) size() int {
	n := int(unsafe.Sizeof(f)) + len(f.ID) + len(f.FixedIn) + len(f.SeveritySource) + len(f.Description)
	for _, list := range [][]string{f.Aliases, f.Links, f.CWEs} {
		for _, s := range list {
			n += int(unsafe.Sizeof(s)) + len(s)
		}
	}
	for _, v := range f.CVSS {
		n += int(unsafe.Sizeof(v)) + len(v.Version) + len(v.Vector)
	}
	return n
}

// Match hands on what is known of the packages of an image, some at a time. Warnings say for which packages nothing can
// be known. Errors of give are returned as they are.
func (s *Snapshot) Match(ctx context.Context, image inventory.Image, give func([]scan.Finding) error) (warnings []string, err error) {
	var out []scan.Finding
	without := map[string]int{}
	for _, p := range image.Packages {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		l := p.Lookup(image.Distro)
		if l.Ecosystem == "" || !s.Has(l.Ecosystem) {
			without[cmp.Or(l.Ecosystem, unknown(p, image.Distro))]++
			continue
		}
		found, err := s.Find(ctx, l)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			f.Package, f.Version, f.Path, f.Layer, f.PURL = p.Name, p.Version, p.Path, p.Layer, p.PURL(image.Distro)
			out = append(out, f.Clip())
		}
		if len(out) >= batch {
			if err := give(out); err != nil {
				return nil, err
			}
			out = nil
		}
	}
	for name, n := range without {
		warnings = append(warnings, fmt.Sprintf("there are no data of %s: nothing is known of %d packages", name, n))
	}
	slices.Sort(warnings)
	if len(out) > 0 {
		return warnings, give(out)
	}
	return warnings, nil
}

func unknown(p inventory.Package, d inventory.Distro) string {
	return fmt.Sprintf("%q, packages of type %s", cmp.Or(d.Name, d.ID, "a distribution without a name"), p.Kind)
}

// Find lists what is known of a package.
func (s *Snapshot) Find(ctx context.Context, l inventory.Lookup) ([]scan.Finding, error) {
	found, ok := s.mem.get(l)
	if !ok {
		hits, err := s.hits(ctx, l)
		if err != nil {
			return nil, wrap(ctx, err)
		}
		found = combine(hits)
		s.mem.put(l, found)
	}
	out := make([]scan.Finding, len(found))
	for i, f := range found {
		out[i] = f.Finding
	}
	return out, nil
}

// hit is a record that affects a package.
type hit struct {
	id    string
	fixed string
	of    affected
	about advisory
}

func (s *Snapshot) hits(ctx context.Context, l inventory.Lookup) ([]hit, error) {
	rows, err := s.tx.QueryContext(ctx, `SELECT f.id, f.data, a.data FROM affected f JOIN advisory a ON a.source = f.source AND a.id = f.id
		WHERE f.ecosystem = ? AND f.package = ? ORDER BY f.id`, l.Ecosystem, l.Name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []hit
	for rows.Next() {
		var h hit
		var versions, text []byte
		if err := rows.Scan(&h.id, &versions, &text); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(versions, &h.of); err != nil {
			return nil, fmt.Errorf("%s: %v: %w", h.id, err, errdef.ErrInternal) //nolint:errorlint // one class
		}
		ok, fixed := h.of.hits(l.Version, l.Ecosystem)
		if !ok {
			continue
		}
		if err := json.Unmarshal(text, &h.about); err != nil {
			return nil, fmt.Errorf("%s: %v: %w", h.id, err, errdef.ErrInternal) //nolint:errorlint // one class
		}
		h.fixed = fixed
		list = append(list, h)
	}
	return list, rows.Err()
}

// combine makes one finding of all records that are about one CVE. A record about several CVEs is a finding for each, so
// that each can be allowed by itself.
func combine(hits []hit) []finding {
	at := map[string]int{}
	var all []finding
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Compare(a.rank(), b.rank()) })
	for _, h := range hits {
		ids := h.about.CVEs
		if len(ids) == 0 {
			ids = []string{h.id}
		}
		for _, id := range ids {
			i, ok := at[id]
			if !ok {
				i = len(all)
				at[id] = i
				all = append(all, h.finding(id))
				continue
			}
			all[i].add(h)
		}
	}
	for i := range all {
		all[i].Finding.Aliases = slices.DeleteFunc(all[i].Aliases, func(a string) bool { return a == all[i].ID })
	}
	slices.SortFunc(all, func(a, b finding) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// rank is lower for records that say more of how bad one CVE is: the distribution's own, then those of one CVE.
func (h hit) rank() int {
	r := 0
	if len(h.about.CVEs) > 1 {
		r += 10
	}
	switch h.of.Source {
	case "":
		r += 3
	case "database":
		r += 2
	case "cvss":
		r++
	}
	return r
}

func (h hit) finding(id string) finding {
	return finding{scan.Finding{ID: id, Aliases: slices.Clone(h.about.Aliases), FixedIn: h.fixed, Severity: h.of.Severity, SeveritySource: h.of.Source,
		Description: h.about.Description, Links: slices.Clone(h.about.Links), CVSS: h.cvss(), CWEs: slices.Clone(h.about.CWEs), Published: h.about.Published}}
}

func (h hit) cvss() []scan.CVSS {
	if len(h.of.CVSS) > 0 {
		return h.of.CVSS
	}
	return h.about.CVSS
}

// add takes from another record about the same what is missing.
func (f *finding) add(h hit) {
	f.FixedIn = cmp.Or(f.FixedIn, h.fixed)
	f.Description = cmp.Or(f.Description, h.about.Description)
	if f.Severity == scan.Unknown {
		f.Severity, f.SeveritySource = h.of.Severity, h.of.Source
	}
	if len(f.CVSS) == 0 {
		f.CVSS = h.cvss()
	}
	if len(f.CWEs) == 0 {
		f.CWEs = h.about.CWEs
	}
	union := func(list, more []string, max int) []string {
		for _, s := range more {
			if len(list) < max && !slices.Contains(list, s) {
				list = append(list, s)
			}
		}
		return list
	}
	f.Aliases = union(f.Aliases, h.about.Aliases, scan.MaxAliases)
	f.Links = union(f.Links, h.about.Links, scan.MaxLinks)
}
