package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/openvic/vic/core/hub/browser"
	"github.com/openvic/vic/core/hub/role"
)

func documentRoutes() []route {
	return []route{
		{method: "GET", path: "/openapi.json", id: "getOpenAPI", run: (*api).openAPI, media: "application/json",
			says: "This document"},
	}
}

// documentVersion is that of the document; it changes when a client may have to.
const documentVersion = "1.0.0"

// schema is a JSON schema as OpenAPI 3.0 has it.
type schema map[string]any

func (a *api) openAPI(c *call) error {
	c.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = c.w.Write(a.document()) // the client has gone
	return nil
}

// Document is the OpenAPI document of the API, made from its table of routes.
func Document() []byte {
	s := &schemas{named: map[string]schema{}}
	s.of(reflect.TypeFor[failure](), false)
	paths := map[string]map[string]any{}
	for _, r := range routes() {
		path := strings.ReplaceAll(r.path, "...}", "}")
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		paths[path][strings.ToLower(r.method)] = r.operation(s)
	}
	text, err := json.MarshalIndent(map[string]any{
		"openapi": "3.0.3",
		"info": map[string]any{"title": "vic-hub", "version": documentVersion, "license": map[string]any{"name": "Apache-2.0"},
			"description": "The hub's API: paths, fields, status codes and error bodies of Harbor's API v2.0 where it has them, and what is beyond it " +
				"in the same manner. " +
				"Lists come in pages (page, page_size); X-Total-Count counts all entries and Link names the pages around. " +
				"x-permission is the permission that an operation needs, x-least-role the lowest role that has it."},
		"servers":  []any{map[string]any{"url": Prefix}},
		"paths":    paths,
		"security": []any{map[string]any{"basic": []string{}}, map[string]any{"session": []string{}}, map[string]any{}},
		"components": map[string]any{
			"schemas": s.named,
			"responses": map[string]any{"Failure": map[string]any{"description": "why it was not done",
				"content": content("application/json", ref("Failure"))}},
			"securitySchemes": map[string]any{
				"basic":   map[string]any{"type": "http", "scheme": "basic", "description": "a user's name and password, or a robot's"},
				"session": map[string]any{"type": "apiKey", "in": "cookie", "name": browser.Cookie, "description": "of a browser that has signed in"}},
		},
	}, "", "  ")
	if err != nil {
		panic(err) // it is made of maps and texts
	}
	return append(text, '\n')
}

func content(media string, s schema) map[string]any {
	return map[string]any{media: map[string]any{"schema": s}}
}

func ref(name string) schema { return schema{"$ref": "#/components/schemas/" + name} }

// success is the status of an answer that did what was asked.
func (r route) success() int {
	switch {
	case r.status != 0:
		return r.status
	case r.method == http.MethodPost:
		return http.StatusCreated
	}
	return http.StatusOK
}

// paged says whether the answer is a page of a list.
func (r route) paged() bool {
	return r.gives != nil && !r.whole && reflect.TypeOf(r.gives).Kind() == reflect.Slice
}

// operation is what the document says of a route.
func (r route) operation(s *schemas) map[string]any {
	op := map[string]any{"operationId": r.id, "summary": r.says, "tags": []string{r.tag()}, "parameters": r.parameters(),
		"responses": map[string]any{strconv.Itoa(r.success()): r.response(s), "default": map[string]any{"$ref": "#/components/responses/Failure"}}}
	if r.takes != nil {
		op["requestBody"] = map[string]any{"required": true, "content": content("application/json", s.of(reflect.TypeOf(r.takes), true))}
	}
	if r.large {
		op["requestBody"] = map[string]any{"required": true, "content": content(tarMedia, schema{"type": "string", "format": "binary"})}
	}
	switch {
	case r.needs != 0:
		row := r.needs.Row()
		op["x-permission"], op["x-least-role"] = row.Name, row.Least.String()
		if row.Scope == role.Project && row.Public {
			op["description"] = "In a public project anybody may ask."
		}
	case r.signed:
		op["description"] = "Anybody who is signed in may ask."
	default:
		op["description"] = "Anybody may ask."
	}
	return op
}

// tag groups routes for who reads the document: the first word of the path, or of what is below a project.
func (r route) tag() string {
	parts := strings.Split(strings.TrimPrefix(r.path, "/"), "/")
	if parts[0] == "projects" && len(parts) > 2 && parts[2][0] != '{' && parts[2][0] != '_' {
		return parts[2]
	}
	return parts[0]
}

