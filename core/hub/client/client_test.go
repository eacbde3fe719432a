package client

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/core/hub/api"
	"github.com/openvic/vic/sdk/errdef"
)

// document is what of OpenAPI the test reads.
type document struct {
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]*schema `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	ID          string `json:"operationId"`
	Parameters  []parameter
	RequestBody struct {
		Content map[string]struct{ Schema schema }
	}
	Responses map[string]struct {
		Content map[string]struct{ Schema schema }
	}
}

type parameter struct{ Name, In string }

type schema struct {
	Ref        string `json:"$ref"`
	Type       string
	Items      *schema
	Properties map[string]*schema
	AllOf      []schema `json:"allOf"`
}

// hub is a server that is no more than its document: it refuses what the document does not have, and answers what it says.
type hub struct {
	t     *testing.T
	doc   document
	calls []string
}

func newHub(t *testing.T) (*hub, *Client) {
	t.Helper()
	h := &hub{t: t}
	if err := json.Unmarshal(api.Document(), &h.doc); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	c, err := New(Options{URL: srv.URL, CA: ca, User: "ann", Password: "secret", Agent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	c.seen = func(v any) { filled(t, reflect.ValueOf(v), "", 0) }
	return h, c
}

// filled fails for a field that the answer left empty: the server sends a value in every field that the document has, so the
// document lacks this one. Fields that the document has and the client not are well: it shows no more than it has.
func filled(t *testing.T, v reflect.Value, at string, depth int) {
	t.Helper()
	switch v.Kind() {
	case reflect.Pointer:
		filled(t, v.Elem(), at, depth)
	case reflect.Slice:
		if v.Len() > 0 && depth < 3 {
			filled(t, v.Index(0), at, depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if v.Field(i).IsZero() {
				t.Errorf("the API has no field %s of %s%s", f.Tag.Get("json"), at, v.Type())
			}
			filled(t, v.Field(i), at+v.Type().String()+" ", depth)
		}
	}
}

// find finds the operation of a request: the path with the fewest parameters that fits.
func (h *hub) find(method, path string) (operation, bool) {
	var best string
	for template, ops := range h.doc.Paths {
		if _, ok := ops[strings.ToLower(method)]; ok && fits(template, path) && (best == "" || strings.Count(template, "{") < strings.Count(best, "{")) {
			best = template
		}
	}
	return h.doc.Paths[best][strings.ToLower(method)], best != ""
}

func fits(template, path string) bool {
	a, b := strings.Split(template, "/"), strings.Split(path, "/")
	if strings.HasSuffix(template, "{principal}") && len(b) > len(a) {
		b = b[:len(a)] // the rest of the path is one parameter
	}
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !strings.HasPrefix(a[i], "{") && a[i] != b[i] || b[i] == "" && a[i] != "" {
			return false
		}
	}
	return true
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.EscapedPath(), api.Prefix)
	op, ok := h.find(r.Method, path)
	if user, password, _ := r.BasicAuth(); !ok || user != "ann" || password != "secret" {
		h.t.Errorf("%s %s is in no document, or without a sign-in", r.Method, path)
		w.WriteHeader(404)
		return
	}
	h.calls = append(h.calls, op.ID)
	for name := range r.URL.Query() {
		if !slices.ContainsFunc(op.Parameters, func(p parameter) bool { return p.In == "query" && p.Name == name }) {
			h.t.Errorf("%s has no parameter %q", op.ID, name)
		}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		h.t.Error(err)
	}
	if len(body) > 0 {
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			h.t.Error(err)
		}
		h.compare(op.ID, v, op.RequestBody.Content["application/json"].Schema)
	}
	for status, res := range op.Responses {
		if status == "default" {
			continue
		}
		w.Header().Set("X-Total-Count", "1")
		w.Header().Set("Location", r.URL.Path+"/42")
		code := map[string]int{"200": 200, "201": 201, "202": 202, "204": 204}[status]
		w.WriteHeader(code)
		if s, ok := res.Content["application/json"]; ok {
			_ = json.NewEncoder(w).Encode(h.sample(s.Schema, 0))
		}
	}
}

func (h *hub) resolve(s schema) schema {
	if len(s.AllOf) > 0 {
		return h.resolve(s.AllOf[0])
	}
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return *h.doc.Components.Schemas[name]
	}
	return s
}

// sample is a value of a schema with every field that it has.
func (h *hub) sample(s schema, depth int) any {
	s = h.resolve(s)
	switch s.Type {
	case "string":
		return "text"
	case "integer":
		return 7
	case "number":
		return 1.5
	case "boolean":
		return true
	case "array":
		if depth > 4 {
			return []any{}
		}
		return []any{h.sample(*s.Items, depth+1)}
	case "object":
		out := map[string]any{}
		for name, p := range s.Properties {
			out[name] = h.sample(*p, depth+1)
		}
		return out
	}
	return nil
}

// compare fails for a field that the schema of a request does not have.
func (h *hub) compare(at string, v any, s schema) {
	s = h.resolve(s)
	switch x := v.(type) {
	case map[string]any:
		for name, sub := range x {
			p, ok := s.Properties[name]
			if !ok && len(s.Properties) > 0 {
				h.t.Errorf("%s: the API takes no field %q", at, name)
			} else if ok {
				h.compare(at+"."+name, sub, *p)
			}
		}
	case []any:
		for _, sub := range x {
			if s.Items == nil {
				h.t.Errorf("%s is no list", at)
				return
			}
			h.compare(at, sub, *s.Items)
		}
	}
}

func all[T any](t *testing.T, list iter.Seq2[T, error]) []T {
	t.Helper()
	var out []T
	for v, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	if len(out) != 1 {
		t.Errorf("%d entries", len(out))
	}
	return out
}

// TestEachCallIsOneOfTheDocument makes every call of the client, against a server made from the API's own document: a path,
// a parameter or a field that the document does not have fails.
func TestEachCallIsOneOfTheDocument(t *testing.T) {
	h, c := newHub(t)
	ctx := context.Background()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	number := func(n int64, err error) {
		t.Helper()
		if err != nil || n != 42 {
			t.Errorf("%d %v", n, err)
		}
	}
	_, err := c.Current(ctx)
	ok(err)
	all(t, c.Users(ctx))
	all(t, c.SearchUsers(ctx, "a"))
	number(c.CreateUser(ctx, NewUser{Name: "a", Password: "b"}))
	ok(c.DeleteUser(ctx, 1))
	ok(c.SetPassword(ctx, 1, "a", "b"))
	all(t, c.Members(ctx, "p"))
	number(c.AddMember(ctx, "p", "d/u", 2))
	ok(c.ChangeMember(ctx, "p", 1, 2))
	ok(c.RemoveMember(ctx, "p", 1))
	_, err = c.CloudAdmins(ctx)
	ok(err)
	ok(c.AddCloudAdmin(ctx, "d/u"))
	ok(c.RemoveCloudAdmin(ctx, "vsphere.local/domain users"))
	all(t, c.Projects(ctx, "p"))
	_, err = c.Project(ctx, "p")
	ok(err)
	storage := int64(1)
	number(c.CreateProject(ctx, ProjectRequest{Name: "p", Storage: &storage, Metadata: map[string]string{"public": "true"}, Admin: "d/u"}))
	ok(c.UpdateProject(ctx, "p", ProjectRequest{Metadata: map[string]string{"public": "true"}}))
	ok(c.DeleteProject(ctx, "p"))
	all(t, c.Quotas(ctx))
	ok(c.SetQuota(ctx, 1, map[string]int64{"storage": 1}))
	all(t, c.Repositories(ctx, "p", "a"))
	ok(c.DeleteRepository(ctx, "p", "a/b"))
	all(t, c.Artifacts(ctx, "p", "a/b"))
	_, err = c.Artifact(ctx, "p", "a/b", "1")
	ok(err)
	ok(c.DeleteArtifact(ctx, "p", "a/b", "sha256:00"))
	ok(c.DeleteTag(ctx, "p", "a/b", "1"))
	all(t, c.Robots(ctx, 1))
	access := []RobotPermission{{Kind: "project", Namespace: "p", Access: []RobotAccess{{Resource: "repository", Action: "pull", Effect: "allow"}}}}
	m, err := c.CreateRobot(ctx, NewRobot{Name: "ci", Level: "project", Duration: 1, Permissions: access})
	ok(err)
	if m.Secret == "" {
		t.Errorf("%+v", m)
	}
	_, err = c.RefreshRobot(ctx, 1)
	ok(err)
	r, err := c.Robot(ctx, 1)
	ok(err)
	ok(c.UpdateRobot(ctx, r))
	ok(c.DeleteRobot(ctx, 1))
	all(t, c.Audit(ctx, AuditQuery{User: "ann", From: time.Unix(1, 0)}))
	all(t, c.Audit(ctx, AuditQuery{Project: "p"}))
	all(t, c.SystemLogs(ctx, SystemLogQuery{Level: "warning", Plugin: "local", Text: "x", From: time.Unix(1, 0), After: 5}))
	_, err = c.SupportBundle(ctx)
	ok(err)
	all(t, c.TrustKeys(ctx, "demo"))
	ok(c.AddTrustKey(ctx, "demo", TrustKeyRequest{Name: "k", Kind: "cosign-key", PEM: "x", Signers: []string{"*"}}))
	ok(c.RevokeTrustKey(ctx, "demo", 1, true))
	ok(c.DeleteTrustKey(ctx, "demo", 1))
	_, err = c.Signatures(ctx, "demo", "app", "1")
	ok(err)
	ok(c.SetMetadata(ctx, "demo", "enable_content_trust", "true"))
	all(t, c.Collections(ctx))
	_, err = c.Collection(ctx, 1)
	ok(err)
	number(c.Collect(ctx, true))
	s, err := c.CollectionSchedule(ctx)
	ok(err)
	ok(c.SetCollectionSchedule(ctx, Schedule{Type: s.Kind}))
	ok(c.StopCollection(ctx, 1))
	_, err = c.CollectionLog(ctx, 1)
	ok(err)
	eachOther(t, c)
	_, err = c.Health(ctx)
	ok(err)
	_, err = c.SystemInfo(ctx)
	ok(err)
	if len(h.calls) < 92 {
		t.Errorf("%d calls", len(h.calls))
	}
}

func TestWhatAHubThatIsNoneSays(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case api.Prefix + "/users/current":
			w.WriteHeader(403)
			_, _ = io.WriteString(w, `{"errors":[{"code":"FORBIDDEN","message":"no"}]}`)
		case api.Prefix + "/health":
			_, _ = io.WriteString(w, `<html>`)
		default:
			http.Redirect(w, r, "https://127.0.0.1:1/", http.StatusFound)
		}
	}))
	defer srv.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	c, err := New(Options{URL: srv.URL, CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Current(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.Status != 403 || e.Code != "FORBIDDEN" || !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("%v", err)
	}
	if _, err = c.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("%v", err)
	}
	if _, err = c.SystemInfo(t.Context()); err == nil || !strings.Contains(err.Error(), "302") {
		t.Errorf("a redirection: %v", err)
	}
	plain, err := New(Options{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = plain.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "give the hub's ca.pem") {
		t.Errorf("%v", err)
	}
	away, err := New(Options{URL: "https://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = away.Health(t.Context()); !errors.Is(err, errdef.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	for _, u := range []string{"", "hub", "http://hub", "https://", "https://hub/x", "https://a:b@hub", "https://hub?x"} {
		if _, err := New(Options{URL: u}); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%q: %v", u, err)
		}
	}
}
