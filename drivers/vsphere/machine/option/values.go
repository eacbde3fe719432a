package option

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// Values are options with what was given for them; what was not has its default.
type Values struct {
	all   []Option
	given map[string][]string
}

// New makes Values of options for which nothing is given yet.
func New(all []Option) Values { return Values{all: all, given: map[string][]string{}} }

// Of makes Values of what a VCH's record holds.
func Of(all []Option, given map[string][]string) Values {
	v := New(all)
	maps.Copy(v.given, given)
	return v
}

// IsSet says whether a value was given.
func (v Values) IsSet(name string) bool { _, ok := v.given[name]; return ok }

// Set gives an option its values; without any it has its default again.
func (v Values) Set(name string, values ...string) {
	if len(values) == 0 {
		delete(v.given, name)
		return
	}
	v.given[name] = values
}

// StringSlice returns the values of a List.
func (v Values) StringSlice(name string) []string { return v.given[name] }

// Trimmed returns the values of a List without those that are empty.
func (v Values) Trimmed(name string) []string {
	var out []string
	for _, s := range v.given[name] {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// String returns the value as text; the last one of several.
func (v Values) String(name string) string {
	if g := v.given[name]; len(g) > 0 {
		return g[len(g)-1]
	}
	o, _ := Find(v.all, name)
	return o.Default
}

// Int64 returns a Number; what is none was refused when it was given, and is 0.
func (v Values) Int64(name string) int64 {
	n, err := strconv.ParseInt(v.String(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Int returns a Number.
func (v Values) Int(name string) int { return int(v.Int64(name)) }

// Bool returns a Toggle.
func (v Values) Bool(name string) bool { return v.String(name) == "true" }

// Duration returns a time span; what is none was refused when it was given, and is 0.
func (v Values) Duration(name string) time.Duration {
	d, err := time.ParseDuration(v.String(name))
	if err != nil {
		return 0
	}
	return d
}

// Recorded are the given values that a VCH's record holds.
func (v Values) Recorded() map[string][]string {
	out := map[string][]string{}
	for _, o := range v.all {
		if g, ok := v.given[o.Name]; ok && o.Recorded() {
			out[o.Name] = slices.Clone(g)
		}
	}
	return out
}

// Given are all values that were given. The map is the Values' own.
func (v Values) Given() map[string][]string { return v.given }

// Check says whether a text can be a value of the option.
func (o Option) Check(text string) error {
	var err error
	switch o.Kind {
	case Number:
		_, err = strconv.ParseInt(text, 10, 64)
	case Toggle:
		_, err = strconv.ParseBool(text)
	case Duration:
		_, err = time.ParseDuration(text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %w", o.Name, errdef.ErrInvalid, err)
	}
	return nil
}