func (r route) response(s *schemas) map[string]any {
	out := map[string]any{"description": http.StatusText(r.success())}
	header := func(name, text, kind string) {
		if out["headers"] == nil {
			out["headers"] = map[string]any{}
		}
		out["headers"].(map[string]any)[name] = map[string]any{"description": text, "schema": schema{"type": kind}}
	}
	switch {
	case r.media != "":
		out["content"] = content(r.media, schema{})
	case r.gives != nil:
		out["content"] = content("application/json", s.of(reflect.TypeOf(r.gives), false))
	}
	if r.paged() {
		header("X-Total-Count", "how many entries the whole list has", "integer")
		header("Link", "the pages around this one, with rel prev and next", "string")
	}
	if r.success() == http.StatusCreated {
		header("Location", "the path of what was made", "string")
	}
	return out
}

// queryTexts are the parameters of queries; the type is string unless it is named.
var queryTexts = map[string]struct{ text, kind string }{
	"page":                 {"which page, from 1", "integer"},
	"page_size":            {"how many entries a page has, at most 100", "integer"},
	"q":                    {"", "string"},
	"sort":                 {"", "string"},
	"with_label":           {"with the labels of each artifact", "boolean"},
	"with_scan_overview":   {"with the head of the report of the last scan", "boolean"},
	"with_accessory":       {"with what is about each artifact: signatures, SBOMs", "boolean"},
	"scope":                {"g for labels of the whole hub, p for those of a project", "string"},
	"project_id":           {"the project's number", "integer"},
	"text":                 {"a part of a name", "string"}, // which is q
	"from":                 {"PROJECT/REPOSITORY:TAG or PROJECT/REPOSITORY@DIGEST", "string"},
	"name":                 {"a part of the name", "string"},
	"public":               {"public or private ones", "boolean"},
	"entityname":           {"a part of the member's name", "string"},
	"project_name":         {"the name", "string"},
	"username":             {"a part of the name", "string"},
	"groupname":            {"a part of the name", "string"},
	"group_name":           {"a part of the name", "string"},
	"others":               {"true keeps the session of the request itself", "boolean"},
	"after":                {"the id of a line: later ones alone", "integer"},
	"policy_id":            {"the number of a policy", "integer"},
	"permission_scope":     {"/project/NUMBER, or /system for the whole hub, which is meant without it", "string"}, // which is scope
	"trigger":              {"manual, scheduled or event_based", "string"},
	"relative":             {"true leaves the scope out of the resources", "boolean"},
	"status":               {"Pending, Running, Success, Error or Stopped", "string"},
	"new_name":             {"the name that it gets", "string"},
	"filters":              {"Docker's filters, as JSON", "string"},
	"size":                 {"with the size of its files", "boolean"},
	"v":                    {"with its anonymous volumes", "boolean"},
	"force":                {"kill it first if it runs", "boolean"},
	"ps_args":              {"arguments of ps", "string"},
	"stream":               {"false: once", "boolean"},
	"one-shot":             {"without the time of a second measurement", "boolean"},
	"path":                 {"a path in the container", "string"},
	"t":                    {"seconds to wait before it is killed", "integer"},
	"signal":               {"the signal to send", "string"},
	"repo":                 {"the image's repository", "string"},
	"tag":                  {"the image's tag", "string"},
	"comment":              {"a comment", "string"},
	"author":               {"the author", "string"},
	"pause":                {"false: without a pause", "boolean"},
	"since":                {"from when on, in seconds since 1970", "number"},
	"until":                {"until when, in seconds since 1970", "number"},
	"tail":                 {"how many lines from the end", "integer"},
	"follow":               {"go on as lines come", "boolean"},
	"contains":             {"only lines with this text", "string"},
	"plain":                {"text for a file", "boolean"},
	"cmd":                  {"a word of the command, several times", "string"},
	"user":                 {"the user in the container", "string"},
	"cols":                 {"columns of the terminal", "integer"},
	"rows":                 {"rows of the terminal", "integer"},
	"noOverwriteDirNonDir": {"true: a file does not take the place of a folder, nor a folder of a file", "string"},
	"copyUIDGID":           {"true: files belong to whom the archive says", "string"},
}

// queryNames are those of parameters that another text is told of elsewhere.
var queryNames = map[string]string{"text": "q", "permission_scope": "scope"}

