package role

import (
	"regexp"
	"testing"
)

func TestEveryPermissionHasARow(t *testing.T) {
	name := regexp.MustCompile(`^[a-z]+(-[a-z]+)*:[a-z]+(-[a-z]+)*$`)
	seen := map[string]bool{}
	for _, p := range All() {
		row := p.Row()
		if !name.MatchString(row.Name) || seen[row.Name] || row.Least < Viewer || row.Least > CloudAdmin || row.Text == "" {
			t.Errorf("%d: %+v", p, row)
		}
		if row.Public && (row.Scope != Project || row.Least != Viewer) {
			t.Errorf("%s is public, but no viewer's", p)
		}
		seen[row.Name] = true
		if found, ok := Find(row.Name); !ok || found != p {
			t.Errorf("%s is not found by its name", p)
		}
	}
	if len(seen) < 30 {
		t.Errorf("%d permissions", len(seen))
	}
	for _, p := range []Permission{noPermission, -1, Permission(len(table))} {
		if got := Ask(Subject{Known: true, Role: CloudAdmin}, p, true); got != Forbidden {
			t.Errorf("permission %d: %v", p, got)
		}
	}
}

// TestWhoMayWhat tries every role on every permission, in private and public projects. want is DESIGN section 12, row by
// row, written down a second time by hand: the lowest role, and whether everybody may in a public project.
func TestWhoMayWhat(t *testing.T) {
	want := map[string]struct {
		least  Role
		public bool
	}{
		"project:read": {Viewer, true}, "repository:list": {Viewer, true}, "repository:pull": {Viewer, true}, "scan:read": {Viewer, true},
		"signature:read": {Viewer, true}, "member:list": {Viewer, false},
		"repository:push": {Developer, false}, "container:read": {Developer, false}, "container:operate": {Developer, false},
		"template:write": {Developer, false}, "approval:request": {Developer, false},
		"artifact:delete": {DevOpsAdmin, false}, "scan:create": {DevOpsAdmin, false}, "project:update": {DevOpsAdmin, false},
		"notification-policy:manage": {DevOpsAdmin, false}, "robot:manage": {DevOpsAdmin, false}, "member:manage": {DevOpsAdmin, false},
		"log:list": {DevOpsAdmin, false}, "approval:decide": {DevOpsAdmin, false}, "user:search": {DevOpsAdmin, false},
		"project:create": {CloudAdmin, false}, "project:delete": {CloudAdmin, false}, "project:list-all": {CloudAdmin, false},
		"quota:manage": {CloudAdmin, false}, "host:manage": {CloudAdmin, false}, "registry:manage": {CloudAdmin, false},
		"replication:manage": {CloudAdmin, false}, "credential:manage": {CloudAdmin, false}, "configuration:manage": {CloudAdmin, false},
		"scanner:manage": {CloudAdmin, false}, "garbage-collection:manage": {CloudAdmin, false}, "system-log:list": {CloudAdmin, false},
		"system-robot:manage": {CloudAdmin, false}, "cloud-admin:manage": {CloudAdmin, false}, "approval:beyond-quota": {CloudAdmin, false},
		"catalog:list": {CloudAdmin, false},
	}
	if len(want) != len(All()) {
		t.Errorf("%d permissions, %d rows here", len(All()), len(want))
	}
	cases := 0
	for _, p := range All() {
		w, project := want[p.String()], p.Row().Scope == Project
		for _, public := range []bool{false, true} {
			for r := None; r <= CloudAdmin; r++ {
				cases++
				expect := Forbidden
				switch {
				case r >= w.least || public && w.public:
					expect = Allowed
				case project && !public && r == None:
					expect = Hidden
				}
				if got := Ask(Subject{Known: true, Role: r}, p, public); got != expect {
					t.Errorf("%s, public %v, %s: %v, want %v", p, public, r, got, expect)
				}
			}
			cases++
			expect := SignIn
			if public && w.public {
				expect = Allowed
			}
			if got := Ask(Subject{Role: CloudAdmin}, p, public); got != expect { // a role does not help who is not known
				t.Errorf("%s, public %v, nobody: %v, want %v", p, public, got, expect)
			}
		}
	}
	t.Logf("%d cases", cases)
}

func TestARobotHasItsGrantsAlone(t *testing.T) {
	for _, c := range []struct {
		grants map[Permission]bool
		p      Permission
		public bool
		want   Answer
	}{
		{map[Permission]bool{ArtifactPull: true}, ArtifactPull, false, Allowed},
		{map[Permission]bool{ArtifactPull: true}, ArtifactPush, false, Forbidden},
		{map[Permission]bool{ArtifactPull: true}, ArtifactPull, true, Allowed},
		{map[Permission]bool{}, ArtifactPull, false, Forbidden},
		{map[Permission]bool{}, ArtifactPull, true, Allowed},
	} {
		got := Ask(Subject{Known: true, Role: CloudAdmin, Grants: c.grants}, c.p, c.public)
		if got != c.want {
			t.Errorf("%v asks for %s, public %v: %v, want %v", c.grants, c.p, c.public, got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	for r := Viewer; r <= CloudAdmin; r++ {
		if got, err := Parse(r.String()); err != nil || got != r || r.Title() == "" {
			t.Errorf("%s: %v %v", r, got, err)
		}
		if r == CloudAdmin {
			continue
		}
		if got, err := FromHarborID(r.HarborID()); err != nil || got != r {
			t.Errorf("%s is %d in Harbor's API, which is %v, %v", r, r.HarborID(), got, err)
		}
	}
	for _, name := range []string{"", "none", "admin", "Viewer"} {
		if _, err := Parse(name); err == nil {
			t.Errorf("%q is a role", name)
		}
	}
	for _, id := range []int{-1, 0, 4, 6} {
		if _, err := FromHarborID(id); err == nil {
			t.Errorf("%d is a role", id)
		}
	}
}
