package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openvic/vic/tests/harness"
)

// portal is a program that makes VCHs through vic-machine's service.
type portal struct {
	t      *testing.T
	url    string
	client *http.Client
}

// startService runs vic-machine serve until the test ends; what it printed is returned by the function.
func startService(t *testing.T) (portal, func() string) {
	t.Helper()
	cmd := exec.Command(theLab.Bin("vic-machine"), "serve", "--listen", harness.NextAddress(), "--allow-target", harness.VCenterHost,
		"--appliance-iso", filepath.Join(theLab.Build, "iso", "appliance.iso"), "--bootstrap-iso", filepath.Join(theLab.Build, "iso", "bootstrap.iso"))
	file := filepath.Join(t.TempDir(), "service.log")
	log, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	text := func() string {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the service ended with %v:\n%s", err, text())
		}
		log.Close()
	})
	at := regexp.MustCompile(`serving on (\S+);`)
	await(t, func() string {
		if at.MatchString(text()) {
			return ""
		}
		return "the service says: " + text()
	})
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(text())) {
		t.Fatalf("it printed no certificate: %s", text())
	}
	return portal{t, at.FindStringSubmatch(text())[1], &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}}, text
}

// ask sends a request with the administrator's account, or a token, and returns the answer.
func (p portal) ask(method, path, token string, body any) *http.Response {
	p.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	if body == nil {
		b = nil
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, bytes.NewReader(b))
	if err != nil {
		p.t.Fatal(err)
	}
	if req.SetBasicAuth(harness.User, harness.Password); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("X-Thumbprint", theLab.Thumbprint)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := p.client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { res.Body.Close() })
	return res
}

func (p portal) read(res *http.Response, status int, v any) {
	p.t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		p.t.Fatalf("%s %v: %s", res.Status, err, b)
	}
	if err := json.Unmarshal(b, v); err != nil {
		p.t.Fatalf("%v: %s", err, b)
	}
}

type restTask struct {
	URL, State string
	Steps      []struct {
		Name    string
		Seconds float64
	}
	Result json.RawMessage
	Error  json.RawMessage
}

// follow waits for a task's end by its stream of events, and counts them.
func (p portal) follow(res *http.Response) (restTask, map[string]int) {
	p.t.Helper()
	var accepted struct {
		Task  restTask
		Token string
	}
	p.read(res, http.StatusAccepted, &accepted)
	stream := p.ask("GET", accepted.Task.URL+"?follow", accepted.Token, nil)
	count, event := map[string]int{}, ""
	var last restTask
	lines := bufio.NewScanner(stream.Body)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		if e, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			event = e
			count[e]++
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && event == "end" {
			if err := json.Unmarshal([]byte(data), &last); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	if last.State != "succeeded" {
		p.t.Fatalf("the task %s is %q: %s %v", accepted.Task.URL, last.State, last.Error, lines.Err())
	}
	return last, count
}

func TestAPortalMakesChangesAndRemovesAVCH(t *testing.T) {
	apart(t)
	p, text := startService(t)
	target := "/container/target/" + harness.VCenterHost
	t.Cleanup(func() { // what a failed test has left
		args := append([]string{"delete"}, theLab.Access()...)
		if out, err := harness.Command(theLab.Bin("vic-machine"), append(args, "--name", "portal", "--force")...); err != nil {
			t.Error(err, out)
		}
	})
	start := time.Now()
	options := map[string]any{"name": "portal", "compute-resource": "cluster1", "image-store": "datastore1", "bridge-network": bridge(t, "portal"),
		"public-network": "public",
		"tls-cname":      []string{"127.0.0.1"}, "endpoint-memory": 1024, "endpoint-cpu": 2, "memory": 4096,
		"volume-store": []string{"datastore1/portal-volumes:default"},
		"ops-user":     harness.OpsUser, "ops-password": harness.OpsPassword, "ops-grant-perms": true}
	task, count := p.follow(p.ask("POST", target+"/vch?timeout="+harness.Patience.String(), "", options))
	progress("the service made a VCH in %.1f s: %d steps, %d messages", time.Since(start).Seconds(), count["step"], count["message"])
	if count["step"] < 12 || count["message"] < 5 || len(task.Steps) != count["step"] {
		t.Errorf("events: %v", count)
	}
	var made struct {
		VCH      struct{ ID, State string }
		CertPath map[string]string `json:"cert-path"`
	}
	if err := json.Unmarshal(task.Result, &made); err != nil || made.VCH.State != "ready" {
		t.Fatalf("%v: %s", err, task.Result)
	}
	dockerAnswers(t, made.CertPath)

	p.ticketIsGoodOnce(target + "/vch")
	one := target + "/vch/" + made.VCH.ID
	start = time.Now()
	p.follow(p.ask("PATCH", one, "", map[string]any{"memory": 3072, "insecure-registry": []string{"reg.example.com"}}))
	progress("the service changed it in %.1f s", time.Since(start).Seconds())
	var d struct {
		Settings struct {
			Memory             struct{ Limit int }
			InsecureRegistries []string
		}
	}
	p.read(p.ask("GET", one, "", nil), http.StatusOK, &d)
	if d.Settings.Memory.Limit != 3072 || strings.Join(d.Settings.InsecureRegistries, " ") != "reg.example.com" {
		t.Errorf("after the change: %+v", d)
	}
	start = time.Now()
	p.follow(p.ask("DELETE", one+"?force", "", nil))
	progress("the service removed it in %.1f s", time.Since(start).Seconds())
	if left := named(t, "portal"); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
	for _, secret := range []string{harness.Password, harness.OpsPassword, "PRIVATE KEY"} {
		if strings.Contains(text(), secret) {
			t.Errorf("the service's log holds %s", secret)
		}
	}
}

// ticketIsGoodOnce asks as vSphere's own client would let a plug-in ask: with a clone of its session.
func (p portal) ticketIsGoodOnce(path string) {
	p.t.Helper()
	ticket, err := theLab.Govc("session.login", "-clone")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, want := range []int{http.StatusOK, http.StatusUnauthorized} {
		req, err := http.NewRequestWithContext(p.t.Context(), "GET", p.url+path+"?thumbprint="+theLab.Thumbprint, nil)
		if err != nil {
			p.t.Fatal(err)
		}
		req.Header.Set("X-VMWARE-TICKET", strings.TrimSpace(ticket))
		res, err := p.client.Do(req)
		if err != nil {
			p.t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != want || want == http.StatusOK && !strings.Contains(string(b), `"portal"`) {
			p.t.Errorf("with a ticket: %s, want %d: %v %s", res.Status, want, err, b)
		}
	}
}

// dockerAnswers uses the certificates that came with the result of the create.
func dockerAnswers(t *testing.T, certs map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"ca.pem", "cert.pem", "key.pem"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(certs[name]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	addr := harness.NextAddress()
	if out, err := harness.Command(theLab.Bin("vic-lab"), "forward", "add", "--dir", theLab.Dir, "portal", addr+":2376"); err != nil {
		t.Fatal(err, out)
	}
	await(t, func() string {
		ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
		defer cancel()
		cmd := theLab.DockerCmd(ctx, "version", "--format", "{{.Server.Os}}")
		cmd.Env = append(os.Environ(), "DOCKER_HOST=tcp://"+addr, "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH="+dir, "DOCKER_CONFIG="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "linux" {
			return string(out)
		}
		return ""
	})
}
