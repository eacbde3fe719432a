package api

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/scanning"
)

func securityRoutes() []route {
	return []route{
		{method: "GET", path: "/security/summary", id: "getSecuritySummary", needs: role.ScannerManage, run: (*api).securitySummary,
			says: "Count what scans have found in the whole hub", gives: scanning.State{}},
		{method: "GET", path: "/security/vul", id: "ListVulnerabilities", needs: role.ScannerManage, run: (*api).searchFindings,
			says: "Find the artifacts of the whole hub that have a weakness, the worst first", cols: scanning.Columns, gives: []scanning.MatchForm{}},
		{method: "GET", path: "/projects/{project}/security/vul", id: "listProjectVulnerabilities", needs: role.FindingRead, run: (*api).searchFindings,
			says: "Find the artifacts of a project that have a weakness, the worst first", cols: scanning.Columns, gives: []scanning.MatchForm{}},
		{method: "GET", path: "/export/cve/{format}", id: "exportFindings", needs: role.ScannerManage, run: (*api).exportFindings,
			says: "Write all that q finds in the whole hub, as csv or jsonl", cols: scanning.Columns, media: "application/octet-stream"},
		{method: "GET", path: "/projects/{project}/export/cve/{format}", id: "exportProjectFindings", needs: role.FindingRead, run: (*api).exportFindings,
			says: "Write all that q finds in a project, as csv or jsonl", cols: scanning.Columns, media: "application/octet-stream"},
	}
}

func (a *api) securitySummary(c *call) error {
	s, err := a.Scanning.State(c.r.Context())
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, s)
}

// weaknesses reads what findings are asked for, of the project of the path if there is one.
func (a *api) weaknesses(c *call) (selection, error) {
	s, err := c.selection(scanning.Columns, "v.id")
	if err == nil && c.project.ID != 0 {
		s.also("p.project_id = %s", c.project.ID)
	}
	return s, err
}

func (a *api) searchFindings(c *call) error {
	s, err := a.weaknesses(c)
	if err != nil {
		return err
	}
	total, err := a.Scanning.Count(c.r.Context(), s.condition, s.args)
	if err != nil {
		return err
	}
	out := []scanning.MatchForm{}
	err = a.Scanning.Search(c.r.Context(), s.condition, s.args, s.size, s.offset(), func(x scanning.MatchForm) error {
		out = append(out, x)
		return nil
	})
	if err != nil {
		return err
	}
	return c.list(s.page, total, out)
}

// exportFindings streams findings. The hub keeps none of them in memory.
func (a *api) exportFindings(c *call) error {
	s, err := a.weaknesses(c)
	if err != nil {
		return err
	}
	format := c.r.PathValue("format")
	write := map[string]func(io.Writer) (func(scanning.MatchForm) error, func() error){"jsonl": findingsAsJSON, "csv": findingsAsCSV}[format]
	if write == nil {
		return notFound("%.40q is neither jsonl nor csv", format)
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", `attachment; filename="findings.`+format+`"`)
	c.w.WriteHeader(http.StatusOK)
	one, end := write(c.w)
	if err = a.Scanning.Search(c.r.Context(), s.condition, s.args, 0, 0, one); err == nil {
		err = end()
	}
	if err == nil {
		return nil
	}
	if c.r.Context().Err() == nil {
		a.Log.Error("export of findings ends early", "err", err)
	}
	panic(http.ErrAbortHandler) // the client must not take what came for all
}

func findingsAsJSON(w io.Writer) (one func(scanning.MatchForm) error, end func() error) {
	e := json.NewEncoder(w)
	return func(x scanning.MatchForm) error { return e.Encode(x) }, func() error { return nil }
}

func findingsAsCSV(w io.Writer) (one func(scanning.MatchForm) error, end func() error) {
	e := csv.NewWriter(w) // remembers the first error, for Flush
	_ = e.Write([]string{"repository", "digest", "tags", "cve", "severity", "cvss_v3_score", "package", "version", "fixed_version", "first_found", "scanner"})
	return func(x scanning.MatchForm) error {
			return e.Write([]string{x.Repository, x.Digest, strings.Join(x.Tags, " "), cell(x.CVE), x.Severity, strconv.FormatFloat(x.Score, 'f', 1, 64),
				cell(x.Package), cell(x.Version), cell(x.Fixed), x.First, x.Scanner})
		}, func() error {
			e.Flush()
			return e.Error()
		}
}
