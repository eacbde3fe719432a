package service

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
)

func TestALifeOfAVCHOverHTTP(t *testing.T) {
	a := newAPI(t, nil)
	before := a.sim.Inventory()
	a.sim.Follow("vch1", ready)

	var plan Planned
	a.into(a.do("POST", a.at("/vch/plan"), newVCH(nil)), http.StatusOK, &plan)
	if len(plan.Checks) < 10 || plan.Plan == nil || len(plan.Plan.Objects) < 5 || a.sim.Inventory() != before {
		t.Fatalf("plan: %+v", plan)
	}

	var made Made
	task := a.done(a.do("POST", a.at("/vch"), newVCH(map[string]any{"insecure-registry": []string{"a:1"}, "memory": 8192,
		"volume-store": []string{"LocalDS_0/vols:default"}})), &made)
	if made.VCH == nil || made.VCH.Name != "vch1" || made.VCH.State != "ready" || len(made.Checks) < 10 {
		t.Fatalf("made: %+v", made)
	}
	var steps []string
	for _, s := range task.Steps {
		steps = append(steps, s.Name)
		if s.Started.IsZero() || s.Seconds < 0 {
			t.Errorf("step %+v", s)
		}
	}
	if got := strings.Join(steps, ","); !strings.HasPrefix(got, "checks,") || !strings.Contains(got, "ISO images,endpoint VM") || len(task.Messages) < 5 {
		t.Errorf("steps %s, messages %+v", got, task.Messages)
	}
	id := made.VCH.ID

	var list VCHs
	a.into(a.do("GET", a.at("/vch"), nil), http.StatusOK, &list)
	if len(list.VCHs) != 1 || list.VCHs[0].ID != id {
		t.Errorf("list: %+v", list)
	}
	a.into(a.do("GET", a.at("/datacenter/DC0/vch"), nil), http.StatusOK, &list)
	if len(list.VCHs) != 1 {
		t.Errorf("list of a datacenter: %+v", list)
	}
	var d vch.Details
	a.into(a.do("GET", a.at("/vch/"+id), nil), http.StatusOK, &d)
	if d.Endpoint != "192.0.2.7:2376" || !d.TLSVerify || d.Settings.Memory.Limit != 8192 {
		t.Errorf("inspect: %+v", d)
	}

	var changed Changed
	a.done(a.do("PATCH", a.at("/vch/"+id), map[string]any{"insecure-registry": []string{"b:2"}, "remove": []string{"insecure-registry=a:1"},
		"memory": 4096}), &changed)
	if got := strings.Join(changed.Changed, ","); !strings.Contains(got, "memory") || !strings.Contains(got, "insecure-registry") {
		t.Errorf("changed: %s", got)
	}
	a.done(a.do("PATCH", a.at("/vch/"+id), map[string]any{"registry-ca": []string{made.CertPath["ca.pem"]}}), &changed)
	a.done(a.do("PATCH", a.at("/vch/"+id), map[string]any{"registry-ca": []string{made.CertPath["ca.pem"]}}), &changed)
	if len(changed.Changed) != 0 {
		t.Errorf("the same authority again: %v", changed.Changed)
	}
	var config map[string]any
	a.into(a.do("GET", a.at("/vch/"+id+"/config"), nil), http.StatusOK, &config)
	ca, _ := config["registry-ca"].([]any)
	if config["memory"] != 4096.0 || len(ca) != 1 || strings.TrimSpace(ca[0].(string)) != strings.TrimSpace(made.CertPath["ca.pem"]) {
		t.Errorf("config: %v", config)
	}
	if r := a.do("GET", a.at("/vch/"+id+"/config?format=toml"), nil); r.status != http.StatusOK || !strings.Contains(string(r.body), "memory = 4096\n") {
		t.Errorf("config: %s", r.body)
	}

	var up vch.Details
	a.done(a.do("POST", a.at("/vch/"+id+"/upgrade"), nil), &up)
	if r := a.task(a.do("POST", a.at("/vch/"+id+"/rollback"), map[string]any{"serve-timeout": "10s"})); r.State != Failed ||
		r.Error.Status != http.StatusConflict || r.Error.Advice == "" {
		t.Errorf("a rollback without an upgrade: %+v", r.Error)
	}
	var level Changed
	a.done(a.do("POST", a.at("/vch/"+id+"/log-level"), map[string]any{"log-level": "debug"}), &level)

	bundle := a.do("POST", a.at("/vch/"+id+"/bundle"), nil)
	if names := namesIn(t, bundle.body); bundle.status != http.StatusOK || !strings.Contains(names, "vch1-logs/vch.json") {
		t.Errorf("bundle: %d %s", bundle.status, names)
	}
	var fw Firewall
	a.into(a.do("GET", a.at("/firewall"), nil), http.StatusOK, &fw)
	if len(fw.Openings) < 3 {
		t.Errorf("firewall: %+v", fw)
	}

	// A container makes it refuse, with the text of the command line.
	var gone Removed
	a.done(a.do("DELETE", a.at("/vch/"+id), nil), &gone)
	if after := a.sim.Inventory(); after != before {
		t.Errorf("left behind:\n%s", after)
	}
	a.done(a.do("DELETE", a.at("/vch?name=vch1"), nil), &gone)
	if !strings.Contains(gone.Message, "nothing to delete") {
		t.Errorf("again: %+v", gone)
	}
	if r := a.do("GET", a.at("/vch/"+id), nil); r.status != http.StatusNotFound {
		t.Errorf("inspect of nothing: %d", r.status)
	}
	var tasks TaskList
	a.into(a.do("GET", a.at("/tasks"), nil), http.StatusOK, &tasks)
	if len(tasks.Tasks) < 7 || tasks.Tasks[0].Operation != "deleteVCHByName" {
		t.Errorf("tasks: %+v", tasks)
	}
	if log := a.log.String(); strings.Contains(log, simtest.Password) || strings.Contains(log, "BEGIN") || !strings.Contains(log, "createVCH") {
		t.Errorf("the log: %s", log)
	}
}

