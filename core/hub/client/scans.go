package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
)

// ScanReport is the head of the report of the last scan of an artifact.
type ScanReport struct {
	Status   string `json:"scan_status"`
	Message  string `json:"scan_message"`
	Severity string `json:"severity"`
	Summary  *struct {
		Total   int            `json:"total"`
		Fixable int            `json:"fixable"`
		Of      map[string]int `json:"summary"`
	} `json:"summary"` // nil: no scan has succeeded
	End     string `json:"end_time"`
	Scanner struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"scanner"`
	Updated string `json:"database_updated"`
}

// Finding is a weakness of a package in an artifact.
type Finding struct {
	ID         string   `json:"id"`
	CVE        string   `json:"cve_id"` // of Find, where ID is empty
	Repository string   `json:"repository_name"`
	Digest     string   `json:"digest"`
	Tags       []string `json:"tags"`
	Package    string   `json:"package"`
	Version    string   `json:"version"`
	Fix        string   `json:"fix_version"`
	Fixed      string   `json:"fixed_version"` // of Find
	Severity   string   `json:"severity"`
}

// Scan has an artifact scanned.
func (c *Client) Scan(ctx context.Context, project, name, ref string) error {
	_, err := c.call(ctx, http.MethodPost, artifact(project, name, ref)+"/scan", nil, nil, nil)
	return err
}

// StopScan stops the scan of an artifact.
func (c *Client) StopScan(ctx context.Context, project, name, ref string) error {
	_, err := c.call(ctx, http.MethodPost, artifact(project, name, ref)+"/scan/stop", nil, nil, nil)
	return err
}

// ScanProject has all images of a project scanned; "" is the whole hub.
func (c *Client) ScanProject(ctx context.Context, in string) error {
	path, body := project(in)+"/scan", any(nil)
	if in == "" {
		path, body = "/system/scanAll/schedule", map[string]any{"schedule": map[string]string{"type": "Manual"}}
	}
	_, err := c.call(ctx, http.MethodPost, path, nil, body, nil)
	return err
}

// ScanReport tells the head of an artifact's report; nil: it was never scanned.
func (c *Client) ScanReport(ctx context.Context, project, name, ref string) (*ScanReport, error) {
	var a struct {
		Overview map[string]ScanReport `json:"scan_overview"`
	}
	_, err := c.call(ctx, http.MethodGet, artifact(project, name, ref), url.Values{"with_scan_overview": {"true"}}, nil, &a)
	for _, r := range a.Overview {
		return &r, err
	}
	return nil, err
}

// Findings are those of an artifact, the worst first.
func (c *Client) Findings(ctx context.Context, project, name, ref string) ([]Finding, error) {
	var all map[string]struct{ Vulnerabilities []Finding }
	_, err := c.call(ctx, http.MethodGet, artifact(project, name, ref)+"/additions/vulnerabilities", nil, nil, &all)
	for _, r := range all {
		return r.Vulnerabilities, err
	}
	return nil, err
}

// Find finds the artifacts of a project that have a weakness, by the keys of /security/vul; "" is the whole hub.
func (c *Client) Find(ctx context.Context, in, q string) iter.Seq2[Finding, error] {
	path := "/security/vul"
	if in != "" {
		path = project(in) + path
	}
	return pages[Finding](ctx, c, path, url.Values{"q": {q}})
}

// Scanner is a plugin that scans.
type Scanner struct {
	Name    string `json:"name"`
	Default bool   `json:"is_default"`
	Health  string `json:"health"`
	Adapter string `json:"adapter"`
	Version string `json:"version"`
}

// Scanners are all of the hub.
func (c *Client) Scanners(ctx context.Context) iter.Seq2[Scanner, error] {
	return pages[Scanner](ctx, c, "/scanners", nil)
}

// ScannerDatabase is the state of a scanner's data.
type ScannerDatabase struct {
	Version    string `json:"version"`
	Updated    string `json:"updated"`
	Problem    string `json:"problem"`
	Ecosystems []struct {
		Name    string `json:"name"`
		Records int64  `json:"records"`
		Updated string `json:"updated"`
	} `json:"ecosystems"`
}

// ScannerDatabase asks a scanner for the state of its data.
func (c *Client) ScannerDatabase(ctx context.Context, name string) (ScannerDatabase, error) {
	var m struct{ Database ScannerDatabase }
	_, err := c.call(ctx, http.MethodGet, "/scanners/"+url.PathEscape(name)+"/metadata", nil, nil, &m)
	return m.Database, err
}

// SetDefaultScanner makes a scanner that of all projects that have chosen none.
func (c *Client) SetDefaultScanner(ctx context.Context, name string) error {
	_, err := c.call(ctx, http.MethodPatch, "/scanners/"+url.PathEscape(name), nil, map[string]bool{"is_default": true}, nil)
	return err
}

// UpdateScanner has a scanner fetch new data.
func (c *Client) UpdateScanner(ctx context.Context, name string) error {
	_, err := c.call(ctx, http.MethodPost, "/scanners/"+url.PathEscape(name)+"/database/update", nil, nil, nil)
	return err
}

// Metadata are what is set of a project.
func (c *Client) Metadata(ctx context.Context, in string) (m map[string]string, err error) {
	_, err = c.call(ctx, http.MethodGet, project(in)+"/metadatas", nil, nil, &m)
	return m, err
}