func (r route) parameters() []any {
	out := []any{}
	add := func(in, name, text, kind string) {
		p := map[string]any{"name": name, "in": in, "schema": schema{"type": kind}}
		if text != "" {
			p["description"] = text
		}
		if in == "path" {
			p["required"] = true
		}
		out = append(out, p)
	}
	for part := range strings.SplitSeq(r.path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			add("path", strings.TrimSuffix(strings.TrimSuffix(name, "}"), "..."), pathTexts[strings.TrimSuffix(name, "}")], "string")
		}
	}
	names := slices.Clone(r.query)
	if r.cols != nil {
		names = append(names, "q:"+strings.Join(r.cols.Names(false), ","))
		if keys := r.cols.Names(true); len(keys) > 0 {
			names = append(names, "sort:"+strings.Join(keys, ","))
		}
	}
	if r.paged() {
		names = append(names, "page", "page_size")
	}
	for _, name := range names {
		name, keys, _ := strings.Cut(name, ":")
		known := queryTexts[name]
		text := known.text
		switch {
		case name == "sort":
			text = "KEY, or -KEY from the last to the first, several with commas between them; the keys are " + strings.ReplaceAll(keys, ",", ", ")
		case keys != "":
			text = "KEY=VALUE, KEY=~PART, KEY=[FROM~TO] or KEY={A B} for one of them, several with commas between them; the keys are " +
				strings.ReplaceAll(keys, ",", ", ")
		}
		if known.kind == "" {
			known.kind = "string"
		}
		if other := queryNames[name]; other != "" {
			name = other
		}
		add("query", name, text, known.kind)
	}
	return out
}

// pathTexts explain parameters of paths that need it.
var pathTexts = map[string]string{
	"project":      "a project's name or number; a name of digits wants the header X-Is-Resource-Name: true",
	"repository":   "the repository's name without its project, with slashes escaped once or twice",
	"reference":    "a digest or a tag",
	"principal...": "DOMAIN/NAME",
}

// failure is the body of every error.
type failure struct {
	Errors []failureItem `json:"errors"`
}

type failureItem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// schemas collects the named ones.
type schemas struct{ named map[string]schema }

// of is the schema of a type. What the hub sends has every field that is not left out when empty, and no others; what it
// takes may leave out any, and have others, which are ignored.
func (s *schemas) of(t reflect.Type, taken bool) schema {
	if t == reflect.TypeFor[json.RawMessage]() {
		return schema{} // anything
	}
	switch t.Kind() {
	case reflect.Interface:
		return schema{} // anything
	case reflect.Pointer:
		return s.of(t.Elem(), taken)
	case reflect.String:
		return schema{"type": "string"}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return schema{"type": "integer", "format": "int64"}
	case reflect.Float64:
		return schema{"type": "number"}
	case reflect.Slice:
		return schema{"type": "array", "items": s.of(t.Elem(), taken)}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": s.of(t.Elem(), taken)}
	case reflect.Struct:
		return s.object(t, taken)
	}
	return schema{} // anything
}

func (s *schemas) object(t reflect.Type, taken bool) schema {
	name := strings.ToUpper(t.Name()[:1]) + strings.TrimSuffix(t.Name()[1:], "Form")
	if taken && !strings.HasSuffix(name, "Request") {
		name += "Given" // the same type also goes out, where it is stricter
	}
	if s.named[name] != nil {
		return ref(name)
	}
	out := schema{"type": "object"}
	s.named[name] = out // before its fields: one may be of its own type
	properties, required := map[string]any{}, []string{}
	s.fields(t, taken, properties, &required)
	out["properties"] = properties
	if !taken {
		out["additionalProperties"] = false
		if len(required) > 0 {
			out["required"] = required
		}
	}
	return ref(name)
}

func (s *schemas) fields(t reflect.Type, taken bool, properties map[string]any, required *[]string) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			s.fields(f.Type, taken, properties, required)
			continue
		case !f.IsExported() || name == "-":
			continue
		}
		one := s.of(f.Type, taken)
		if (f.Type.Kind() == reflect.Pointer || f.Type.Kind() == reflect.Interface) && !strings.Contains(options, "omitempty") && !taken {
			one = schema{"nullable": true, "allOf": []any{one}}
		}
		properties[name] = one
		if !strings.Contains(options, "omitempty") {
			*required = append(*required, name)
		}
	}
}
