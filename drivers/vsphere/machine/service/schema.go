package service

import (
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/option"
)

// schema is a schema of OpenAPI.
type schema = map[string]any

// optionsBody stands for an answer that consists of options.
type optionsBody struct{ options []option.Option }

// schemas makes schemas of Go types and options, and remembers those that have names.
type schemas struct{ named map[string]schema }

func ref(name string) schema { return schema{"$ref": "#/components/schemas/" + name} }

// nameOf is what a type is called in the document.
func nameOf(t reflect.Type) string {
	better := map[string]string{"Details": "VCH", "Entry": "VCHEntry", "Info": "Certificate", "Made": "CreateResult", "Planned": "Plan",
		"Changed": "ChangeResult", "Removed": "DeleteResult", "Result": "Finding", "Object": "PlannedObject",
		"Need": "PrivilegeNeed", "OpsNeed": "OperationsPrivilege"}
	if n, ok := better[t.Name()]; ok {
		return n
	}
	return t.Name()
}

// of makes the schema of a type as encoding/json writes it.
func (s *schemas) of(t reflect.Type) schema {
	switch t {
	case reflect.TypeFor[time.Time]():
		return schema{"type": "string", "format": "date-time"}
	case reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.Prefix]():
		return schema{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.String:
		return schema{"type": "string"}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return schema{"type": "integer"}
	case reflect.Float64:
		return schema{"type": "number"}
	case reflect.Slice:
		return schema{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		return s.object(t)
	}
	return schema{} // anything
}

// object makes the schema of a struct, under its name.
func (s *schemas) object(t reflect.Type) schema {
	name := nameOf(t)
	if _, there := s.named[name]; !there {
		s.named[name] = schema{} // it may hold itself
		props, required := map[string]any{}, []string{}
		s.fields(t, props, &required)
		slices.Sort(required)
		o := schema{"type": "object", "properties": props}
		if len(required) > 0 {
			o["required"] = required
		}
		s.named[name] = o
	}
	return ref(name)
}

func (s *schemas) fields(t reflect.Type, props map[string]any, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			s.fields(f.Type, props, required)
			continue
		case name == "-" || !f.IsExported() || name == "":
			continue
		}
		p := s.of(f.Type)
		if !strings.Contains(rest, "omit") {
			*required = append(*required, name)
			if k := f.Type.Kind(); k == reflect.Slice || k == reflect.Map {
				p["nullable"] = true
			}
		}
		props[name] = p
	}
}

// body makes the schema of options, under a name.
func (s *schemas) body(name string, all []option.Option) schema {
	props := map[string]any{}
	for _, o := range all {
		props[o.Name] = optionSchema(o)
	}
	s.named[name] = schema{"type": "object", "additionalProperties": false, "properties": props}
	return ref(name)
}

func optionSchema(o option.Option) schema {
	text := strings.ReplaceAll(o.Usage, "`", "")
	p := schema{"type": "string"}
	switch o.Kind {
	case option.List:
		p = schema{"type": "array", "items": schema{"type": "string"}}
		text = strings.TrimSuffix(text, "; may be repeated")
	case option.Number:
		p = schema{"type": "integer", "format": "int64"}
	case option.Toggle:
		p = schema{"type": "boolean"}
	case option.Duration:
		text += ", such as 3m"
	}
	switch {
	case o.Folder:
		p = schema{"type": "object", "additionalProperties": schema{"type": "string"}}
		text = "the files of the folder of certificates and their texts; those that create returned"
	case o.File:
		text = "the text of: " + text
	}
	if o.Secret || o.Folder || strings.HasSuffix(o.Name, "-key") {
		p["writeOnly"] = true
	}
	if o.Secret {
		p["format"] = "password"
	}
	p["description"] = text
	if d := defaultOf(o); d != nil {
		p["default"] = d
	}
	return p
}

func defaultOf(o option.Option) any {
	switch {
	case o.Default == "":
		return nil
	case o.Kind == option.Number:
		n, _ := strconv.ParseInt(o.Default, 10, 64) // it was made from a number
		return n
	}
	return o.Default
}