// namesIn lists the files of an archive.
func namesIn(t *testing.T, b []byte) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return strings.Join(names, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

func TestCertificatesOverHTTP(t *testing.T) {
	a := newAPI(t, nil)
	a.sim.Follow("vch1", ready)
	var made Made
	a.done(a.do("POST", a.at("/vch"), newVCH(nil)), &made)
	for _, name := range []string{"ca.pem", "ca-key.pem", "cert.pem", "key.pem", "server-cert.pem", "admin-cert.pem", "admin-ca-key.pem"} {
		if made.CertPath[name] == "" {
			t.Fatalf("no %s", name)
		}
	}
	folder := map[string]string{"ca.pem": made.CertPath["ca.pem"], "ca-key.pem": made.CertPath["ca-key.pem"]}
	at := func(path string) string { return a.at("/vch/" + made.VCH.ID + "/certificate" + path) }
	var before, after operation.Certificates
	a.into(a.do("GET", at(""), nil), http.StatusOK, &before)
	var files Files
	a.done(a.do("POST", at("/renew"), map[string]any{"cert-path": folder}), &files)
	a.into(a.do("GET", at(""), nil), http.StatusOK, &after)
	if before.Certificates["server-cert.pem"].Serial == after.Certificates["server-cert.pem"].Serial || files.CertPath["server-key.pem"] == "" ||
		len(files.CertPath) != 2 {
		t.Errorf("renew: %v", files)
	}
	var bob Files
	a.into(a.do("POST", at("/add-client"), map[string]any{"client": "bob", "cert-path": folder}), http.StatusOK, &bob)
	cert := bob.CertPath["clients/bob/cert.pem"]
	if block, _ := pem.Decode([]byte(cert)); block == nil {
		t.Fatalf("bob: %v", bob)
	} else if c, err := x509.ParseCertificate(block.Bytes); err != nil || c.Subject.CommonName != "bob" {
		t.Errorf("bob: %v %v", c, err)
	}
	a.done(a.do("POST", at("/revoke"), map[string]any{"cert": []string{cert}, "cert-path": folder}), &after)
	if len(after.Revoked) != 1 {
		t.Errorf("revoked: %+v", after)
	}
	if r := a.task(a.do("POST", at("/revoke"), map[string]any{"serial": []string{"ab"}})); r.State != Failed || r.Error.Advice == "" {
		t.Errorf("without the authority: %+v", r.Error)
	}
}

func TestProgressIsStreamed(t *testing.T) {
	a := newAPI(t, nil)
	a.sim.Guest("vch1", "ready", "")
	var acc Accepted
	a.into(a.do("POST", a.at("/vch"), newVCH(nil)), http.StatusAccepted, &acc)
	req, err := http.NewRequestWithContext(t.Context(), "GET", a.url+acc.Task.URL+"?follow", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+acc.Token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if kind := res.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("%d %s", res.StatusCode, kind)
	}
	count, ended := map[string]int{}, time.Time{}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			count[event]++
			ended = time.Now()
		}
	}
	if count["step"] < 12 || count["message"] < 5 || count["end"] != 1 || ended.IsZero() {
		t.Errorf("events: %v", count)
	}
	again := a.do("GET", acc.Task.URL+"?follow=true", nil, func(r *http.Request) { r.Header.Set("Last-Event-ID", "3") })
	if s := string(again.body); strings.Contains(s, "id: 3\n") || !strings.Contains(s, "id: 4\n") || !strings.Contains(s, `"state":"succeeded"`) {
		t.Errorf("resumed: %s", s)
	}
}

