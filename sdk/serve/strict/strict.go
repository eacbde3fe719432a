// Package strict decodes TOML so that a mistake is an error that names the file, the line and the
// key: nothing that an administrator wrote is silently ignored.
package strict

import (
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/openvic/vic/sdk/errdef"
)

// Decode decodes text into the struct that v points to; what the text does not name stays as it is.
// source is the file's name, for messages. Errors are errdef.ErrInvalid.
func Decode(source, text string, v any) error {
	md, err := toml.Decode(text, v)
	if err != nil {
		return decodeError(source, err)
	}
	known, tables := knownKeys(reflect.TypeOf(v), nil)
	var errs []error
	for _, key := range tables { // the decoder takes anything for an empty map
		if typ := md.Type(key...); typ != "" && !strings.HasSuffix(typ, "Hash") {
			errs = append(errs, fmt.Errorf("%s:%d: key %q is no table: %w", source, lineOf(text, key), toml.Key(key).String(), errdef.ErrInvalid))
		}
	}
	unknown := md.Undecoded()
	if len(unknown) == 0 {
		return errors.Join(errs...)
	}
	for _, key := range topmost(unknown) {
		text := fmt.Sprintf("%s:%d: unknown key %q", source, lineOf(text, key), key.String())
		if hint := nearest(key.String(), known); hint != "" {
			text += fmt.Sprintf(" (did you mean %q?)", hint)
		}
		errs = append(errs, fmt.Errorf("%s: %w", text, errdef.ErrInvalid))
	}
	return errors.Join(errs...)
}

// decodeError moves what the decoder says of the place to the front.
func decodeError(source string, err error) error {
	msg, place := strings.TrimPrefix(err.Error(), "toml: "), source
	if rest, ok := strings.CutPrefix(msg, "line "); ok {
		end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		place = source + ":" + rest[:max(end, 0)]
		msg = strings.TrimLeft(rest[max(end, 0):], ": ")
	}
	if rest, ok := strings.CutPrefix(msg, "(last key "); ok {
		if key, rest, ok := strings.Cut(rest, "): "); ok {
			msg = "key " + key + ": " + rest
		}
	}
	return fmt.Errorf("%s: %s: %w", place, msg, errdef.ErrInvalid)
}

// topmost leaves out the keys that lie in an unknown table: the table's name says enough.
func topmost(keys []toml.Key) []toml.Key {
	sorted := append([]toml.Key(nil), keys...)
	sort.SliceStable(sorted, func(i, j int) bool { return len(sorted[i]) < len(sorted[j]) })
	var out []toml.Key
	for _, k := range sorted {
		covered := false
		for _, o := range out {
			covered = covered || hasPrefix(k, o)
		}
		if !covered {
			out = append(out, k)
		}
	}
	return out
}

func hasPrefix(key, prefix []string) bool {
	if len(prefix) > len(key) {
		return false
	}
	for i, p := range prefix {
		if key[i] != p {
			return false
		}
	}
	return true
}

// knownKeys lists the keys that a type has, and those of its maps. Keys in lists are not looked into for
// maps: the decoder's metadata does not tell one element from another.
func knownKeys(t reflect.Type, path []string) (known []string, tables [][]string) {
	inList := false
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		inList = inList || t.Kind() == reflect.Slice
		t = t.Elem()
	}
	if t.Kind() == reflect.Map && !inList {
		return nil, [][]string{path}
	}
	if t.Kind() != reflect.Struct || len(path) > 8 {
		return nil, nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		p := append(append([]string(nil), path...), name)
		below, maps := knownKeys(f.Type, p)
		known = append(append(known, strings.Join(p, ".")), below...)
		if !inList {
			tables = append(tables, maps...)
		}
	}
	return known, tables
}
