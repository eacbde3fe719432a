package service

import (
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/openvic/vic/drivers/vsphere/machine/option"
)

// apiVersion is that of the document; it changes when a client may have to.
const apiVersion = "1.0.0"

// Document is the OpenAPI document of the service, made from its routes and the options.
func Document() map[string]any {
	s := &schemas{named: map[string]schema{}}
	problem := s.of(reflect.TypeFor[Problem]())
	paths := map[string]any{}
	for _, r := range routes() {
		item, _ := paths[r.path].(map[string]any)
		if item == nil {
			item = map[string]any{}
			paths[r.path] = item
		}
		item[strings.ToLower(r.method)] = r.operation(s)
	}
	return map[string]any{
		"openapi": "3.0.3",
		"info": map[string]any{"title": "vic-machine", "version": apiVersion, "license": map[string]any{"name": "Apache-2.0"},
			"description": "The operations of vic-machine. Options have the names that they have on its command line and in its file of options. " +
				"Operations that change something answer 202 with a task, which is read at /tasks/{task}; its account, or the token in that answer, may read it."},
		"paths": paths,
		"components": map[string]any{
			"schemas": s.named,
			"responses": map[string]any{"Problem": map[string]any{"description": "what is wrong, as vic-machine prints it, and what to do about it (RFC 9457)",
				"content": map[string]any{"application/problem+json": map[string]any{"schema": problem}}}},
			"securitySchemes": map[string]any{
				"account": map[string]any{"type": "http", "scheme": "basic", "description": "user and password of vSphere"},
				"ticket": map[string]any{"type": "apiKey", "in": "header", "name": headerTicket,
					"description": "a clone ticket of a vSphere session (SessionManager.AcquireCloneTicket); it is good once"},
				"token": map[string]any{"type": "http", "scheme": "bearer", "description": "the token in the answer that named the task; it is good for that task"},
			},
		},
	}
}

// operation is what the document says of a route.
func (r route) operation(s *schemas) map[string]any {
	op := map[string]any{"operationId": r.id, "summary": capital(r.summary), "responses": r.responses(s), "tags": []string{r.tag()}}
	var text []string
	if r.text != "" {
		text = append(text, r.text)
	}
	if p := r.parameters(); len(p) > 0 {
		op["parameters"] = p
	}
	if r.options != nil {
		op["requestBody"] = map[string]any{"content": jsonContent(s.body(r.bodyName(), r.options))}
	}
	if r.result != nil {
		op["x-task-result"] = s.of(reflect.TypeOf(r.result))
		text = append(text, "The result of its task is a "+nameOf(reflect.TypeOf(r.result))+".")
	}
	if len(text) > 0 {
		op["description"] = strings.Join(text, " ")
	}
	switch {
	case r.needsVSphere():
		op["security"] = []any{map[string]any{"account": []string{}}, map[string]any{"ticket": []string{}}}
	case strings.HasPrefix(r.path, "/tasks/"):
		op["security"] = []any{map[string]any{"token": []string{}}, map[string]any{"account": []string{}}, map[string]any{"ticket": []string{}}}
	default:
		op["security"] = []any{}
	}
	return op
}

// tag groups routes for who reads the document.
func (r route) tag() string {
	switch {
	case strings.Contains(r.path, "/certificate"):
		return "certificates"
	case strings.Contains(r.path, "/tasks"):
		return "tasks"
	case strings.Contains(r.path, "/vch"):
		return "VCHs"
	}
	return "service"
}

// bodyName is what the options of a route are called; some routes share them.
func (r route) bodyName() string {
	id := strings.TrimSuffix(r.id, "InDatacenter")
	switch id {
	case "createVCH", "planVCH":
		return "CreateOptions"
	case "upgradeVCH", "rollbackVCH":
		return "UpgradeOptions"
	}
	return capital(id) + "Options"
}

func (r route) parameters() []any {
	var out []any
	for _, name := range pathParams(r.path) {
		texts := map[string]string{"target": "vCenter or ESXi host: host or host:port", "datacenter": "name of a datacenter there",
			"vch": "id of the VCH's endpoint VM, as the list shows it", "task": "id of the task"}
		out = append(out, map[string]any{"name": name, "in": "path", "required": true, "description": texts[name], "schema": schema{"type": "string"}})
	}
	for _, p := range r.allQuery() {
		out = append(out, map[string]any{"name": p.name, "in": "query", "description": p.text, "schema": p.schema()})
	}
	if r.needsVSphere() {
		out = append(out, map[string]any{"name": headerThumbprint, "in": "header", "description": "thumbprint, instead of the parameter",
			"schema": schema{"type": "string"}})
	}
	return out
}

func (p param) schema() schema {
	if p.kind == option.Toggle {
		return schema{"type": "boolean"}
	}
	s := schema{"type": "string"}
	if len(p.oneOf) > 0 {
		s["enum"] = p.oneOf
	}
	return s
}

func (r route) responses(s *schemas) map[string]any {
	out := map[string]any{"default": map[string]any{"$ref": "#/components/responses/Problem"}}
	for _, status := range r.statuses {
		out[strconv.Itoa(status)] = map[string]any{"description": http.StatusText(status)}
	}
	if r.task {
		body := s.of(reflect.TypeFor[Accepted]())
		a := map[string]any{"description": "it has begun"}
		if r.answer != nil { // of a task itself
			body = s.of(reflect.TypeOf(r.answer))
		} else {
			a["headers"] = map[string]any{"Location": map[string]any{"description": "of the task", "schema": schema{"type": "string"}}}
		}
		a["content"] = jsonContent(body)
		out["202"] = a
		return out
	}
	out["200"] = map[string]any{"description": "done", "content": r.content(s)}
	return out
}

func (r route) content(s *schemas) map[string]any {
	if r.media != "" {
		sch := schema{"type": "string"}
		if !strings.HasPrefix(r.media, "text/") {
			sch["format"] = "binary"
		}
		return map[string]any{r.media: map[string]any{"schema": sch}}
	}
	if o, isOptions := r.answer.(optionsBody); isOptions {
		c := jsonContent(s.body("CreateOptions", o.options))
		c["application/toml"] = map[string]any{"schema": schema{"type": "string"}}
		return c
	}
	c := jsonContent(s.of(reflect.TypeOf(r.answer)))
	if strings.HasPrefix(r.path, "/tasks/") {
		c["text/event-stream"] = map[string]any{"schema": schema{"type": "string"}}
	}
	return c
}

func jsonContent(s schema) map[string]any {
	return map[string]any{"application/json": map[string]any{"schema": s}}
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