func TestATaskThatIsCanceledRemovesWhatItMade(t *testing.T) {
	a := newAPI(t, nil)
	before := a.sim.Inventory()
	r := a.do("POST", a.at("/vch"), newVCH(nil))
	var acc Accepted
	a.into(r, http.StatusAccepted, &acc)
	a.sim.Appears("vch1")
	if r := a.do("POST", a.at("/vch"), newVCH(nil)); r.status != http.StatusConflict {
		t.Errorf("the same VCH at the same time: %d %s", r.status, r.body)
	}
	var v Task
	a.into(a.do("DELETE", acc.Task.URL, nil), http.StatusAccepted, &v)
	if v.State != Canceling {
		t.Errorf("%+v", v)
	}
	if v = a.task(r); v.State != Canceled || v.Error.Type != problemPrefix+"interrupted" {
		t.Errorf("%+v %+v", v.State, v.Error)
	}
	if after := a.sim.Inventory(); after != before {
		t.Errorf("left behind:\n%s", after)
	}
	if r := a.do("DELETE", acc.Task.URL, nil); r.status != http.StatusNoContent {
		t.Errorf("forget: %d", r.status)
	}
	if r := a.do("GET", acc.Task.URL, nil); r.status != http.StatusNotFound {
		t.Errorf("after it was forgotten: %d", r.status)
	}
}

func TestTheEndOfTheServiceUndoesACreate(t *testing.T) {
	a := newAPI(t, nil)
	before := a.sim.Inventory()
	var acc Accepted
	a.into(a.do("POST", a.at("/vch"), newVCH(nil)), http.StatusAccepted, &acc)
	a.sim.Appears("vch1")
	a.svc.Interrupt()
	if err := a.svc.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := a.sim.Inventory(); after != before {
		t.Errorf("left behind:\n%s", after)
	}
	if v := a.svc.tasks.get(acc.Task.ID).snapshot(); v.State != Canceled {
		t.Errorf("%+v", v)
	}
	if r := a.do("POST", a.at("/vch"), newVCH(nil)); r.status != http.StatusServiceUnavailable {
		t.Errorf("another one: %d", r.status)
	}
}
