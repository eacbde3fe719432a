package privileges

import "testing"

func TestEachPrivilegeIsListedOnceWithItsCalls(t *testing.T) {
	for _, pool := range []bool{false, true} {
		for _, grant := range []bool{false, true} {
			seen := map[string]bool{}
			for _, n := range Create(pool, grant, !grant) {
				if seen[n.ID] || n.Calls == "" || n.On == "" {
					t.Errorf("%+v", n)
				}
				seen[n.ID] = true
			}
			if seen["VApp.Create"] == pool || seen["Resource.CreatePool"] != pool || seen["Authorization.ModifyRoles"] != grant ||
				seen["Host.Inventory.EditCluster"] == grant {
				t.Errorf("pool %v, grant %v: %v", pool, grant, seen)
			}
		}
	}
}
