package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// openapi is what the types are made from.
type openapi struct {
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]schema `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	Parameters []struct {
		In, Name string
	} `json:"parameters"`
	Body struct {
		Content map[string]media `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Content map[string]media `json:"content"`
	} `json:"responses"`
}

type media struct {
	Schema schema `json:"schema"`
}

type schema struct {
	Ref        string            `json:"$ref"`
	Type       string            `json:"type"`
	Items      *schema           `json:"items"`
	Properties map[string]schema `json:"properties"`
	Required   []string          `json:"required"`
	Additional json.RawMessage   `json:"additionalProperties"`
}

var methods = []string{"get", "head", "post", "put", "patch", "delete"}

// types writes TypeScript: an interface for each schema, and one line for each operation.
func types(document string) ([]byte, error) {
	text, err := os.ReadFile(document)
	if err != nil {
		return nil, err
	}
	var d openapi
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("%s: %w", document, err)
	}
	var b bytes.Buffer
	b.WriteString("// Made by contrib/dev/portal.sh from docs/hub-openapi.json; do not edit.\n\n")
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		fmt.Fprintf(&b, "export interface %s %s\n\n", name, d.Components.Schemas[name].typescript("  "))
	}
	b.WriteString("// What each operation takes in its path, its query and its body, and gives.\nexport interface Operations {\n")
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, m := range methods {
			if op, ok := d.Paths[path][m]; ok {
				fmt.Fprintf(&b, "  %q: { path: %s; query: %s; body: %s; gives: %s };\n", strings.ToUpper(m)+" "+path,
					inPath(path), op.query(), ofMedia(op.Body.Content), op.gives())
			}
		}
	}
	b.WriteString("}\n")
	return b.Bytes(), nil
}

var placeholder = regexp.MustCompile(`\{(\w+)\}`)

func inPath(path string) string {
	var names []string
	for _, m := range placeholder.FindAllStringSubmatch(path, -1) {
		names = append(names, strconv.Quote(m[1]))
	}
	return union(names)
}

func (o operation) query() string {
	var names []string
	for _, p := range o.Parameters {
		if p.In == "query" {
			names = append(names, strconv.Quote(p.Name))
		}
	}
	return union(names)
}

func union(names []string) string {
	if len(names) == 0 {
		return "never"
	}
	return strings.Join(names, " | ")
}

func (o operation) gives() string {
	for _, status := range []string{"200", "201", "202"} {
		if r, ok := o.Responses[status]; ok && len(r.Content) > 0 {
			return ofMedia(r.Content)
		}
	}
	return "void"
}

func ofMedia(content map[string]media) string {
	if m, ok := content["application/json"]; ok {
		return m.Schema.typescript("  ")
	}
	if len(content) > 0 {
		return "string"
	}
	return "void"
}

func (s schema) typescript(indent string) string {
	switch {
	case s.Ref != "":
		return s.Ref[strings.LastIndex(s.Ref, "/")+1:]
	case s.Items != nil:
		return s.Items.typescript(indent) + "[]"
	case s.Type == "integer", s.Type == "number":
		return "number"
	case s.Type == "string", s.Type == "boolean":
		return s.Type
	case s.Type == "object" && len(s.Properties) > 0:
		var b strings.Builder
		b.WriteString("{\n")
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			optional := ""
			if !slices.Contains(s.Required, name) {
				optional = "?"
			}
			fmt.Fprintf(&b, "%s%q%s: %s;\n", indent, name, optional, s.Properties[name].typescript(indent+"  "))
		}
		return b.String() + indent[2:] + "}"
	case s.Type == "object":
		var of schema
		if err := json.Unmarshal(s.Additional, &of); err != nil { // true or false: anything
			return "Record<string, unknown>"
		}
		return "Record<string, " + of.typescript(indent) + ">"
	}
	return "unknown"
}
