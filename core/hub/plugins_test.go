package hub

import "testing"

// Images bring the entries of all identity sources; those that no role names are not started.
func TestPluginsWithoutARoleAreNotStarted(t *testing.T) {
	w := newWorld(t, "sqlite")
	if all := w.hub.plugins.List(); len(all) != 1 || all[0].Name != "local" {
		t.Errorf("%+v", all)
	}
}
