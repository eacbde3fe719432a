package privileges

import (
	"strings"
	"testing"
)

func TestEachPrivilegeIsListedOnceWithAReason(t *testing.T) {
	for _, p := range []Place{Datacenter, Datastore, Network, Switch, VCH, Pool, Folder, Cluster} {
		seen := map[string]bool{}
		for _, n := range Needs(p) {
			if seen[n.ID] || n.For == "" || strings.HasPrefix(n.ID, "System.") {
				t.Errorf("%s: %+v", p, n)
			}
			seen[n.ID] = true
		}
		if len(seen) == 0 && p != Switch {
			t.Errorf("%s: nothing is needed", p)
		}
	}
}
