package hub

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/hub/cveallow"
	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/scanning"
	"github.com/openvic/vic/core/hub/token"
	"github.com/openvic/vic/core/hub/webhook"
	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/scan"
	"github.com/openvic/vic/sdk/secret"
)

// openScanning makes what scans. What it works with is made later, and asked for when a job runs.
func (h *Hub) openScanning() {
	h.allowed = cveallow.New(h.db, nil)
	h.scanning = scanning.New(scanning.Options{DB: h.db, Settings: h.settings, Queue: func() *jobs.Queue { return h.jobs },
		Registry: func() *registry.Registry { return h.registry }, Scanners: func() []scanning.Scanner { return h.scanners() }, Origin: h.origin,
		Credential: h.scanCredential, Told: h.scanned, Log: h.log})
	h.scanners = h.scanPlugins
	h.events.scanning = h.scanning
}

// scanPlugins are the plugins that scan, in the order of the configuration.
func (h *Hub) scanPlugins() []scanning.Scanner {
	if h.plugins == nil {
		return nil
	}
	var all []scanning.Scanner
	for _, p := range plugin.Role(h.plugins, scan.Plugin()) {
		all = append(all, scanning.Scanner{Name: p.Plugin, Driver: p.Driver, Capabilities: p.Capabilities})
	}
	return all
}

// origin is where scanners find the hub: the address of its clients, or the first name of its certificate at the port where it
// listens.
func (h *Hub) origin() (url string, ca []byte, err error) {
	if h.cfg.TLS.Cert == "" {
		if ca, err = h.authorities(); err != nil {
			return "", nil, err
		}
	}
	if h.cfg.Scan.CA != "" {
		if ca, err = os.ReadFile(h.cfg.Scan.CA); err != nil {
			return "", nil, fmt.Errorf("scan.ca: %w", err)
		}
	}
	switch {
	case h.cfg.Scan.URL != "":
		return h.cfg.Scan.URL, ca, nil
	case h.cfg.URL != "":
		return h.cfg.URL, ca, nil
	}
	_, port, err := net.SplitHostPort(h.listener.Addr().String())
	if err != nil {
		return "", nil, err
	}
	name := "localhost"
	if len(h.cfg.TLS.Names) > 0 {
		name = h.cfg.TLS.Names[0]
	}
	return "https://" + net.JoinHostPort(name, port), ca, nil
}

// scanLife is how long the credential of a scan is good for: as long as a scan may take.
const scanLife = time.Hour

// scanCredential lets a scan pull from one repository, past the rules: a scan is how the hub finds out what they need to know.
func (h *Hub) scanCredential(ctx context.Context, repository string) (secret.Text, error) {
	raw, _, err := h.issuer.Issue(ctx, token.Claims{Subject: scanning.Caller, Kind: token.Job,
		Access: []token.Access{{Type: token.TypeRepository, Name: repository, Actions: []string{token.ActionPull}}}}, scanLife)
	return secret.Text("Bearer " + raw), err
}

// scanned tells webhooks of the end of a scan.
func (h *Hub) scanned(tx *store.Tx, e scanning.Ended) error {
	kind := map[jobs.Status]string{jobs.Success: webhook.ScanCompleted, jobs.Error: webhook.ScanFailed, jobs.Stopped: webhook.ScanStopped}[e.Status]
	if kind == "" {
		return nil
	}
	if wanted, err := h.hooks.Wants(tx, e.Project, kind); err != nil || !wanted {
		return err
	}
	d, err := digest.Parse(e.Digest)
	if err != nil {
		return err
	}
	project, _, _ := strings.Cut(e.Repository, "/")
	x := registry.Event{Time: e.Time, Artifact: registry.Artifact{Project: project, Repository: e.Repository, Digest: d}, ProjectID: e.Project}
	if e.Tag != "" {
		x.Tags = []string{e.Tag}
	}
	data, err := h.events.data(tx, x)
	if err != nil {
		return err
	}
	data.Scan = map[string]any{"scan_type": "vulnerability"}
	if e.Overview != nil {
		for i := range data.Resources {
			data.Resources[i].ScanOverview = map[string]any{scanning.ReportType: e.Overview.Harbor()}
		}
	}
	return h.hooks.Happened(tx, webhook.Event{Type: kind, Project: e.Project, Time: e.Time, Operator: e.Operator, Data: data})
}
