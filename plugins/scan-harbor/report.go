package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

const batch = 500 // findings

// parsed is what a report says beside its findings.
type parsed struct {
	generated time.Time
	sbom      json.RawMessage
	media     string
}

// parse reads a report as it comes: findings go on in batches, so that a long report takes no memory. source is who says how
// bad they are. Errors of give are returned as they are.
func parse(r io.Reader, source string, give func([]scan.Finding) error) (parsed, error) {
	p := &parser{dec: json.NewDecoder(r), source: source, give: give}
	err := p.object()
	if err == nil {
		err = p.flush()
	}
	if failed := (*giveError)(nil); errors.As(err, &failed) {
		return parsed{}, failed.err
	}
	if err == nil || errors.Is(err, errdef.ErrInternal) || errors.Is(err, errdef.ErrUnavailable) {
		return p.out, err
	}
	return parsed{}, fmt.Errorf("the scanner's report is not as the API has it: %v: %w", err, errdef.ErrInternal) //nolint:errorlint // one class
}

type giveError struct{ err error }

func (g *giveError) Error() string { return g.err.Error() }

type parser struct {
	dec    *json.Decoder
	source string
	give   func([]scan.Finding) error
	out    parsed
	list   []scan.Finding
	total  int
}

func (p *parser) delim(want json.Delim) error {
	t, err := p.dec.Token()
	if err == nil && t != want {
		err = fmt.Errorf("%v where %v should be", t, want)
	}
	return err
}

func (p *parser) object() error {
	if err := p.delim('{'); err != nil {
		return err
	}
	for p.dec.More() {
		key, err := p.dec.Token()
		if err != nil {
			return err
		}
		switch key {
		case "generated_at":
			var text string
			err = p.dec.Decode(&text)
			if t, bad := time.Parse(time.RFC3339, text); bad == nil {
				p.out.generated = t.UTC()
			}
		case "vulnerabilities":
			err = p.vulnerabilities()
		case "sbom":
			err = p.dec.Decode(&p.out.sbom)
		case "media_type":
			err = p.dec.Decode(&p.out.media)
		default:
			var skip json.RawMessage
			err = p.dec.Decode(&skip)
		}
		if err != nil {
			return err
		}
	}
	return p.delim('}')
}

func (p *parser) vulnerabilities() error {
	t, err := p.dec.Token()
	if err != nil || t == nil { // null
		return err
	}
	if t != json.Delim('[') {
		return fmt.Errorf("vulnerabilities: %v is no list", t)
	}
	for p.dec.More() {
		var v wireVulnerability
		if err := p.dec.Decode(&v); err != nil {
			return err
		}
		if v.ID == "" || v.Package == "" {
			return errors.New("vulnerabilities: one has no id or no package")
		}
		if p.total++; p.total > scan.MaxFindings {
			return fmt.Errorf("vulnerabilities: there are more than %d", scan.MaxFindings)
		}
		p.list = append(p.list, finding(v, p.source))
		if len(p.list) == batch {
			if err := p.flush(); err != nil {
				return err
			}
		}
	}
	return p.delim(']')
}

func (p *parser) flush() error {
	if len(p.list) == 0 {
		return nil
	}
	list := p.list
	p.list = nil
	if err := p.give(list); err != nil {
		return &giveError{err}
	}
	return nil
}

var severities = map[string]scan.Severity{"none": scan.Negligible, "negligible": scan.Negligible, "low": scan.Low, "medium": scan.Medium, "high": scan.High,
	"critical": scan.Critical}

// finding makes ours of theirs. Texts stay what they are, HTML too: who shows them shows text.
func finding(v wireVulnerability, source string) scan.Finding {
	f := scan.Finding{ID: v.ID, Package: v.Package, Version: v.Version, FixedIn: v.FixVersion,
		SeveritySource: source, Severity: severities[strings.ToLower(v.Severity)], Description: v.Description, Links: v.Links, CWEs: v.CWEs}
	if f.Severity == 0 {
		f.Severity, f.SeveritySource = scan.Unknown, ""
	}
	if v.Layer != nil {
		f.Layer = v.Layer.DiffID
	}
	if c := v.CVSS; c != nil {
		if c.ScoreV3 != nil && (*c.ScoreV3 > 0 || c.VectorV3 != "") {
			f.CVSS = append(f.CVSS, scan.CVSS{Version: versionOf(c.VectorV3), Vector: c.VectorV3, Score: *c.ScoreV3})
		}
		if c.ScoreV2 != nil && (*c.ScoreV2 > 0 || c.VectorV2 != "") {
			f.CVSS = append(f.CVSS, scan.CVSS{Version: "2.0", Vector: c.VectorV2, Score: *c.ScoreV2})
		}
	}
	if len(v.Vendor) > 0 && string(v.Vendor) != "null" {
		f.VendorJSON = v.Vendor
	}
	return f.Clip()
}

// versionOf is the version in a vector of CVSS 3 or 4.
func versionOf(vector string) string {
	rest, ok := strings.CutPrefix(vector, "CVSS:")
	version, _, _ := strings.Cut(rest, "/")
	if !ok || version != "3.0" && version != "4.0" {
		return "3.1"
	}
	return version
}
