package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/openvic/vic/tests/harness"
)

// hubMachine runs a verb of vic-machine hub for the story's hub.
func hubMachine(t *testing.T, verb string, more ...string) (string, error) {
	t.Helper()
	args := append([]string{"hub", verb}, theLab.Access()...)
	if verb != "ls" {
		args = append(args, "--name", "hub1")
	}
	return harness.Command(theLab.Bin("vic-machine"), append(args, more...)...)
}

// TestAHubIsAnApplianceOnVSphere makes a hub as a VM, pushes to it, upgrades it and rolls it back, deletes it, makes it anew over the data disk that stayed,
// pulls what was pushed before, and deletes it with its data: nothing is left. Users of vCenter sign in.
func TestAHubIsAnApplianceOnVSphere(t *testing.T) {
	beside(t)
	certs, before := t.TempDir(), named(t, "hub1")
	create := func(more ...string) (string, error) {
		t.Helper()
		return hubMachine(t, "create", append([]string{"--compute-resource", "cluster1", "--image-store", "datastore1", "--public-network", "public",
			"--memory", "768", "--cpu", "1", "--data-size", "10", "--tls-cname", "127.0.0.1", "--cert-path", certs,
			"--hub-iso", filepath.Join(theLab.Build, "iso", "hub.iso"), "--timeout", harness.Patience.String()}, more...)...)
	}
	if out, err := create("--image-store", "nothing", "--public-network", "nowhere"); err == nil || !strings.Contains(out, "datastore1") ||
		!strings.Contains(out, "give --public-network") {
		t.Errorf("wrong names: %v %s", err, out)
	}
	out, err := create()
	if err != nil {
		t.Fatal(err, out)
	}
	t.Cleanup(func() { _, _ = hubMachine(t, "delete", "--force") })
	forward := func() string {
		t.Helper()
		at := harness.NextAddress()
		if out, err := harness.Command(theLab.Bin("vic-lab"), "forward", "add", "--dir", theLab.Dir, "hub1", at+":443"); err != nil {
			t.Fatal(err, out)
		}
		return at
	}
	ca, err := os.ReadFile(filepath.Join(certs, "ca.pem"))
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	t.Cleanup(client.CloseIdleConnections)
	h := &hub{t: t, host: forward(), client: client}
	password, err := os.ReadFile(filepath.Join(certs, "admin-password"))
	must(t, err)
	h.password = strings.TrimSpace(string(password))
	await(t, func() string {
		status, body := h.api("admin@local", h.password, "GET", "/cloud-admins", "")
		return map[bool]string{false: fmt.Sprint(status, body)}[status == http.StatusOK]
	})
	signedIn := func() { // a user of vCenter, who administers the hub as one of the group Administrators
		t.Helper()
		await(t, func() string {
			status, body := h.api(harness.User, harness.Password, "GET", "/cloud-admins", "")
			return map[bool]string{false: fmt.Sprint(status, body)}[status == http.StatusOK && strings.Contains(body, "vsphere.local/administrators")]
		})
		if status, body := h.api(harness.User, "wrong", "GET", "/cloud-admins", ""); status != http.StatusUnauthorized {
			t.Errorf("a wrong password: %d %s", status, body)
		}
	}
	signedIn()
	manifest := pushSmall(t, h, "default-project/kept")

	var list []struct {
		State  string
		Record struct{ Name string }
	}
	out, err = hubMachine(t, "ls", "--format", "json")
	must(t, err)
	must(t, json.Unmarshal([]byte(out), &list))
	if len(list) != 1 || list[0].State != "ready" || list[0].Record.Name != "hub1" {
		t.Errorf("%s", out)
	}
	if out, err := hubMachine(t, "inspect"); err != nil || !strings.Contains(out, "by DHCP") || !strings.Contains(out, "for 127.0.0.1") ||
		!strings.Contains(out, "solution user vic-hub-") {
		t.Errorf("%v %s", err, out)
	}
	if out, err := create(); err == nil || !strings.Contains(out, "there is a hub hub1 already") {
		t.Errorf("made twice: %v %s", err, out)
	}

	upgradeWhilePushing(t, h)
	if out, err := hubMachine(t, "delete"); err != nil || !strings.Contains(out, "hub1-data.vmdk") {
		t.Fatalf("%v %s", err, out)
	}
	if out, err := create(); err != nil || !strings.Contains(out, "those of the data disk") {
		t.Fatalf("over the data that stayed: %v %s", err, out)
	}
	h.host = forward()
	await(t, func() string {
		res, err := h.client.Get("https://" + h.host + "/readyz")
		if err != nil {
			return err.Error()
		}
		_ = res.Body.Close()
		return map[bool]string{false: res.Status}[res.StatusCode == http.StatusOK]
	})
	signedIn()
	if status, body := h.registry("GET", "/v2/default-project/kept/manifests/1", nil); status != http.StatusOK || body != manifest {
		t.Errorf("what was pushed to the hub before: %d %s", status, body)
	}
	if out, err := hubMachine(t, "delete", "--force"); err != nil || !strings.Contains(out, "is gone") {
		t.Errorf("%v %s", err, out)
	}
	if out, err := hubMachine(t, "delete"); err != nil || !strings.Contains(out, "Nothing to delete") {
		t.Errorf("again: %v %s", err, out)
	}
	if after := named(t, "hub1"); after != before {
		t.Errorf("left behind:\n%s\nbefore\n%s", after, before)
	}
}

