// Package token is Docker's token protocol: what a client asks for, the signed token that it is given, and the keys
// behind both (https://distribution.github.io/distribution/spec/auth/token/ and .../jwt/).
//
// A token says who somebody is and what they asked for. What they may do is looked up at every request, so that a role
// that was taken away, a robot that was disabled or a project that became private counts at once, though tokens live
// for minutes.
package token

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Access is one entry of a token's "access" claim.
type Access struct {
	Type    string   `json:"type"` // "repository" or "registry"
	Name    string   `json:"name"`
	Actions []string `json:"actions"` // sorted, each once; may be empty
}

// The types and actions of scopes.
const (
	TypeRepository = "repository"
	TypeRegistry   = "registry"

	ActionPull   = "pull"
	ActionPush   = "push"
	ActionDelete = "delete"
	ActionAll    = "*"
)

// Bounds of what a client may ask for.
const (
	maxScopes      = 100
	maxScopeLength = 1024
	maxNameLength  = 400 // of a repository: 256 in the registry, and the host that Notary's clients put before it
)

// A scope's name may hold a colon, when it begins with a host and port; its actions never do.
var (
	scopeName    = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._:/-]*[a-zA-Z0-9])?$`)
	scopeActions = regexp.MustCompile(`^(\*|[a-z]+)(,(\*|[a-z]+))*$`)
)

// ParseScopes reads the scope parameters of a request: "repository:project/name:pull,push", several of them in one
// parameter with spaces between, or several parameters. Scopes of one name become one. What cannot be read is an error
// that quotes it, cut.
func ParseScopes(params []string) ([]Access, error) {
	var all []Access
	n := 0
	for _, param := range params {
		for scope := range strings.FieldsSeq(param) {
			if n++; n > maxScopes {
				return nil, fmt.Errorf("there are more than %d scopes", maxScopes)
			}
			a, err := parseScope(scope)
			if err != nil {
				return nil, err
			}
			i := slices.IndexFunc(all, func(b Access) bool { return b.Type == a.Type && b.Name == a.Name })
			if i < 0 {
				all = append(all, a)
				continue
			}
			all[i].Actions = unique(append(all[i].Actions, a.Actions...))
		}
	}
	return all, nil
}

func parseScope(s string) (Access, error) {
	first, last := strings.IndexByte(s, ':'), strings.LastIndexByte(s, ':')
	if len(s) > maxScopeLength || first < 0 || first == last {
		return Access{}, notScope(s)
	}
	kind, _, _ := strings.Cut(s[:first], "(") // "repository(plugin)", a class that changes nothing
	a := Access{Type: kind, Name: s[first+1 : last]}
	actions := s[last+1:]
	if a.Type != TypeRepository && a.Type != TypeRegistry || len(a.Name) > maxNameLength || !scopeName.MatchString(a.Name) {
		return Access{}, notScope(s)
	}
	if actions != "" { // docker asks for nothing at times
		if !scopeActions.MatchString(actions) {
			return Access{}, notScope(s)
		}
		a.Actions = unique(strings.Split(actions, ","))
	}
	return a, nil
}

func notScope(s string) error {
	const shown = 80
	if len(s) > shown {
		s = s[:shown] + "..."
	}
	return fmt.Errorf("%q is no scope: want repository:PROJECT/NAME:pull,push", s)
}

func unique(l []string) []string {
	slices.Sort(l)
	return slices.Compact(l)
}

// Grants says whether a list of accesses has an action on a name.
func Grants(all []Access, kind, name, action string) bool {
	for _, a := range all {
		if a.Type == kind && a.Name == name && (slices.Contains(a.Actions, action) || slices.Contains(a.Actions, ActionAll)) {
			return true
		}
	}
	return false
}
