package scanning

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/sdk/scan"
)

// ReportType is the media type of reports as Harbor's clients know them.
const ReportType = "application/vnd.security.vulnerability.report; version=1.1"

// HarborOverview is Harbor's form of the head of a report.
type HarborOverview struct {
	ID       string      `json:"report_id"`
	Status   jobs.Status `json:"scan_status"`
	Message  string      `json:"scan_message,omitempty"` // ours: why the scan did not succeed
	Severity string      `json:"severity"`
	Duration int64       `json:"duration"` // seconds
	Summary  *Summary    `json:"summary"`
	Start    string      `json:"start_time"`
	End      string      `json:"end_time,omitempty"`
	Percent  int         `json:"complete_percent"`
	Scanner  Tool        `json:"scanner"`
	// What follows is ours: the age of what the findings were compared with.
	Database        string `json:"database_version,omitempty"`
	DatabaseUpdated string `json:"database_updated,omitempty"`
}

// Harbor makes Harbor's form.
func (o Overview) Harbor() HarborOverview {
	out := HarborOverview{ID: strconv.FormatInt(o.ID, 10), Status: o.Status, Message: o.Message, Severity: o.Severity.String(), Start: stamp(o.Started),
		Scanner: o.Tool, Database: o.Database, DatabaseUpdated: stamp(o.DatabaseUpdated)}
	if !o.First.IsZero() {
		out.Summary = &o.Summary
	}
	if o.Status.Ended() {
		out.Percent, out.End, out.Duration = 100, stamp(o.Ended), max(0, int64(o.Ended.Sub(o.Started).Seconds()))
	}
	return out
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// HarborReport is Harbor's form of a report.
type HarborReport struct {
	Generated       string          `json:"generated_at"`
	Scanner         Tool            `json:"scanner"`
	Severity        string          `json:"severity"`
	Warnings        []string        `json:"warnings,omitempty"` // ours
	Vulnerabilities []HarborFinding `json:"vulnerabilities"`
}

// HarborFinding is Harbor's form of a finding.
type HarborFinding struct {
	ID          string          `json:"id"`
	Package     string          `json:"package"`
	Version     string          `json:"version"`
	Fix         string          `json:"fix_version"`
	Severity    string          `json:"severity"`
	Description string          `json:"description"`
	Links       []string        `json:"links"`
	Digests     []string        `json:"artifact_digests"`
	CVSS        *HarborCVSS     `json:"preferred_cvss,omitempty"`
	CWEs        []string        `json:"cwe_ids"`
	Vendor      json.RawMessage `json:"vendor_attributes,omitempty"`
	// What follows is ours.
	Aliases []string `json:"aliases,omitempty"`
	Source  string   `json:"severity_source,omitempty"`
	Layer   string   `json:"layer,omitempty"`
	Path    string   `json:"path,omitempty"`
	First   string   `json:"first_found"`
}

// HarborCVSS is Harbor's form of the ratings of a weakness.
type HarborCVSS struct {
	ScoreV3  *float64 `json:"score_v3,omitempty"`
	ScoreV2  *float64 `json:"score_v2,omitempty"`
	VectorV3 string   `json:"vector_v3"`
	VectorV2 string   `json:"vector_v2"`
}

// Harbor makes Harbor's form.
func (f Finding) Harbor() HarborFinding {
	out := HarborFinding{ID: f.ID, Package: f.Package, Version: f.Version, Fix: f.FixedIn, Severity: f.Severity.String(), Description: f.Description,
		Links: append([]string{}, f.Links...), Digests: []string{f.Digest}, CWEs: append([]string{}, f.CWEs...), Vendor: f.VendorJSON, Aliases: f.Aliases,
		Source: f.SeveritySource, Layer: f.Layer, Path: f.Path, First: stamp(f.First)}
	out.CVSS = cvssOf(f.CVSS)
	return out
}

func cvssOf(list []scan.CVSS) *HarborCVSS {
	if len(list) == 0 {
		return nil
	}
	var out HarborCVSS
	for _, c := range list {
		value := c.Score
		switch {
		case c.Version != "" && c.Version[0] == '2' && out.ScoreV2 == nil:
			out.ScoreV2, out.VectorV2 = &value, c.Vector
		case c.Version != "" && c.Version[0] == '3' && out.ScoreV3 == nil:
			out.ScoreV3, out.VectorV3 = &value, c.Vector
		}
	}
	return &out
}
