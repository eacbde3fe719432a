package api

import (
	"errors"
	"net/http"

	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/scanning"
	"github.com/openvic/vic/core/hub/settings"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

func scannerRoutes() []route {
	return []route{
		{method: "GET", path: "/scanners", id: "listScanners", needs: role.ScannerManage, run: (*api).listScanners,
			says: "List the plugins that scan", gives: []scannerForm{}},
		{method: "POST", path: "/scanners", id: "createScanner", needs: role.ScannerManage, run: (*api).registerScanner,
			says: "Refused: scanners are plugins of the hub's configuration"},
		{method: "GET", path: "/scanners/{scanner}", id: "getScanner", needs: role.ScannerManage, run: (*api).getScanner,
			says: "Get a scanner", gives: scannerForm{}},
		{method: "PATCH", path: "/scanners/{scanner}", id: "setScannerAsDefault", needs: role.ScannerManage, run: (*api).setDefaultScanner,
			says: "Make a scanner the one of all projects that have none of their own", takes: defaultScannerRequest{}},
		{method: "GET", path: "/scanners/{scanner}/metadata", id: "getScannerMetadata", needs: role.ScannerManage, run: (*api).scannerMetadata,
			says: "Ask a scanner what it is and how old its data are", gives: scannerMetadataForm{}},
		{method: "POST", path: "/scanners/{scanner}/database/update", id: "updateScannerDatabase", needs: role.ScannerManage, run: (*api).updateScanner,
			says: "Have a scanner fetch new data from where its configuration says", status: http.StatusAccepted},
		{method: "GET", path: "/projects/{project}/scanner", id: "getScannerOfProject", needs: role.FindingRead, run: (*api).projectScanner,
			says: "Get the scanner of a project", gives: scannerForm{}},
		{method: "PUT", path: "/projects/{project}/scanner", id: "setScannerOfProject", needs: role.ProjectWrite, run: (*api).setProjectScanner,
			says: "Choose the scanner of a project; an empty uuid takes the choice back", takes: projectScannerRequest{}},
		{method: "GET", path: "/projects/{project}/scanner/candidates", id: "listScannerCandidatesOfProject", needs: role.FindingRead, run: (*api).scannerCandidates,
			says: "List the scanners that a project may choose", gives: []scannerForm{}},
	}
}

// scannerForm is Harbor's form of a scanner, as far as a plugin has its fields.
type scannerForm struct {
	UUID         string   `json:"uuid"` // the plugin's name
	Name         string   `json:"name"`
	Description  string   `json:"description"`
	Default      bool     `json:"is_default"`
	Disabled     bool     `json:"disabled"`
	Health       string   `json:"health"`
	Adapter      string   `json:"adapter,omitempty"`
	Vendor       string   `json:"vendor,omitempty"`
	Version      string   `json:"version,omitempty"`
	Capabilities []string `json:"capability_words"` // ours
}

// scanner makes the form; the plugin is asked what it is.
func (a *api) scanner(c *call, x scanning.Scanner) (scannerForm, error) {
	first, err := a.Scanning.Scanner(c.r.Context(), "")
	if err != nil {
		return scannerForm{}, err
	}
	out := scannerForm{UUID: x.Name, Name: x.Name, Default: first.Name == x.Name, Health: "healthy", Capabilities: append([]string{}, x.Capabilities...)}
	d, err := x.Driver.Describe(c.r.Context())
	if err != nil {
		out.Health = "unhealthy"
		return out, nil
	}
	out.Adapter, out.Vendor, out.Version, out.Description = d.Name, d.Vendor, d.Version, d.Name
	return out, nil
}

func (a *api) listScanners(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	all := a.Scanning.Scanners()
	from := min(p.offset(), len(all))
	out := []scannerForm{}
	for _, x := range all[from:min(from+p.size, len(all))] {
		f, err := a.scanner(c, x)
		if err != nil {
			return err
		}
		out = append(out, f)
	}
	return c.list(p, len(all), out)
}

// registerScanner says how a scanner is added: programs are started by the hub's configuration alone, which has the digest of each.
func (a *api) registerScanner(*call) error {
	return badRequest("scanners are plugins of the hub: for one that speaks Harbor's scanner API write a configuration of the plugin vic-scan-harbor, " +
		"an entry for it in plugins.d, and its name into roles.scan of hub.toml, and start the hub again")
}

func (a *api) oneScanner(c *call) (scanning.Scanner, error) {
	x, err := a.Scanning.Scanner(c.r.Context(), c.r.PathValue("scanner"))
	if errors.Is(err, errdef.ErrNotFound) {
		return x, notFound("scanner %.100q not found", c.r.PathValue("scanner"))
	}
	return x, err
}

func (a *api) getScanner(c *call) error {
	x, err := a.oneScanner(c)
	if err != nil {
		return err
	}
	out, err := a.scanner(c, x)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, out)
}

