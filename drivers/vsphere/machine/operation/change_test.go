package operation

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/sdk/errdef"
)

// had are the options of a VCH that is changed.
func had() map[string][]string {
	return map[string][]string{"name": {"vch1"}, "memory": {"4096"}, "debug": {"1"}, "insecure-registry": {"a:1", "b:2"}, "volume-store": {"ds/v:default"},
		"container-network": {"back:backend", "front"}, "container-network-dns": {"back:10.0.0.1", "front:10.0.0.2"}, "container-network-firewall": {"back:open"},
		"allow-registry": {"*.example.com"}, "affinity-vm-group": {"true"}}
}

func TestAChangeIsPutIntoTheOptionsThatThereAre(t *testing.T) {
	for name, c := range map[string]struct {
		given   map[string][]string
		changed []string
		want    map[string][]string // nil values: gone
	}{
		"nothing":              {nil, nil, nil},
		"what it has already":  {map[string][]string{"memory": {"4096"}, "insecure-registry": {"b:2"}, "affinity-vm-group": {"true"}}, nil, nil},
		"a number is replaced": {map[string][]string{"memory": {"8192"}}, []string{"memory"}, map[string][]string{"memory": {"8192"}}},
		"a list gets longer": {map[string][]string{"insecure-registry": {"c:3", " ", "a:1"}}, []string{"insecure-registry"},
			map[string][]string{"insecure-registry": {"a:1", "b:2", "c:3"}}},
		"a toggle goes off": {map[string][]string{"affinity-vm-group": {"false"}}, []string{"affinity-vm-group"},
			map[string][]string{"affinity-vm-group": nil}},
		"one of a list goes": {map[string][]string{"remove": {"insecure-registry=a:1"}}, []string{"insecure-registry"},
			map[string][]string{"insecure-registry": {"b:2"}}},
		"the last of a list goes": {map[string][]string{"remove": {"--allow-registry=*.example.com"}}, []string{"allow-registry"},
			map[string][]string{"allow-registry": nil}},
		"it goes by the name that VIC had": {map[string][]string{"remove": {"whitelist-registry=*.example.com"}}, []string{"allow-registry"},
			map[string][]string{"allow-registry": nil}},
		"a network goes with all that was said of it": {map[string][]string{"remove": {"container-network=back:backend"}},
			[]string{"container-network", "container-network-dns", "container-network-firewall"},
			map[string][]string{"container-network": {"front"}, "container-network-dns": {"front:10.0.0.2"}, "container-network-firewall": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			v, got, want := option.New(ConfigureOptions()), had(), had()
			for name, values := range c.given {
				v.Set(name, values...)
			}
			for name, values := range c.want {
				if want[name] = values; values == nil {
					delete(want, name)
				}
			}
			changed, err := change(got, v)
			if err != nil || !slices.Equal(changed, c.changed) || !maps.EqualFunc(got, want, slices.Equal) {
				t.Errorf("changed %v, %v\ngot  %v\nwant %v", changed, err, got, want)
			}
		})
	}
}

func TestWhatCannotBeRemovedIsSaidWithWhatThereIs(t *testing.T) {
	for given, want := range map[string]string{
		"insecure-registry=c:3": "a:1, b:2", "memory=4096": "option=value", "volume-store=ds/v:default": "option=value", "registry-ca=x": "option=value",
		"nosuch=1": "option=value", "insecure-registry": "a:1, b:2", "registry-mirror=http://m": "none",
	} {
		v, r := option.New(ConfigureOptions()), had()
		v.Set("remove", given)
		changed, err := change(r, v)
		if !errors.Is(err, errdef.ErrInvalid) || !strings.Contains(advice.Of(err), want) || len(changed) > 0 || !maps.EqualFunc(r, had(), slices.Equal) {
			t.Errorf("%s: changed %v, %v; remedy %q", given, changed, err, advice.Of(err))
		}
	}
}
