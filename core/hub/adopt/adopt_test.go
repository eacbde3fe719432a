package adopt

import (
	"encoding/json"
	"slices"
	"testing"
)

// A robot may no more than it might at the Harbor: label:create does not become all that the hub's administrators of a project
// may change of it.
func TestARobotKeepsHarborsPairs(t *testing.T) {
	var x robot
	err := json.Unmarshal([]byte(`{"name":"robot$shop+ci","permissions":[{"kind":"project","namespace":"shop","access":[{"resource":"label","action":"create"},
		{"resource":"label","action":"delete"},{"resource":"repository","action":"pull"},{"resource":"x","action":"y"}]}]}`), &x)
	if err != nil {
		t.Fatal(err)
	}
	i := &importer{r: &Report{}}
	s := i.spec(x, 7, "shop")
	if len(s.Permissions) != 1 || i.r.Skipped != 1 {
		t.Fatalf("%+v, %d are left out", s, i.r.Skipped)
	}
	if p := s.Permissions[0]; !slices.Equal(p.Said, []string{"label:create", "label:delete", "repository:pull"}) || len(p.Access) != 3 {
		t.Errorf("%+v", p)
	}
}
