package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openvic/vic/core/kinds"
	"github.com/openvic/vic/sdk/kind"
)

// maxPlayers bounds how many plugins a role may list.
const maxPlayers = 32

// Roles names the plugins that play each kind's role, in their order. A kind that is not there has no
// plugin. Which kinds there are, core/kinds says.
type Roles map[string]Players

// Players are the names of plugins. A file may have one name instead of a list of one.
type Players []string

// UnmarshalTOML reads the name of one plugin, or a list of names.
func (p *Players) UnmarshalTOML(v any) error {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	*p = Players{}
	for _, e := range list {
		name, ok := e.(string)
		if !ok {
			return fmt.Errorf("%v is not the name of a plugin", e)
		}
		*p = append(*p, name)
	}
	return nil
}

// One is the plugin in a role that takes one; empty if it has none.
func (r Roles) One(name string) string {
	if len(r[name]) == 0 {
		return ""
	}
	return r[name][0]
}

func (r Roles) validate() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if !slices.Contains(kinds.Roles(), name) {
			errs = append(errs, invalid("roles."+name, "is no role; there is %s", strings.Join(kinds.Roles(), ", ")))
		}
	}
	for _, k := range kinds.All() {
		names, key := r[k.Name], "roles."+k.Name
		if k.Takes == kind.One && len(names) > 1 {
			errs = append(errs, invalid(key, "lists %d plugins: this role takes one", len(names)))
		}
		if len(names) > maxPlayers {
			errs = append(errs, invalid(key, "lists %d plugins, more than %d", len(names), maxPlayers))
		}
		for i, name := range names {
			if name == "" {
				errs = append(errs, invalid(key, "is empty: give the name of a plugin in plugins.dir, or leave the key out"))
			} else if slices.Contains(names[:i], name) {
				errs = append(errs, invalid(key, "names %q twice", name))
			}
		}
	}
	return errors.Join(errs...)
}

// whole finds an engine that lacks a part.
func (r Roles) whole() error {
	var have, lack []string
	engine := kinds.Engine()
	for _, name := range engine {
		if len(r[name]) > 0 {
			have = append(have, "roles."+name)
		} else {
			lack = append(lack, "roles."+name)
		}
	}
	if len(have) == 0 || len(lack) == 0 {
		return nil
	}
	return invalid(strings.Join(lack, " and "), "must be named too, because of %s: the engine needs all of %s; a host without containers has none of them",
		strings.Join(have, " and "), strings.Join(engine[:], ", "))
}
