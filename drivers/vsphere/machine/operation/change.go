package operation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/sdk/errdef"
)

// change puts the options of a configure into those of the VCH, r, and returns the names of those that change. A
// list gets longer: what is there need not be given again, and goes with --remove option=value.
func change(r map[string][]string, c option.Values) ([]string, error) {
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
	flags := changeFlags()
	for _, f := range flags {
		name := f.Name
		if !c.IsSet(name) {
			continue
		}
		if f.Kind == option.Toggle {
			var on []string
			if c.Bool(name) {
				on = []string{"true"}
			}
			set(name, on)
			continue
		}
		if f.Kind != option.List {
			set(name, []string{c.String(name)})
			continue
		}
		all := slices.Clone(r[name])
		for _, v := range c.Trimmed(name) {
			if !slices.Contains(all, v) {
				all = append(all, v)
			}
		}
		set(name, all)
	}
	for _, v := range c.StringSlice("remove") {
		name, value, _ := strings.Cut(strings.TrimPrefix(v, "--"), "=")
		o, _ := option.Find(flags, name)
		if name = o.Name; o.Kind != option.List || name == "volume-store" || name == "registry-ca" {
			return nil, wrongOption("remove", v, "it is no option whose values can be removed", "give it as option=value, for example insecure-registry=reg.example.com")
		}
		if !slices.Contains(r[name], value) {
			have := "none"
			if len(r[name]) > 0 {
				have = strings.Join(r[name], ", ")
			}
			return nil, advice.Wrap(fmt.Errorf("--remove %s: the VCH has no such --%s: %w", v, name, errdef.ErrInvalid), "it has: %s", have)
		}
		set(name, slices.DeleteFunc(slices.Clone(r[name]), func(have string) bool { return have == value }))
		if name == "container-network" { // with all that was said of it
			network, _, _ := strings.Cut(value, ":")
			for _, f := range containerNetworkFlags()[1:] {
				of := f.Name
				set(of, slices.DeleteFunc(slices.Clone(r[of]), func(have string) bool { return strings.HasPrefix(have, network+":") }))
			}
		}
	}
	return changed, nil
}