// defaultScannerRequest is Harbor's.
type defaultScannerRequest struct {
	Default bool `json:"is_default"`
}

func (a *api) setDefaultScanner(c *call) error {
	x, err := a.oneScanner(c)
	if err != nil {
		return err
	}
	var q defaultScannerRequest
	if err := c.body(&q); err != nil {
		return err
	}
	if !q.Default {
		return badRequest("is_default: make another scanner the default instead")
	}
	c.detail = "default scanner: " + x.Name
	if err := a.Settings.Change(c.r.Context(), func(v *settings.Values) error { v.Scanner = x.Name; return nil }); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

// scannerMetadataForm is Harbor's form of what a scanner says of itself, with the state of its data.
type scannerMetadataForm struct {
	Scanner      scanning.Tool           `json:"scanner"`
	Capabilities []scannerCapabilityForm `json:"capabilities"`
	Properties   map[string]string       `json:"properties"`
	Database     scannerDatabaseForm     `json:"database"` // ours
}

type scannerCapabilityForm struct {
	Type     string   `json:"type"`
	Consumes []string `json:"consumes_mime_types"`
	Produces []string `json:"produces_mime_types"`
}

type scannerDatabaseForm struct {
	Version    string                 `json:"version"`
	Updated    string                 `json:"updated,omitempty"`
	Problem    string                 `json:"problem,omitempty"`
	Ecosystems []scannerEcosystemForm `json:"ecosystems"`
}

type scannerEcosystemForm struct {
	Name    string `json:"name"`
	Records int64  `json:"records"`
	Updated string `json:"updated,omitempty"`
}

func (a *api) scannerMetadata(c *call) error {
	x, err := a.oneScanner(c)
	if err != nil {
		return err
	}
	d, err := x.Driver.Describe(c.r.Context())
	if err != nil {
		return err
	}
	db, err := x.Driver.Database(c.r.Context())
	if err != nil {
		return err
	}
	out := scannerMetadataForm{Scanner: scanning.Tool{Name: d.Name, Vendor: d.Vendor, Version: d.Version}, Properties: map[string]string{},
		Capabilities: []scannerCapabilityForm{}, Database: scannerDatabaseForm{Version: db.Version, Updated: stampOrNone(db.Updated), Problem: db.Problem,
			Ecosystems: []scannerEcosystemForm{}}}
	for _, s := range d.Supports {
		f := scannerCapabilityForm{Type: "vulnerability", Consumes: s.MediaTypes, Produces: []string{scanning.ReportType}}
		switch s.Want {
		case scan.SPDX:
			f.Type, f.Produces = "sbom", []string{"application/spdx+json"}
		case scan.CycloneDX:
			f.Type, f.Produces = "sbom", []string{"application/vnd.cyclonedx+json"}
		}
		out.Capabilities = append(out.Capabilities, f)
	}
	for _, e := range db.Ecosystems {
		out.Database.Ecosystems = append(out.Database.Ecosystems, scannerEcosystemForm{e.Name, e.Records, stampOrNone(e.Updated)})
	}
	if db.Version != "" {
		out.Properties["harbor.scanner-adapter/vulnerability-database-updated-at"] = stamp(db.Updated)
	}
	return c.answer(http.StatusOK, out)
}

func (a *api) updateScanner(c *call) error {
	x, err := a.oneScanner(c)
	if err != nil {
		return err
	}
	if err := a.Scanning.StartUpdate(c.r.Context(), x.Name); err != nil {
		return err
	}
	return c.empty(http.StatusAccepted)
}

func (a *api) projectScanner(c *call) error {
	m, err := a.Settings.Metadata(c.r.Context(), a.DB, c.project.ID)
	if err != nil {
		return err
	}
	x, err := a.Scanning.Of(c.r.Context(), m)
	if errors.Is(err, errdef.ErrConflict) {
		return notFound("%v", err)
	}
	if err != nil {
		return err
	}
	out, err := a.scanner(c, x)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, out)
}

// projectScannerRequest is Harbor's.
type projectScannerRequest struct {
	UUID string `json:"uuid"`
}

func (a *api) setProjectScanner(c *call) error {
	var q projectScannerRequest
	if err := c.body(&q); err != nil {
		return err
	}
	if q.UUID != "" {
		if _, err := a.Scanning.Scanner(c.r.Context(), q.UUID); errors.Is(err, errdef.ErrNotFound) {
			return badRequest("uuid: there is no scanner %.100q", q.UUID)
		} else if err != nil {
			return err
		}
	}
	c.detail = "scanner: " + q.UUID
	err := a.DB.Tx(c.r.Context(), func(tx *store.Tx) error {
		p, err := a.Registry.LockProject(tx, c.project.ID)
		if err != nil {
			return err
		}
		return settings.SetMetadata(tx, p.ID, scanning.MetadataScanner, q.UUID)
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (a *api) scannerCandidates(c *call) error { return a.listScanners(c) }
