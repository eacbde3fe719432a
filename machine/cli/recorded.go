package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/machine/advice"
	"github.com/openvic/vic/sdk/errdef"
)

// recorded are the options of a VCH that is there; those that are not recorded have create's defaults.
type recorded map[string][]string

var _ values = recorded{}

// StringSlice implements values.
func (r recorded) StringSlice(name string) []string { return r[name] }

// String implements values.
func (r recorded) String(name string) string {
	if v := r[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	switch f := flagNamed(createFlags(), name).(type) {
	case *cli.StringFlag:
		return f.Value
	case *cli.Int64Flag:
		return strconv.FormatInt(f.Value, 10)
	case *cli.IntFlag:
		return strconv.Itoa(f.Value)
	}
	return ""
}

// Int64 implements values; what is no number is 0, and was refused when it was given.
func (r recorded) Int64(name string) int64 {
	n, err := strconv.ParseInt(r.String(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Int implements values.
func (r recorded) Int(name string) int { return int(r.Int64(name)) }

// Bool implements values.
func (r recorded) Bool(name string) bool { return r.String(name) == "true" }

// change puts the options of a configure command into r and returns the names of those that change. A
// list gets longer: what is there need not be given again, and goes with --remove option=value.
func (r recorded) change(c *cli.Context, flags []cli.Flag) ([]string, error) {
	var changed []string
	set := func(name string, v []string) {
		if slices.Equal(r[name], v) {
			return
		}
		if r[name] = v; len(v) == 0 {
			delete(r, name)
		}
		changed = append(changed, name)
	}
	for _, f := range flags {
		name := f.Names()[0]
		if !c.IsSet(name) {
			continue
		}
		if _, list := f.(*cli.StringSliceFlag); !list {
			set(name, []string{fmt.Sprint(c.Value(name))})
			continue
		}
		all := slices.Clone(r[name])
		for _, v := range trimmed(c.StringSlice(name)) {
			if !slices.Contains(all, v) {
				all = append(all, v)
			}
		}
		set(name, all)
	}
	for _, v := range c.StringSlice("remove") {
		name, value, _ := strings.Cut(strings.TrimPrefix(v, "--"), "=")
		if _, list := flagNamed(flags, name).(*cli.StringSliceFlag); !list || name == "volume-store" || name == "registry-ca" {
			return nil, wrongOption("remove", v, "it is no option whose values can be removed", "give it as option=value, for example insecure-registry=reg.example.com")
		}
		if !slices.Contains(r[name], value) {
			return nil, advice.Wrap(fmt.Errorf("--remove %s: the VCH has no such --%s: %w", v, name, errdef.ErrInvalid), "it has: %s", strings.Join(r[name], ", "))
		}
		set(name, slices.DeleteFunc(slices.Clone(r[name]), func(have string) bool { return have == value }))
		if name == "container-network" { // with all that was said of it
			network, _, _ := strings.Cut(value, ":")
			for _, f := range containerNetworkFlags()[1:] {
				of := f.Names()[0]
				set(of, slices.DeleteFunc(slices.Clone(r[of]), func(have string) bool { return strings.HasPrefix(have, network+":") }))
			}
		}
	}
	return changed, nil
}
