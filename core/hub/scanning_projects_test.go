package hub

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/sdk/errdef"
)

// A report is of a digest, which several projects may have. Who sees it in one does not learn which others there are, and stops
// nothing of theirs.
func TestProjectsDoNotLearnOfOneAnothersScans(t *testing.T) {
	w := newScanWorld(t, "sqlite")
	w.api("POST", "/projects", `{"project_name":"secret"}`, 201)
	w.push("secret/engine", "v1", "openssl 1")
	w.push("default-project/app", "v1", "openssl 1")
	const theirs, ours = "/projects/secret/repositories/engine/artifacts/v1", "/projects/default-project/repositories/app/artifacts/v1"

	w.fake.Fail("Scan", fmt.Errorf("GET /v2/secret/engine/blobs: it is no tar: %w", errdef.ErrInvalid))
	w.api("POST", theirs+"/scan", "", 202)
	if o := w.scanned("app", "v1"); o.Status != jobs.Error || !strings.Contains(o.Message, "it is no tar") || strings.Contains(o.Message, "secret") {
		t.Errorf("%+v", o)
	}
	w.api("POST", theirs+"/scan", "", 202)
	if o := w.scannedIn("secret", "engine", "v1"); o.Status != jobs.Success {
		t.Errorf("%+v", o)
	}
	if text := w.api("GET", theirs+"/scan/1/log", "", 200); !strings.Contains(text, "secret/engine") {
		t.Error(text)
	}
	if text := w.api("GET", ours+"/scan/1/log", "", 404); strings.Contains(text, "secret") {
		t.Error(text)
	}

	gate := make(chan struct{})
	w.gate.Store(&gate)
	w.api("POST", theirs+"/scan", "", 202)
	w.api("POST", ours+"/scan/stop", "", 404)
	w.api("POST", theirs+"/scan/stop", "", 202)
	if o := w.scannedIn("secret", "engine", "v1"); o.Status != jobs.Stopped {
		t.Errorf("%+v", o)
	}
	w.api("POST", "/projects/secret/scan", "", 202)
	within(t, "the scan of all has come to the image", func() bool {
		return strings.Contains(w.api("GET", ours+"?with_scan_overview=true", "", 200), `"scan_status":"Running"`)
	})
	w.api("POST", ours+"/scan/stop", "", 404)
	close(gate)
	if o := w.scanned("app", "v1"); o.Status != jobs.Success {
		t.Errorf("a scan of all was stopped for one image: %+v", o)
	}
}
