package api

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/scanning"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

func scanRoutes() []route {
	const artifact = "/projects/{project}/repositories/{repository}/artifacts/{reference}"
	return []route{
		{method: "POST", path: artifact + "/scan", id: "scanArtifact", needs: role.ScanStart, run: (*api).scanArtifact,
			says: "Scan an image, or all images of an index", status: http.StatusAccepted},
		{method: "POST", path: artifact + "/scan/stop", id: "stopScanArtifact", needs: role.ScanStart, run: (*api).stopScan,
			says: "Stop the scan of an artifact", status: http.StatusAccepted},
		{method: "GET", path: artifact + "/scan/{report}/log", id: "getReportLog", needs: role.FindingRead, run: (*api).scanLog,
			says: "Get the log of the last scan of an artifact", media: "text/plain"},
		{method: "POST", path: "/projects/{project}/scan", id: "scanProject", needs: role.ScanStart, run: (*api).scanProject,
			says: "Scan all images of a project", status: http.StatusAccepted},
	}
}

// Harbor's names of what scans tell of an artifact.
const additionVulnerabilities = "vulnerabilities"

func (a *api) scanArtifact(c *call) error {
	x, m, err := a.artifact(c)
	if err != nil {
		return err
	}
	if err := a.Scanning.Start(c.r.Context(), x, m, c.who.Name); err != nil {
		return err
	}
	return c.empty(http.StatusAccepted)
}

func (a *api) stopScan(c *call) error {
	x, m, err := a.artifact(c)
	if err != nil {
		return err
	}
	if err := a.Scanning.Stop(c.r.Context(), x, m); err != nil {
		return err
	}
	return c.empty(http.StatusAccepted)
}

func (a *api) scanProject(c *call) error {
	if _, err := a.Scanning.StartAll(c.r.Context(), c.project.ID, ""); err != nil {
		return err
	}
	return c.empty(http.StatusAccepted)
}

func (a *api) scanLog(c *call) error {
	x, m, err := a.artifact(c)
	if err != nil {
		return err
	}
	o, err := a.Scanning.Overview(c.r.Context(), x, m)
	if err != nil {
		return err
	}
	task, err := a.Scanning.Task(c.r.Context(), x, o)
	if err != nil {
		return err
	}
	return a.writeLog(c, task)
}

// overviews are the heads of the reports of artifacts, in Harbor's form, by digest.
func (a *api) overviews(c *call, repo registry.Repository, list []registry.Stored) (map[string]map[string]scanning.HarborOverview, error) {
	out := map[string]map[string]scanning.HarborOverview{}
	all, err := a.Scanning.Overviews(c.r.Context(), repo, list)
	for digest, o := range all {
		out[digest] = map[string]scanning.HarborOverview{scanning.ReportType: o.Harbor()}
	}
	return out, err
}

// maxFindings bounds a report that is told at once. One with more is exported.
const maxFindings = 50_000

// vulnerabilities answers with the report of an artifact.
func (a *api) vulnerabilities(c *call, x registry.Repository, m registry.Stored) error {
	out := scanning.HarborReport{Vulnerabilities: []scanning.HarborFinding{}}
	o, err := a.Scanning.Findings(c.r.Context(), x, m, func(f scanning.Finding) error {
		if len(out.Vulnerabilities) == maxFindings {
			return badRequest("the report has more than %d findings: use /security/vul or /export/cve", maxFindings)
		}
		out.Vulnerabilities = append(out.Vulnerabilities, f.Harbor())
		return nil
	})
	if err != nil {
		return err
	}
	out.Generated, out.Scanner, out.Severity, out.Warnings = stamp(o.Generated), o.Tool, o.Severity.String(), o.Warnings
	return c.answer(http.StatusOK, map[string]scanning.HarborReport{scanning.ReportType: out})
}

// scannedSBOM answers with the SBOM that the scanner made of an image.
func (a *api) scannedSBOM(c *call, x registry.Repository, m registry.Stored) error {
	format, document, err := a.Scanning.SBOM(c.r.Context(), x, m)
	if errors.Is(err, errdef.ErrConflict) {
		return notFound("%v", err)
	}
	if err != nil {
		return err
	}
	defer document.Close()
	kind := "application/spdx+json"
	if format == scan.CycloneDX {
		kind = "application/vnd.cyclonedx+json"
	}
	if !strings.Contains(c.r.Header.Get("Accept"), kind) {
		kind = "application/json; charset=utf-8" // what Harbor's clients read
	}
	c.w.Header().Set("Content-Type", kind)
	_, _ = io.Copy(c.w, document) // the client has gone
	return nil
}
