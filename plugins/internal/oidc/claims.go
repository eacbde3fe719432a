package oidc

import "strings"

// Claim finds a claim by its name. A name with dots is also a path into objects: "realm_access.roles". nil if there is
// none.
func Claim(claims map[string]any, name string) any {
	if v, ok := claims[name]; ok { // names may be addresses, with dots in them
		return v
	}
	first, rest, ok := strings.Cut(name, ".")
	if !ok {
		return nil
	}
	inner, _ := claims[first].(map[string]any)
	return Claim(inner, rest)
}

// Text is a claim that is a text; "" for one that is not there or something else.
func Text(claims map[string]any, name string) string {
	s, _ := Claim(claims, name).(string)
	return s
}

// Texts is a claim that is a list of texts, or one text alone. What else is in the list is left out.
func Texts(claims map[string]any, name string) []string {
	switch v := Claim(claims, name).(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, x := range v {
			if s, ok := x.(string); ok {
				all = append(all, s)
			}
		}
		return all
	}
	return nil
}
