package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

const documentFile = "../../../docs/hub-openapi.json"

var update = flag.Bool("update", false, "write docs/hub-openapi.json instead of comparing it")

// TestPageTellsEveryRoute keeps docs/hub-openapi.json equal to the table of routes.
func TestPageTellsEveryRoute(t *testing.T) {
	want := Document()
	if *update {
		must(t, os.WriteFile(documentFile, want, 0o644))
		return
	}
	have, err := os.ReadFile(documentFile)
	must(t, err)
	if !bytes.Equal(have, want) {
		t.Error("docs/hub-openapi.json is not the hub's table of routes: make gen, or go test ./core/hub/api -run TestPage -update")
	}
}

func TestTheDocumentIsOpenAPI(t *testing.T) {
	doc := document()
	must(t, doc.Validate(t.Context()))
	ids := map[string]bool{}
	for _, r := range routes() {
		switch {
		case r.says == "":
			t.Errorf("%s %s: says: tell what it does", r.method, r.path)
		case ids[r.id]:
			t.Errorf("%s %s: another route has the id %s", r.method, r.path, r.id)
		case r.media != "" && r.gives != nil:
			t.Errorf("%s %s: it has both media and gives", r.method, r.path)
		case r.method == http.MethodPut && r.takes == nil && !r.large && r.status != http.StatusAccepted && !strings.HasPrefix(r.id, "stop"), r.method == http.MethodDelete && r.takes != nil:
			t.Errorf("%s %s: takes is not right", r.method, r.path)
		}
		ids[r.id] = true
		for _, q := range r.query {
			name, keys, _ := strings.Cut(q, ":")
			if known, ok := queryTexts[name]; !ok || known.text == "" && keys == "" {
				t.Errorf("%s %s: queryTexts does not tell what %s is", r.method, r.path, name)
			}
		}
	}
	n := 0
	for _, item := range doc.Paths.Map() {
		n += len(item.Operations())
	}
	if n != len(routes()) {
		t.Errorf("%d operations for %d routes", n, len(routes()))
	}
}

// document is the one that tests compare answers with.
var document = sync.OnceValue(func() *openapi3.T {
	doc, err := openapi3.NewLoader().LoadFromData(Document())
	if err != nil {
		panic(err)
	}
	return doc
})

// patterns finds the route of a request.
var patterns = sync.OnceValue(func() *http.ServeMux {
	mux := http.NewServeMux()
	for _, r := range routes() {
		mux.HandleFunc(r.method+" "+Prefix+r.path, func(http.ResponseWriter, *http.Request) {})
	}
	return mux
})

// checkAnswer compares what the API answered with what the document promises.
func checkAnswer(t *testing.T, req *http.Request, res *http.Response, body []byte) {
	t.Helper()
	_, pattern := patterns().Handler(req)
	if pattern == "" {
		return // no route: its error is tested elsewhere
	}
	method, path, _ := strings.Cut(pattern, " ")
	path = strings.ReplaceAll(strings.TrimPrefix(path, Prefix), "...}", "}")
	op := document().Paths.Find(path).GetOperation(method)
	want := op.Responses.Status(res.StatusCode)
	if want == nil && res.StatusCode < http.StatusBadRequest {
		t.Errorf("%s: the document knows no answer %d", pattern, res.StatusCode)
		return
	}
	if want == nil {
		want = op.Responses.Default()
	}
	for name := range want.Value.Headers {
		if res.Header.Get(name) == "" && name != "Link" {
			t.Errorf("%s: the answer has no %s", pattern, name)
		}
	}
	media := want.Value.Content.Get(res.Header.Get("Content-Type"))
	switch {
	case len(want.Value.Content) == 0 || req.Method == http.MethodHead:
		if len(body) != 0 {
			t.Errorf("%s: the document knows no body, there is %.200s", pattern, body)
		}
	case media == nil:
		t.Errorf("%s: the document does not know the type %q", pattern, res.Header.Get("Content-Type"))
	case strings.HasPrefix(res.Header.Get("Content-Type"), "application/json"):
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			t.Errorf("%s: %v in %.200s", pattern, err, body)
		} else if err := media.Schema.Value.VisitJSON(v); err != nil {
			t.Errorf("%s: the answer is not as documented: %v\n%.500s", pattern, err, body)
		}
	}
}

// An answer that is not as documented is noticed: else the test above could not fail.
func TestAnswersThatAreNotAsDocumentedAreNoticed(t *testing.T) {
	schema := document().Components.Schemas["Member"].Value
	for text, good := range map[string]bool{
		`{"id":1,"project_id":1,"entity_id":1,"entity_name":"x","entity_type":"u","role_name":"viewer","principal":"d/x"}`:               true,
		`{"id":1,"project_id":1,"entity_id":1,"entity_name":"x","entity_type":"u","role_name":"viewer"}`:                                 false,
		`{"id":"1","project_id":1,"entity_id":1,"entity_name":"x","entity_type":"u","role_name":"viewer","principal":"d/x"}`:             false,
		`{"id":1,"project_id":1,"entity_id":1,"entity_name":"x","entity_type":"u","role_name":"viewer","principal":"d/x","color":"red"}`: false,
	} {
		var v any
		must(t, json.Unmarshal([]byte(text), &v))
		if err := schema.VisitJSON(v); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
	if !slices.Contains(schema.Required, "principal") {
		t.Error("required fields are not told")
	}
}
