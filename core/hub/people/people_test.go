package people_test

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// each runs a test on each kind of database.
func each(t *testing.T, test func(t *testing.T, p *people.People)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		test(t, people.New(open(people.Schema()), nil))
	})
}

func user(id string) auth.Principal  { return auth.Principal{ID: id, Kind: auth.User, Name: id} }
func group(id string) auth.Principal { return auth.Principal{ID: id, Kind: auth.Group, Name: id} }

func seen(t *testing.T, p *people.People, id string, groups ...string) people.Person {
	t.Helper()
	x, err := p.Seen(t.Context(), "local", auth.Identity{Principal: user(id), Groups: groups}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func expectRole(t *testing.T, p *people.People, id string, project int64, want role.Role) {
	t.Helper()
	if got, err := p.Role(t.Context(), id, project); err != nil || got != want {
		t.Errorf("%s in project %d: %s, %v; want %s", id, project, got, err, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRolesComeFromUsersAndGroups(t *testing.T) {
	each(t, func(t *testing.T, p *people.People) {
		ctx := t.Context()
		seen(t, p, "d/ann", "d/devs", "d/all")
		seen(t, p, "d/bob", "d/all")
		_, err := p.AddMember(ctx, 1, group("d/all"), role.Viewer)
		must(t, err)
		devs, err := p.AddMember(ctx, 1, group("d/devs"), role.Developer)
		must(t, err)
		_, err = p.AddMember(ctx, 2, user("d/bob"), role.DevOpsAdmin)
		must(t, err)
		_, err = p.AddMember(ctx, 1, user("d/new"), role.Viewer) // whom nobody has seen yet
		must(t, err)
		expectRole(t, p, "d/ann", 1, role.Developer)
		expectRole(t, p, "d/ann", 2, role.None)
		expectRole(t, p, "d/bob", 1, role.Viewer)
		expectRole(t, p, "d/bob", 2, role.DevOpsAdmin)
		expectRole(t, p, "d/new", 1, role.None)
		seen(t, p, "d/new")
		expectRole(t, p, "d/new", 1, role.Viewer)
		if got, err := p.Highest(ctx, "d/bob"); err != nil || got != role.DevOpsAdmin {
			t.Errorf("bob's highest role: %s, %v", got, err)
		}
		_, err = p.AddCloudAdmin(ctx, group("d/admins"))
		must(t, err)
		seen(t, p, "d/ann", "d/admins") // the groups of now
		expectRole(t, p, "d/ann", 7, role.CloudAdmin)
		seen(t, p, "d/ann", "d/devs")
		expectRole(t, p, "d/ann", 7, role.None)
		must(t, p.ChangeMember(ctx, 1, devs.Number, role.DevOpsAdmin))
		expectRole(t, p, "d/ann", 1, role.DevOpsAdmin)
		must(t, p.RemoveMember(ctx, 1, devs.Number))
		expectRole(t, p, "d/ann", 1, role.None)
		must(t, p.Gone(ctx, "d/bob", nil))
		expectRole(t, p, "d/bob", 2, role.None)
		seen(t, p, "d/bob") // came back
		expectRole(t, p, "d/bob", 2, role.DevOpsAdmin)
	})
}

func TestWhatMembersCannotBe(t *testing.T) {
	each(t, func(t *testing.T, p *people.People) {
		ctx := t.Context()
		g, err := p.AddMember(ctx, 1, user("d/ann"), role.Viewer)
		must(t, err)
		for name, c := range map[string]struct {
			err  error
			want error
		}{
			"a member twice":            {second(p.AddMember(ctx, 1, user("d/ann"), role.Developer)), errdef.ErrExists},
			"no role":                   {second(p.AddMember(ctx, 1, user("d/bob"), role.None)), errdef.ErrInvalid},
			"cloud admin of a project":  {second(p.AddMember(ctx, 1, user("d/bob"), role.CloudAdmin)), errdef.ErrInvalid},
			"changed to cloud admin":    {p.ChangeMember(ctx, 1, g.Number, role.CloudAdmin), errdef.ErrInvalid},
			"changed in another":        {p.ChangeMember(ctx, 2, g.Number, role.Developer), errdef.ErrNotFound},
			"removed from another":      {p.RemoveMember(ctx, 2, g.Number), errdef.ErrNotFound},
			"nobody removed":            {p.RemoveMember(ctx, 1, 999), errdef.ErrNotFound},
			"a stranger":                {second(p.Get(ctx, "d/nobody")), errdef.ErrNotFound},
			"nobody is a cloud admin":   {p.RemoveCloudAdmin(ctx, "d/ann"), errdef.ErrNotFound},
			"a member of another again": {second(p.Member(ctx, 2, g.Number)), errdef.ErrNotFound},
		} {
			if !errors.Is(c.err, c.want) {
				t.Errorf("%s: %v, want %v", name, c.err, c.want)
			}
		}
		expectRole(t, p, "d/ann", 1, role.None) // not seen
	})
}

func second[T any](_ T, err error) error { return err }

func TestMembersAreListedInPages(t *testing.T) {
	each(t, func(t *testing.T, p *people.People) {
		ctx := t.Context()
		for i := range 25 {
			_, err := p.AddMember(ctx, 1, user(fmt.Sprintf("d/User_%02d", i)), role.Viewer)
			must(t, err)
		}
		_, err := p.AddMember(ctx, 2, user("d/other"), role.Viewer)
		must(t, err)
		n, after := 0, int64(0)
		for pages := 0; ; pages++ {
			list, more, err := p.Members(ctx, 1, "", after, 10)
			must(t, err)
			n += len(list)
			if !more {
				if pages != 2 {
					t.Errorf("%d pages", pages+1)
				}
				break
			}
			after = list[len(list)-1].Number
		}
		if n != 25 {
			t.Errorf("%d members", n)
		}
		for contains, want := range map[string]int{"user_0": 10, "r_1": 10, "%": 0, "d/user_24": 1, `\`: 0, "r00": 0} {
			if list, _, err := p.Members(ctx, 1, contains, 0, 100); err != nil || len(list) != want {
				t.Errorf("%q: %d members, %v; want %d", contains, len(list), err, want)
			}
		}
	})
}

func TestTheLastCloudAdministratorKeepsTheRole(t *testing.T) {
	each(t, func(t *testing.T, p *people.People) {
		ctx := t.Context()
		made, err := p.Begin(ctx, []string{"vsphere.local/administrators"})
		if err != nil || len(made) != 1 {
			t.Fatal(made, err)
		}
		if made, err := p.Begin(ctx, []string{"vsphere.local/others"}); err != nil || len(made) != 0 {
			t.Errorf("a second begin made %v, %v", made, err)
		}
		if err := p.RemoveCloudAdmin(ctx, "vsphere.local/administrators"); !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("the last one: %v", err)
		}
		_, err = p.AddCloudAdmin(ctx, user("d/ann"))
		must(t, err)
		if err := p.RemoveCloudAdmin(ctx, "vsphere.local/administrators"); !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("the last group, with a user left: %v", err)
		}
		_, err = p.AddCloudAdmin(ctx, group("d/ops"))
		must(t, err)
		must(t, p.RemoveCloudAdmin(ctx, "vsphere.local/administrators"))
		if _, err := p.AddCloudAdmin(ctx, group("d/ops")); !errors.Is(err, errdef.ErrExists) {
			t.Errorf("twice: %v", err)
		}
		must(t, p.RemoveCloudAdmin(ctx, "d/ann"))
		if list, err := p.CloudAdmins(ctx); err != nil || len(list) != 1 || list[0].Principal != "d/ops" {
			t.Errorf("%+v %v", list, err)
		}
	})
}

// Two revocations at once must not both see the other one's administrator.
func TestTwoRevocationsAtOnceLeaveOne(t *testing.T) {
	each(t, func(t *testing.T, p *people.People) {
		ctx := t.Context()
		for range 10 {
			_, err := p.AddCloudAdmin(ctx, group("d/a"))
			if err != nil && !errors.Is(err, errdef.ErrExists) {
				t.Fatal(err)
			}
			_, err = p.AddCloudAdmin(ctx, group("d/b"))
			if err != nil && !errors.Is(err, errdef.ErrExists) {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			errs := make([]error, 2)
			for i, id := range []string{"d/a", "d/b"} {
				wg.Go(func() { errs[i] = p.RemoveCloudAdmin(ctx, id) })
			}
			wg.Wait()
			list, err := p.CloudAdmins(ctx)
			must(t, err)
			refused := 0
			for _, err := range errs {
				if errors.Is(err, errdef.ErrConflict) {
					refused++
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if len(list) != 1 || refused != 1 {
				t.Fatalf("%d administrators are left, %d revocations were refused", len(list), refused)
			}
		}
	})
}

func TestWhatIsKnownOfAPerson(t *testing.T) {
	each(t, func(t *testing.T, p *people.People) {
		ctx := t.Context()
		end := time.Unix(2e9, 0)
		id := auth.Identity{Principal: auth.Principal{ID: "vsphere.local/dev", Kind: auth.User, Name: "Dev@vsphere.local", FullName: "Dev Eloper",
			Email: "dev@example.com"},
			Groups: []string{"vsphere.local/users"}, Expires: end}
		x, err := p.Seen(ctx, "vsphere", id, []byte("sealed"))
		must(t, err)
		if x.Number < 1 || x.Principal != id.Principal || x.Source != "vsphere" || !x.Expires.Equal(end) || string(x.Session) != "sealed" ||
			time.Since(x.Checked) > time.Minute {
			t.Errorf("%+v", x)
		}
		id.Principal.FullName = "Dev E. Loper"
		again, err := p.Seen(ctx, "vsphere", id, nil)
		must(t, err)
		if again.Number != x.Number || again.FullName != "Dev E. Loper" || len(again.Session) != 0 {
			t.Errorf("%+v", again)
		}
		must(t, p.Found(ctx, "vsphere", []auth.Principal{group("vsphere.local/users"), user("vsphere.local/eve")}))
		if got, err := p.ByName(ctx, "dev@VSPHERE.local", auth.User); err != nil || got.Number != x.Number {
			t.Errorf("%+v %v", got, err)
		}
		if got, err := p.ByNumber(ctx, x.Number); err != nil || got.ID != "vsphere.local/dev" {
			t.Errorf("%+v %v", got, err)
		}
		list, total, err := p.SelectUsers(ctx, 1, 1, "1 = 1", "num")
		if err != nil || total != 2 || len(list) != 1 || list[0].ID != "vsphere.local/eve" {
			t.Errorf("%+v of %d users, %v", list, total, err)
		}
	})
}

// A search finds also those who were put out: that lets nobody in again.
func TestWhoIsGoneStaysGoneWhenFound(t *testing.T) {
	each(t, func(t *testing.T, p *people.People) {
		ctx := t.Context()
		seen(t, p, "d/ann")
		_, err := p.AddMember(ctx, 1, user("d/ann"), role.Developer)
		must(t, err)
		must(t, p.Gone(ctx, "d/ann", nil))
		must(t, p.Found(ctx, "local", []auth.Principal{user("d/ann")}))
		expectRole(t, p, "d/ann", 1, role.None)
		seen(t, p, "d/ann")
		expectRole(t, p, "d/ann", 1, role.Developer)
	})
}

// The answer about an old session comes late, after the user has signed in again.
func TestTheEndOfAnOldSessionLeavesTheNewOne(t *testing.T) {
	each(t, func(t *testing.T, p *people.People) {
		ctx := t.Context()
		for _, session := range []string{"old", "new"} {
			_, err := p.Seen(ctx, "local", auth.Identity{Principal: user("d/ann"), Groups: []string{"d/devs"}}, []byte(session))
			must(t, err)
		}
		_, err := p.AddMember(ctx, 1, group("d/devs"), role.Developer)
		must(t, err)
		must(t, p.Gone(ctx, "d/ann", []byte("old")))
		expectRole(t, p, "d/ann", 1, role.Developer)
		must(t, p.Gone(ctx, "d/ann", []byte("new")))
		expectRole(t, p, "d/ann", 1, role.None)
	})
}

func TestANameOfSeveralIsNobodys(t *testing.T) {
	each(t, func(t *testing.T, p *people.People) {
		ctx := t.Context()
		for _, id := range []string{"one.example/ann", "two.example/a"} {
			_, err := p.Seen(ctx, "any", auth.Identity{Principal: auth.Principal{ID: id, Kind: auth.User, Name: "Ann"}}, nil)
			must(t, err)
		}
		if x, err := p.ByName(ctx, "ann", auth.User); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%+v, %v", x, err)
		}
		if x, err := p.ByName(ctx, "ann", auth.Group); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("a group: %+v, %v", x, err)
		}
	})
}

func TestMembersAreFoundAsTheyAreWritten(t *testing.T) {
	each(t, func(t *testing.T, p *people.People) {
		id := auth.Principal{ID: "d/1", Kind: auth.User, Name: "\u00c9mile"}
		must(t, p.Found(t.Context(), "local", []auth.Principal{id}))
		_, err := p.AddMember(t.Context(), 1, id, role.Viewer)
		must(t, err)
		if list, _, err := p.Members(t.Context(), 1, "\u00c9MILE", 0, 10); err != nil || len(list) != 1 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

func TestAGroupThatIsNamedTwiceBegins(t *testing.T) {
	each(t, func(t *testing.T, p *people.People) {
		if made, err := p.Begin(t.Context(), []string{"d/ops", "d/ops"}); err != nil || len(made) != 1 {
			t.Errorf("%v, %v", made, err)
		}
	})
}

// Who is made under the ID of one who was deleted is somebody else.
func TestADeletedUserLeavesNoRoles(t *testing.T) {
	each(t, func(t *testing.T, p *people.People) {
		ctx := t.Context()
		seen(t, p, "d/ann", "d/devs")
		_, err := p.AddMember(ctx, 1, user("d/ann"), role.DevOpsAdmin)
		must(t, err)
		_, err = p.AddCloudAdmin(ctx, user("d/ann"))
		must(t, err)
		if err := p.Remove(ctx, "d/ann"); !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("the last cloud administrator: %v", err)
		}
		expectRole(t, p, "d/ann", 1, role.CloudAdmin)
		_, err = p.AddCloudAdmin(ctx, user("d/bob"))
		must(t, err)
		must(t, p.Remove(ctx, "d/ann"))
		seen(t, p, "d/ann")
		expectRole(t, p, "d/ann", 1, role.None)
	})
}

// Who is called like a group is not what its members are, and the members are not what that user is.
func TestAUserOfAGroupsNameIsNobodySpecial(t *testing.T) {
	each(t, func(t *testing.T, p *people.People) {
		ctx := t.Context()
		_, err := p.AddCloudAdmin(ctx, group("d/admins"))
		must(t, err)
		_, err = p.AddMember(ctx, 1, group("d/devs"), role.Developer)
		must(t, err)
		_, err = p.AddMember(ctx, 2, user("d/testers"), role.DevOpsAdmin)
		must(t, err)
		seen(t, p, "d/admins")
		seen(t, p, "d/devs")
		seen(t, p, "d/ann", "d/testers")
		expectRole(t, p, "d/admins", 0, role.None)
		expectRole(t, p, "d/devs", 1, role.None)
		expectRole(t, p, "d/ann", 2, role.None)
		seen(t, p, "d/ann", "d/admins")
		expectRole(t, p, "d/ann", 2, role.CloudAdmin)
	})
}
