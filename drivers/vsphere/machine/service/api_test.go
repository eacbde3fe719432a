package service

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
)

// api is a client of a service that asks a simulator. It compares what is said with the document.
type api struct {
	t              *testing.T
	sim            *simtest.Sim
	svc            *Service
	url            string
	router         routers.Router
	user, password string
	log            *buffer
	hostile        bool // requests may be against the document; answers may not
}

// buffer is a log that several write.
type buffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}
func (b *buffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.Buffer.String() }

// document loads the document as a client does.
func document(t *testing.T) *openapi3.T {
	t.Helper()
	b, err := json.Marshal(Document())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return doc
}

func newAPI(t *testing.T, change func(*Config)) *api {
	t.Helper()
	a := &api{t: t, sim: simtest.New(t), user: simtest.User, password: simtest.Password, log: &buffer{}}
	cfg := Config{Version: "v9", ApplianceISO: simtest.ISO(t, "a.iso"), BootstrapISO: simtest.ISO(t, "b.iso"), FailedLogins: 1000,
		Log: slog.New(slog.NewTextHandler(a.log, nil))}
	if change != nil {
		change(&cfg)
	}
	a.svc = New(context.WithoutCancel(t.Context()), cfg)
	srv := httptest.NewServer(a.svc)
	t.Cleanup(func() {
		a.svc.Interrupt()
		if err := a.svc.Wait(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		srv.Close()
	})
	a.url = srv.URL
	var err error
	if a.router, err = gorillamux.NewRouter(document(t)); err != nil {
		t.Fatal(err)
	}
	return a
}

// at is a path of the simulator's.
func (a *api) at(path string) string {
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	return "/container/target/" + a.sim.Server.URL.Host + path + sep + "thumbprint=" + a.sim.Target.Thumbprint
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do asks, and checks question and answer against the document.
func (a *api) do(method, path string, body any, change ...func(*http.Request)) answer {
	a.t.Helper()
	var b []byte
	switch x := body.(type) {
	case nil:
	case string:
		b = []byte(x)
	default:
		var err error
		if b, err = json.Marshal(x); err != nil {
			a.t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, bytes.NewReader(b))
	if err != nil {
		a.t.Fatal(err)
	}
	if a.user != "" {
		req.SetBasicAuth(a.user, a.password)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, f := range change {
		f(req)
	}
	in := a.asked(req, b)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	out := answer{status: res.StatusCode, header: res.Header}
	if out.body, err = io.ReadAll(res.Body); err != nil {
		a.t.Fatal(err)
	}
	if in == nil {
		return out
	}
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	if kind == "text/event-stream" || kind == "application/gzip" || kind == "application/toml" {
		return out // the library has no readers for these
	}
	err = openapi3filter.ValidateResponse(a.t.Context(), &openapi3filter.ResponseValidationInput{RequestValidationInput: in,
		Status: res.StatusCode, Header: res.Header, Body: io.NopCloser(bytes.NewReader(out.body)), Options: in.Options})
	if err != nil {
		a.t.Errorf("%s %s: the answer %d is not that of the document: %v", method, path, res.StatusCode, err)
	}
	return out
}

// asked checks a question; nil if the document has no such route.
func (a *api) asked(req *http.Request, body []byte) *openapi3filter.RequestValidationInput {
	a.t.Helper()
	probe := req.Clone(req.Context())
	probe.Body = io.NopCloser(bytes.NewReader(body))
	route, params, err := a.router.FindRoute(probe)
	if err != nil {
		if !a.hostile {
			a.t.Errorf("%s %s: %v", req.Method, req.URL.Path, err)
		}
		return nil
	}
	in := &openapi3filter.RequestValidationInput{Request: probe, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}}
	if err := openapi3filter.ValidateRequest(req.Context(), in); err != nil && !a.hostile {
		a.t.Errorf("%s %s: the document refuses what the test asks: %v", req.Method, req.URL.Path, err)
	}
	return in
}

// into reads the answer, which must have a status.
func (a *api) into(r answer, status int, v any) {
	a.t.Helper()
	if r.status != status {
		a.t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	if err := json.Unmarshal(r.body, v); err != nil {
		a.t.Fatalf("%v in %s", err, r.body)
	}
}

// task waits for the end of a task that a request has begun.
func (a *api) task(r answer) Task {
	a.t.Helper()
	var acc Accepted
	a.into(r, http.StatusAccepted, &acc)
	if r.header.Get("Location") != acc.Task.URL {
		a.t.Errorf("Location %q, task %q", r.header.Get("Location"), acc.Task.URL)
	}
	a.do("GET", acc.Task.URL+"?follow=true", nil) // ends with the task
	var v Task
	if a.into(a.do("GET", acc.Task.URL, nil), http.StatusOK, &v); v.Ended.IsZero() {
		a.t.Fatalf("the task was followed and has not ended: %+v", v)
	}
	return v
}

// done is task, which must succeed; its result is read into v.
func (a *api) done(r answer, v any) Task {
	a.t.Helper()
	t := a.task(r)
	if t.State != Succeeded {
		a.t.Fatalf("%s: %s %+v", t.Operation, t.State, t.Error)
	}
	a.result(t, v)
	return t
}

// result checks a task's result against the document.
func (a *api) result(t Task, v any) {
	a.t.Helper()
	b, err := json.Marshal(t.Result)
	if err != nil {
		a.t.Fatal(err)
	}
	doc := document(a.t)
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			if op.OperationID != t.Operation {
				continue
			}
			named, _ := op.Extensions["x-task-result"].(map[string]any)
			name := strings.TrimPrefix(named["$ref"].(string), "#/components/schemas/")
			if err := doc.Components.Schemas[name].Value.VisitJSON(t.Result); err != nil {
				a.t.Errorf("the result of %s is not that of the document: %v", t.Operation, err)
			}
		}
	}
	if err := json.Unmarshal(b, v); err != nil {
		a.t.Fatal(err)
	}
}

// newVCH are the options of a VCH in the simulator.
func newVCH(more map[string]any) map[string]any {
	o := map[string]any{"name": "vch1", "image-store": "LocalDS_0", "bridge-network": "bridge", "public-network": "public", "tls-cname": []string{"127.0.0.1"}}
	for k, v := range more {
		o[k] = v
	}
	return o
}

func ready(string, string) string { return "ready" }
