package scan

import (
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/openvic/vic/sdk/internal/wire"
)

// The bounds of what crosses the wire. Texts are in bytes. Both sides enforce them.
const (
	MaxFindings    = 1_000_000 // of a report
	MaxDocument    = 256 << 20 // of each SBOM, made or matched
	MaxImport      = 4 << 30
	MaxWarnings    = 100
	MaxWarning     = 1 << 10
	MaxEcosystems  = 1000
	MaxChanges     = 100_000 // packages; more are Changes.All
	MaxMediaTypes  = 100     // of a Support
	MaxID          = 128     // also of aliases and CWEs
	MaxAliases     = 32
	MaxCWEs        = 32
	MaxName        = 512 // of packages, versions, repositories, media types, steps and the like
	MaxPURL        = 1 << 10
	MaxPath        = 4 << 10
	MaxDescription = 16 << 10
	MaxLinks       = 64
	MaxLink        = 2 << 10
	MaxCVSS        = 8
	MaxVendorJSON  = 32 << 10
	MaxCA          = 256 << 10
	MaxSecret      = 16 << 10
	maxMessage     = 1 << 20
	maxChanges     = 128 << 20 // the message of Changes
	batchBytes     = 256 << 10 // of findings in a message, roughly
)

type check struct{ wire.Check }