// registry sends a request to the registry as the administrator.
func (h *hub) registry(method, path string, body []byte) (int, string) {
	h.t.Helper()
	status, text, err := h.tryRegistry(method, path, body)
	must(h.t, err)
	return status, text
}

// tryRegistry is registry for a hub that may be away.
func (h *hub) tryRegistry(method, path string, body []byte) (int, string, error) {
	do := func(method, url, bearer string, body []byte) (int, string, error) {
		req, err := http.NewRequestWithContext(h.t.Context(), method, url, bytes.NewReader(body))
		if err != nil {
			return 0, "", err
		}
		if req.SetBasicAuth("admin@local", h.password); bearer != "" {
			req.Header.Set("Authorization", "Bearer "+bearer)
			req.Header.Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		}
		res, err := h.client.Do(req)
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return res.StatusCode, string(b), err
	}
	status, text, err := do(http.MethodGet, "https://"+h.host+"/service/token?service=vic-hub&scope=repository:default-project/kept:pull,push", "", nil)
	if err != nil || status != http.StatusOK {
		return status, text, err
	}
	var token struct{ Token string }
	if err := json.Unmarshal([]byte(text), &token); err != nil {
		return status, text, err
	}
	return do(method, "https://"+h.host+path, token.Token, body)
}

// upgradeWhilePushing upgrades the hub and rolls it back while a client pushes and tries again what failed; what was acknowledged
// is there afterwards.
func upgradeWhilePushing(t *testing.T, h *hub) {
	t.Helper()
	iso, err := os.ReadFile(filepath.Join(theLab.Build, "iso", "hub.iso"))
	must(t, err)
	other := filepath.Join(t.TempDir(), "hub.iso")
	must(t, os.WriteFile(other, append(iso, make([]byte, 2048)...), 0o600)) // another image of the same version
	same := filepath.Join(theLab.Build, "iso", "hub.iso")
	if out, err := hubMachine(t, "upgrade", "--hub-iso", same); err != nil || !strings.Contains(out, "Nothing to do") {
		t.Errorf("to the image that it has: %v %s", err, out)
	}
	var pushed atomic.Int64 // numbers below it were acknowledged
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			n := pushed.Load()
			body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"n":"%d"}}`, n)
			status, _, err := h.tryRegistry("PUT", fmt.Sprintf("/v2/default-project/kept/manifests/n%d", n), []byte(body))
			if err == nil && status == http.StatusCreated {
				pushed.Add(1)
			}
		}
	}()
	another := func() { // waits for a push of now
		t.Helper()
		before := pushed.Load()
		await(t, func() string { return map[bool]string{false: "nothing more is pushed"}[pushed.Load() > before] })
	}
	another()
	args := []string{"--serve-timeout", harness.Patience.String(), "--timeout", harness.Patience.String()}
	if out, err := hubMachine(t, "upgrade", append(args, "--hub-iso", other)...); err != nil || !strings.Contains(out, "serves with version") {
		t.Errorf("%v %s", err, out)
	}
	another()
	if out, err := hubMachine(t, "rollback", args...); err != nil || !strings.Contains(out, "serves with version") {
		t.Errorf("%v %s", err, out)
	}
	another()
	stop()
	<-ended
	n := pushed.Load()
	t.Logf("%d manifests were pushed meanwhile", n)
	for i := range n {
		if status, body := h.registry("GET", fmt.Sprintf("/v2/default-project/kept/manifests/n%d", i), nil); status != http.StatusOK {
			t.Errorf("manifest %d of %d: %d %s", i, n, status, body)
		}
	}
}

// pushSmall pushes an index without images under the tag 1, and returns it.
func pushSmall(t *testing.T, h *hub, repository string) string {
	t.Helper()
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"of":"%x"}}`,
		sha256.Sum256([]byte(h.password)))
	if status, body := h.registry("PUT", "/v2/"+repository+"/manifests/1", []byte(manifest)); status != http.StatusCreated {
		t.Fatalf("%d %s", status, body)
	}
	return manifest
}
