// Package query reads what clients ask of a list, in the words of Harbor's API: the filters of the parameter q and the
// order of the parameter sort. It makes conditions of SQL of them, over columns that the list names and no others.
//
//	q=name=app             exactly
//	q=name=~app            a part of the text, whatever the case
//	q=push_time=[a~b]      from a to b, of which one may be missing
//	q=digest={a b "c"}     one of them
//	q=labels=(1 2)         all of them
//	q=name=~app,public=true  both
//	sort=-push_time,name   the latest first, and by name where that is the same
package query

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/openvic/vic/sdk/errdef"
)

// Bounds of what a client may ask for.
const (
	maxText    = 2048 // bytes of q or sort
	maxFilters = 16
	maxValues  = 32 // of one filter
	maxSorts   = 4
)

// Kind is how a filter compares.
type Kind int

// The kinds.
const (
	Exact Kind = iota // one value
	Fuzzy             // one value, which is a part of the text
	Range             // two values, from and to; "" is no bound
	Any               // one or more values: one of them
	All               // one or more values: all of them, for what has several
)

// Filter is one condition.
type Filter struct {
	Key    string
	Kind   Kind
	Values []string
}

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, errdef.ErrInvalid)...)
}

// Parse reads the parameter q. errdef.ErrInvalid says what is wrong. Harbor's portal escapes the text once more than
// others, and is understood.
func Parse(text string) ([]Filter, error) {
	if len(text) > maxText {
		return nil, invalid("q: it is longer than %d characters", maxText)
	}
	if !strings.Contains(text, "=") {
		if again, err := url.QueryUnescape(text); err == nil {
			text = again
		}
	}
	var all []Filter
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		f, err := parse(part)
		if err != nil {
			return nil, err
		}
		for _, other := range all {
			if other.Key == f.Key {
				return nil, invalid("q: %.40q is there twice", f.Key)
			}
		}
		if all = append(all, f); len(all) > maxFilters {
			return nil, invalid("q: there are more than %d filters", maxFilters)
		}
	}
	return all, nil
}

func parse(part string) (Filter, error) {
	key, value, ok := strings.Cut(part, "=")
	if !ok || key == "" || value == "" {
		return Filter{}, invalid("q: %.40q is no filter: want KEY=VALUE, KEY=~VALUE, KEY=[FROM~TO], KEY={A B} or KEY=(A B)", part)
	}
	f := Filter{Key: key}
	switch value[0] {
	case '~':
		f.Kind, f.Values = Fuzzy, []string{value[1:]}
		if value == "~" {
			return f, invalid("q: %.40q wants a text behind the ~", key)
		}
	case '[':
		from, to, ok := strings.Cut(strings.TrimSuffix(value[1:], "]"), "~")
		from, to = unquote(from), unquote(to)
		if !ok || !strings.HasSuffix(value, "]") || strings.Contains(to, "~") || from == "" && to == "" {
			return f, invalid("q: %.40q: a range is [FROM~TO], of which one may be missing", key)
		}
		f.Kind, f.Values = Range, []string{from, to}
	case '{', '(':
		kind, end := Any, "}"
		if value[0] == '(' {
			kind, end = All, ")"
		}
		list, ok := strings.CutSuffix(value[1:], end)
		f.Kind, f.Values = kind, values(list)
		if !ok || len(f.Values) == 0 || len(f.Values) > maxValues {
			return f, invalid("q: %.40q: a list is {A B} for one of them or (A B) for all, with 1 to %d values", key, maxValues)
		}
	default:
		f.Values = []string{strings.TrimPrefix(value, `\`)} // "\~x" is exactly "~x"
	}
	return f, nil
}

func unquote(s string) string { return strings.Trim(strings.TrimSpace(s), `"'`) }

// values splits a list at spaces, but not within quotes.
func values(list string) []string {
	var all []string
	for list = strings.TrimSpace(list); list != ""; list = strings.TrimSpace(list) {
		if q := list[0]; q == '"' || q == '\'' {
			if i := strings.IndexByte(list[1:], q); i >= 0 {
				one := list[1 : i+1]
				list = list[i+2:]
				if one != "" {
					all = append(all, one)
				}
				continue
			}
		}
		one, rest, _ := strings.Cut(list, " ")
		list = rest
		if one = unquote(one); one != "" {
			all = append(all, one)
		}
	}
	return all
}

// Sort is one key of an order.
type Sort struct {
	Key  string
	Down bool
}

// ParseSort reads the parameter sort.
func ParseSort(text string) ([]Sort, error) {
	if len(text) > maxText {
		return nil, invalid("sort: it is longer than %d characters", maxText)
	}
	var all []Sort
	for part := range strings.SplitSeq(text, ",") {
		key, down := strings.CutPrefix(strings.TrimSpace(part), "-")
		if key == "" {
			continue
		}
		if all = append(all, Sort{key, down}); len(all) > maxSorts {
			return nil, invalid("sort: there are more than %d keys", maxSorts)
		}
	}
	return all, nil
}