func web(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

func (c *check) want(field string, w Want, allowed ...Want) {
	c.That(slices.Contains(allowed, w), "%s: %q is none of %q", field, w, allowed)
}

func (c *check) filled(field, s string, max int) {
	c.Line(field, s, max)
	c.That(s != "", "%s: is empty", field)
}

func (d Description) check() error {
	var c check
	c.filled("name", d.Name, MaxName)
	c.Line("vendor", d.Vendor, MaxName)
	c.Line("version", d.Version, MaxName)
	c.Count("supports", len(d.Supports), 3)
	if c.Err() != nil {
		return c.Err()
	}
	for i, s := range d.Supports {
		c.want("supports", s.Want, Vulnerability, SPDX, CycloneDX)
		twice := slices.ContainsFunc(d.Supports[:i], func(o Support) bool { return o.Want == s.Want })
		c.That(!twice, "supports: %q is there twice", s.Want)
		c.Lines("media types", s.MediaTypes, MaxMediaTypes, MaxName)
		c.That(len(s.MediaTypes) > 0, "media types: there are none for %q", s.Want)
	}
	return c.Err()
}

func (d Database) check() error {
	var c check
	c.Line("database version", d.Version, MaxID)
	c.That(d.Version == "" || !d.Updated.IsZero(), "database: has a version and no time")
	c.Time("updated", d.Updated)
	c.Prose("problem", d.Problem, MaxWarning)
	c.Count("ecosystems", len(d.Ecosystems), MaxEcosystems)
	if c.Err() != nil {
		return c.Err()
	}
	for _, e := range d.Ecosystems {
		c.filled("ecosystem", e.Name, MaxName)
		c.Time("updated", e.Updated)
		c.That(e.Records >= 0, "records: %d is none", e.Records)
	}
	return c.Err()
}

func (r ScanRequest) check() error {
	var c check
	c.filled("id", r.ID, MaxID)
	c.Line("registry", r.Registry.URL, MaxLink)
	c.That(web(r.Registry.URL), "registry: is no address with https or http")
	c.Size("CA", len(r.Registry.CA), MaxCA)
	c.Line("authorization", string(r.Registry.Authorization), MaxSecret)
	c.filled("repository", r.Repository, MaxName)
	c.filled("digest", r.Digest, MaxID)
	c.Line("tag", r.Tag, MaxID)
	c.filled("media type", r.MediaType, MaxName)
	c.That(len(r.Wants) >= 1 && len(r.Wants) <= 3, "wants: there are %d, not 1 to 3", len(r.Wants))
	for i, w := range r.Wants {
		c.want("wants", w, Vulnerability, SPDX, CycloneDX)
		c.That(!slices.Contains(r.Wants[:i], w), "wants: %q is there twice", w)
	}
	return c.Err()
}

func (r MatchRequest) check() error {
	var c check
	c.filled("id", r.ID, MaxID)
	c.want("format", r.Format, SPDX, CycloneDX)
	return c.Err()
}

func (r ImportRequest) check() error {
	var c check
	c.filled("format", r.Format, MaxID)
	c.filled("ecosystem", r.Ecosystem, MaxName)
	sum, err := hex.DecodeString(r.SHA256)
	c.That(err == nil && len(sum) == 32 && strings.ToLower(r.SHA256) == r.SHA256, "sha256: is not 64 digits of lower case hex")
	return c.Err()
}

func (r ChangesRequest) check() error {
	var c check
	c.Line("since", r.Since, MaxID)
	return c.Err()
}

func (r Changes) check() error {
	var c check
	c.filled("version", r.Version, MaxID)
	c.Lines("packages", r.Packages, MaxChanges, MaxPURL)
	return c.Err()
}

func (p Progress) check() error {
	var c check
	c.Line("step", p.Step, MaxName)
	c.That(p.Percent >= 0 && p.Percent <= 100, "percent: %d is not between 0 and 100", p.Percent)
	return c.Err()
}

func (r Report) check() error {
	var c check
	c.That(!r.Generated.IsZero(), "generated: there is no time")
	c.Time("generated", r.Generated)
	c.Time("database updated", r.DatabaseUpdated)
	c.Line("database version", r.Database, MaxID)
	c.Count("warnings", len(r.Warnings), MaxWarnings)
	if c.Err() != nil {
		return c.Err()
	}
	for _, w := range r.Warnings {
		c.Prose("warnings", w, MaxWarning)
	}
	return c.Err()
}

func (f Finding) check() error {
	var c check
	c.filled("id", f.ID, MaxID)
	c.Lines("aliases", f.Aliases, MaxAliases, MaxID)
	c.filled("package", f.Package, MaxName)
	c.Line("version", f.Version, MaxName)
	c.Line("fixed in", f.FixedIn, MaxName)
	c.That(f.Severity >= Unknown && f.Severity <= Critical, "severity: %d is none", f.Severity)
	c.Line("severity source", f.SeveritySource, MaxID)
	c.Prose("description", f.Description, MaxDescription)
	c.Lines("links", f.Links, MaxLinks, MaxLink)
	c.Lines("CWEs", f.CWEs, MaxCWEs, MaxID)
	c.Line("purl", f.PURL, MaxPURL)
	c.Line("layer", f.Layer, MaxID)
	c.Line("path", f.Path, MaxPath)
	c.Time("published", f.Published)
	c.Size("vendor JSON", len(f.VendorJSON), MaxVendorJSON)
	c.Count("CVSS", len(f.CVSS), MaxCVSS)
	if c.Err() != nil {
		return c.Err()
	}
	c.That(!slices.ContainsFunc(f.Links, func(l string) bool { return !web(l) }), "links: one is no address with https or http")
	c.That(len(f.VendorJSON) == 0 || json.Valid(f.VendorJSON), "vendor JSON: is no JSON")
	for _, v := range f.CVSS {
		c.Line("CVSS version", v.Version, MaxID)
		c.Line("CVSS vector", v.Vector, MaxName)
		c.That(v.Score >= 0 && v.Score <= 10, "CVSS score: %v is not between 0 and 10", v.Score)
	}
	return c.Err()
}

// Clip returns the finding with what may be missing cut to the bounds: texts are shortened, control
// characters go, surplus links, aliases, CWEs and ratings too. A severity that is none becomes Unknown. An
// ID or a package that is missing stays so.
func (f Finding) Clip() Finding {
	line := func(s string, max int) string { return clip(s, max, false) }
	lines := func(list []string, n, max int) []string {
		var out []string
		for _, s := range list[:min(n, len(list))] {
			out = append(out, line(s, max))
		}
		return out
	}
	f.ID, f.Package, f.Version = line(f.ID, MaxID), line(f.Package, MaxName), line(f.Version, MaxName)
	f.FixedIn, f.SeveritySource, f.PURL = line(f.FixedIn, MaxName), line(f.SeveritySource, MaxID), line(f.PURL, MaxPURL)
	f.Layer, f.Path = line(f.Layer, MaxID), line(f.Path, MaxPath)
	f.Description = clip(f.Description, MaxDescription, true)
	f.Aliases, f.CWEs = lines(f.Aliases, MaxAliases, MaxID), lines(f.CWEs, MaxCWEs, MaxID)
	var links []string
	for _, l := range f.Links {
		if len(links) < MaxLinks && len(l) <= MaxLink && line(l, MaxLink) == l && web(l) {
			links = append(links, l)
		}
	}
	f.Links = links
	var ratings []CVSS
	for _, v := range f.CVSS {
		if len(ratings) < MaxCVSS && v.Score >= 0 && v.Score <= 10 {
			ratings = append(ratings, CVSS{Version: line(v.Version, MaxID), Vector: line(v.Vector, MaxName), Score: v.Score})
		}
	}
	f.CVSS = ratings
	if y := f.Published.Year(); y < 1 || y > 9999 {
		f.Published = time.Time{}
	}
	if len(f.VendorJSON) > MaxVendorJSON || !json.Valid(f.VendorJSON) {
		f.VendorJSON = nil
	}
	if f.Severity < Unknown || f.Severity > Critical {
		f.Severity = Unknown
	}
	return f
}

// clip makes UTF-8 without control characters of s and cuts it.
func clip(s string, max int, breaks bool) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && !(breaks && strings.ContainsRune("\n\r\t", r)) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > max {
		s = strings.ToValidUTF8(s[:max], "")
	}
	return s
}
