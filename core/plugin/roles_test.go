package plugin_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

// A role that takes a list has its plugins in the order of the configuration, whatever that of their files.
func TestTwoScannersAreListedInOrder(t *testing.T) {
	h, _ := start(t, plugin.Options{
		Plugins: []config.Plugin{specOf(t, "scanplugin", "a", ""), specOf(t, "scanplugin", "b", "")},
		Roles:   config.Roles{"scan": {"b", "a"}},
	})
	for name, role := range map[string]string{"a": "scan:2", "b": "scan:1"} {
		st := until(t, h, name, "up", is(plugin.StateUp))
		if len(st.Roles) != 1 || st.Roles[0].String() != role || !slices.Equal(st.Kinds(), []string{"scan"}) {
			t.Errorf("%s: %+v", name, st)
		}
	}
	var order []string
	for _, p := range plugin.Role(h, scan.Plugin()) {
		if _, err := p.Driver.Describe(t.Context()); err != nil {
			t.Errorf("%s: %v", p.Plugin, err)
		}
		if !slices.Equal(p.Capabilities, scan.Capabilities()) {
			t.Errorf("%s: capabilities %q", p.Plugin, p.Capabilities)
		}
		order = append(order, p.Plugin)
	}
	if !slices.Equal(order, []string{"b", "a"}) {
		t.Errorf("the order is %q", order)
	}
	if all := h.List(); len(all) != 2 || all[0].Name != "b" || all[1].Name != "a" {
		t.Errorf("the list is %+v", all)
	}
	if none := plugin.Role(h, auth.Plugin()); len(none) != 0 {
		t.Errorf("a role that nobody plays: %+v", none)
	}
}

func TestPeopleInAProcessOfTheirOwnSignIn(t *testing.T) {
	h, _ := start(t, plugin.Options{
		Plugins: []config.Plugin{specOf(t, "authplugin", "people", "domain = \"lab\"\nusers = {ann = \"secret of ann\"}\n")},
		Roles:   config.Roles{"auth": {"people"}},
	})
	for _, p := range plugin.Role(h, auth.Plugin()) {
		i, err := p.Driver.Password(t.Context(), auth.PasswordRequest{Name: "ann", Password: "secret of ann"})
		if err != nil || i.Principal.ID != "lab/ann" {
			t.Errorf("%+v, %v", i, err)
		}
		if _, err := p.Driver.Password(t.Context(), auth.PasswordRequest{Name: "ann", Password: "another"}); !errors.Is(err, errdef.ErrDenied) {
			t.Errorf("a wrong password: %v", err)
		}
	}
	until(t, h, "people", "up", is(plugin.StateUp))
}
