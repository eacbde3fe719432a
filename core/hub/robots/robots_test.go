package robots

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/signin"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// maker has a role in the project "shop", or everywhere if it is a cloud administrator's.
type maker struct {
	role  role.Role
	robot bool
}

func (m maker) Name() string { return m.role.String() }
func (m maker) Holds(_ context.Context, p role.Permission, namespace string) (bool, error) {
	return m.role >= p.Row().Least && (namespace == "shop" || m.role == role.CloudAdmin), nil
}
func (m maker) CloudAdmin(context.Context) (bool, error) {
	return m.role == role.CloudAdmin && !m.robot, nil
}

var (
	devops = maker{role: role.DevOpsAdmin}
	admin  = maker{role: role.CloudAdmin}
)

type rig struct {
	*Robots
	t               *testing.T
	clock           time.Time
	shop, warehouse int64
}

func newRig(t *testing.T, open func(...store.Schema) *store.Store) *rig {
	t.Helper()
	db := open(registry.Schema(), Schema())
	r := &rig{t: t, clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	now := func() time.Time { return r.clock }
	r.Robots = New(db, access.NewLimiter(access.LimitOptions{Now: now}), slog.New(slog.NewTextHandler(t.Output(), nil)), now)
	for name, id := range map[string]*int64{"shop": &r.shop, "warehouse": &r.warehouse} {
		must(t, db.Tx(t.Context(), func(tx *store.Tx) error {
			return tx.Row(`INSERT INTO project (name, public, quota, repo_quota, created) VALUES ($1, FALSE, -1, -1, 0) RETURNING id`, name).Scan(id)
		}))
	}
	return r
}

func in(namespace string, all ...role.Permission) []Permission {
	return []Permission{{Namespace: namespace, Access: all}}
}

func (r *rig) make(by Maker, s Spec) (Robot, secret.Text) {
	r.t.Helper()
	x, text, err := r.Make(r.t.Context(), by, s)
	must(r.t, err)
	return x, text
}

// opens says whether a robot comes in, by its secret and by a token that it has.
func (r *rig) opens(name string, s secret.Text) bool {
	r.t.Helper()
	_, err := r.Password(r.t.Context(), name, s, "10.0.0.1")
	_, err2 := r.Find(r.t.Context(), name)
	for _, e := range []error{err, err2} {
		if e != nil && !errors.Is(e, errdef.ErrDenied) {
			r.t.Error(e)
		}
	}
	if (err == nil) != (err2 == nil) {
		r.t.Errorf("by secret: %v, by name: %v", err, err2)
	}
	return err == nil
}

func TestTheLifeOfARobot(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		r := newRig(t, open)
		ctx := t.Context()
		s := Spec{Project: r.shop, Name: "ci", Description: "pushes", Duration: 30, Permissions: in("shop", role.ArtifactPull, role.ArtifactPush)}
		x, text := r.make(devops, s)
		if x.FullName != "robot$shop+ci" || x.Name != "ci" || x.Creator != "devops-admin" || len(text) != 43 || !x.Used.IsZero() ||
			!x.Expires.Equal(r.clock.Add(30*24*time.Hour)) {
			t.Errorf("%+v", x)
		}
		var kept []byte
		must(t, r.db.QueryRow(ctx, `SELECT secret FROM robot WHERE id = $1`, x.ID).Scan(&kept))
		if len(kept) != 32 || bytes.Contains(kept, []byte(text)) {
			t.Errorf("%d bytes are kept of the secret", len(kept))
		}
		if _, _, err := r.Make(ctx, devops, s); !errors.Is(err, errdef.ErrExists) {
			t.Errorf("a second one: %v", err)
		}
		found, err := r.Password(ctx, "robot$shop+ci", text, "10.0.0.1")
		must(t, err)
		if g := found.Grants("shop"); len(g) != 2 || !g[role.ArtifactPush] || len(found.Grants("")) != 0 || len(found.Grants("warehouse")) != 0 {
			t.Errorf("%v", g)
		}
		if x, err = r.Get(ctx, x.ID); err != nil || !x.Used.Equal(r.clock) {
			t.Errorf("used %v, %v", x.Used, err)
		}
		// Disabled, given less, enabled: each counts at once.
		s.Disabled = true
		must(t, r.Change(ctx, devops, x.ID, s))
		if r.opens(x.FullName, text) {
			t.Error("a disabled robot comes in")
		}
		s.Disabled, s.Permissions = false, in("shop", role.ArtifactPull)
		must(t, r.Change(ctx, devops, x.ID, s))
		found, err = r.Find(ctx, x.FullName)
		must(t, err)
		if found.Grants("shop")[role.ArtifactPush] {
			t.Error("it may still push")
		}
		again, err := r.Refresh(ctx, devops, x.ID)
		must(t, err)
		if !r.opens(x.FullName, again) {
			t.Error("the new secret opens nothing")
		}
		if _, err := r.Password(ctx, x.FullName, text, "10.0.0.1"); !errors.Is(err, errdef.ErrDenied) {
			t.Errorf("the old secret: %v", err)
		}
		r.clock = x.Expires.Add(-time.Millisecond)
		if !r.opens(x.FullName, again) {
			t.Error("expired too early")
		}
		r.clock = x.Expires
		if r.opens(x.FullName, again) {
			t.Error("an expired robot comes in")
		}
		s.Duration = Never
		must(t, r.Change(ctx, devops, x.ID, s))
		if !r.opens(x.FullName, again) {
			t.Error("one without end does not come in")
		}
		must(t, r.Remove(ctx, x.ID))
		if r.opens(x.FullName, again) {
			t.Error("one that is gone comes in")
		}
		for _, err := range []error{r.Remove(ctx, x.ID), r.Change(ctx, devops, x.ID, s)} {
			if !errors.Is(err, errdef.ErrNotFound) {
				t.Error(err)
			}
		}
	})
}

func TestNobodyGivesARobotMoreThanTheyHave(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		r := newRig(t, open)
		all := Permission{Namespace: WholeHub, Access: []role.Permission{role.SystemLog}}
		for name, c := range map[string]struct {
			by      Maker
			project int64
			give    []Permission
			want    error
		}{
			"what a DevOps administrator has":  {devops, r.shop, in("shop", role.ArtifactPull, role.ArtifactDelete), nil},
			"what a cloud administrator has":   {devops, r.shop, in("shop", role.ProjectDelete), errdef.ErrDenied},
			"in another project":               {devops, r.shop, in("warehouse", role.ArtifactPull), errdef.ErrDenied},
			"in every project":                 {devops, r.shop, in("*", role.ArtifactPull), errdef.ErrDenied},
			"robots":                           {devops, r.shop, in("shop", role.RobotManage), errdef.ErrDenied},
			"members":                          {devops, r.shop, in("shop", role.MemberManage), errdef.ErrDenied},
			"robots, by a cloud administrator": {admin, r.shop, in("shop", role.RobotManage), nil},
			"robots, by a robot":               {maker{role.CloudAdmin, true}, r.shop, in("shop", role.RobotManage), errdef.ErrDenied},
			"administrators, by a robot":       {maker{role.CloudAdmin, true}, 0, in("/", role.CloudAdminManage), errdef.ErrDenied},
			"beyond its project, by whomever":  {admin, r.shop, in("warehouse", role.ArtifactPull), errdef.ErrInvalid},
			"every project, by whomever":       {admin, r.shop, in("*", role.ArtifactPull), errdef.ErrInvalid},
			"the hub, by whomever":             {admin, r.shop, []Permission{all}, errdef.ErrInvalid},
			"the hub and projects": {admin, 0,
				[]Permission{all, {Namespace: "*", Access: []role.Permission{role.ArtifactPull}}, {Namespace: "shop", Access: []role.Permission{role.ArtifactPush}}}, nil},
			"the hub's in a project":             {admin, 0, in("shop", role.SystemLog), errdef.ErrInvalid},
			"a project's in the hub":             {admin, 0, in("/", role.ArtifactPull), errdef.ErrInvalid},
			"a project that is not there":        {admin, 0, in("nothing", role.ArtifactPull), errdef.ErrInvalid},
			"nothing":                            {admin, 0, nil, errdef.ErrInvalid},
			"a permission that is none":          {admin, 0, in("*", 0), errdef.ErrDenied},
			"of a project that is not there":     {admin, 999, in("shop", role.ArtifactPull), errdef.ErrNotFound},
			"one permission, two thousand times": {admin, 0, in("*", slices.Repeat([]role.Permission{role.ArtifactPull}, maxGrants+1)...), errdef.ErrInvalid},
			"one permission, twice":              {admin, 0, in("*", role.ArtifactPull, role.ArtifactPull), nil},
		} {
			x, text, err := r.Make(t.Context(), c.by, Spec{Project: c.project, Name: "x", Duration: Never, Permissions: c.give})
			if !errors.Is(err, c.want) || c.want != nil && text != "" {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
			if err != nil {
				continue
			}
			if !same(x.Permissions, c.give) {
				t.Errorf("%s: %v became %v", name, c.give, x.Permissions)
			}
			must(t, r.Remove(t.Context(), x.ID))
		}
		// A secret made anew, or a robot enabled again, would lend what a cloud administrator gave it.
		x, text := r.make(admin, Spec{Project: r.shop, Name: "mover", Duration: Never, Permissions: in("shop", role.ProjectDelete)})
		if _, err := r.Refresh(t.Context(), devops, x.ID); !errors.Is(err, errdef.ErrDenied) || !r.opens(x.FullName, text) {
			t.Errorf("a DevOps administrator takes its secret: %v", err)
		}
		x.Disabled = true
		must(t, r.Change(t.Context(), devops, x.ID, x.Spec))
		x.Disabled = false
		if err := r.Change(t.Context(), devops, x.ID, x.Spec); !errors.Is(err, errdef.ErrDenied) {
			t.Errorf("a DevOps administrator enables it: %v", err)
		}
	})
}

func TestNamesAndBounds(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		r := newRig(t, open)
		good := Spec{Name: "a.b-c_1", Duration: 1, Permissions: in("*", role.ArtifactPull)}
		x, _ := r.make(admin, good)
		if x.FullName != "robot$a.b-c_1" || x.Name != good.Name {
			t.Errorf("%+v", x)
		}
		for name, change := range map[string]func(*Spec){
			"no name": func(s *Spec) { s.Name = "" }, "a plus": func(s *Spec) { s.Name = "shop+ci" }, "capitals": func(s *Spec) { s.Name = "Ci" },
			"a prefix": func(s *Spec) { s.Name = "robot$x" }, "a long name": func(s *Spec) { s.Name = strings.Repeat("a", maxName+1) },
			"no duration": func(s *Spec) { s.Duration = 0 }, "below never": func(s *Spec) { s.Duration = -2 },
			"for ages":           func(s *Spec) { s.Duration = maxDuration + 1 },
			"a long description": func(s *Spec) { s.Description = strings.Repeat("a", maxDescription+1) },
		} {
			s := good
			s.Name = "other"
			change(&s)
			if _, _, err := r.Make(t.Context(), admin, s); !errors.Is(err, errdef.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, pair := range [][2]string{{"repository", "fly"}, {"system-log", "list"}, {"", ""}} {
			_, err := ParsePermission(pair[0], pair[1], role.Project)
			if !errors.Is(err, errdef.ErrInvalid) || !strings.Contains(err.Error(), "repository:pull, ") || strings.Contains(err.Error(), "catalog:list") {
				t.Errorf("%v: %v", pair, err)
			}
		}
	})
}

func TestRobotsAreListedByTheirProject(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		r := newRig(t, open)
		for i := range 5 {
			r.make(devops, Spec{Project: r.shop, Name: fmt.Sprintf("ci%d", i), Duration: Never, Permissions: in("shop", role.ArtifactPull)})
		}
		hub, text := r.make(admin, Spec{Name: "hub", Duration: Never, Permissions: []Permission{
			{Namespace: "shop", Access: []role.Permission{role.ArtifactPull}}, {Namespace: "warehouse", Access: []role.Permission{role.ArtifactPull}}}})
		for _, c := range []struct {
			project              int64
			name                 string
			limit, offset, n, of int
		}{{r.shop, "", 10, 0, 5, 5}, {r.shop, "", 2, 4, 1, 5}, {r.shop, "ci3", 10, 0, 1, 1}, {r.shop, "_", 10, 0, 0, 0}, {0, "", 10, 0, 1, 1},
			{r.warehouse, "", 10, 0, 0, 0}} {
			list, total, err := r.List(t.Context(), c.project, c.name, c.limit, c.offset)
			if err != nil || len(list) != c.n || total != c.of {
				t.Errorf("%+v: %d of %d, %v", c, len(list), total, err)
			}
		}
		// The project goes: its robots with it, and what others might do there, also if its name comes back.
		must(t, r.db.Tx(t.Context(), func(tx *store.Tx) error {
			if err := Forget(tx, r.shop); err != nil {
				return err
			}
			if _, err := tx.Exec(`DELETE FROM project WHERE id = $1`, r.shop); err != nil {
				return err
			}
			_, err := tx.Exec(`INSERT INTO project (name, public, quota, repo_quota, created) VALUES ('shop', FALSE, -1, -1, 0)`)
			return err
		}))
		if _, total, err := r.List(t.Context(), r.shop, "", 10, 0); err != nil || total != 0 {
			t.Errorf("%d robots of a project that is gone, %v", total, err)
		}
		found, err := r.Password(t.Context(), hub.FullName, text, "10.0.0.1")
		must(t, err)
		if len(found.Grants("shop")) != 0 || !found.Grants("warehouse")[role.ArtifactPull] {
			t.Errorf("%v", found.Grants("shop"))
		}
	})
}

func TestWhoGuessesSecretsIsSlowedDown(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		r := newRig(t, open)
		x, text := r.make(admin, Spec{Name: "ci", Duration: Never, Permissions: in("*", role.ArtifactPull)})
		var limited *signin.LimitedError
		for range 100 {
			if _, err := r.Password(t.Context(), x.FullName, "wrong", "10.0.0.2"); errors.As(err, &limited) {
				break
			} else if !errors.Is(err, errdef.ErrDenied) {
				t.Fatal(err)
			}
		}
		if limited == nil || limited.Wait <= 0 {
			t.Error("a hundred guesses went through")
		}
		if !r.opens(x.FullName, text) { // from elsewhere
			t.Error("a guesser keeps the robot out")
		}
	})
}

func TestARobotHasHarborsPairs(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		r := newRig(t, open)
		said := []string{"artifact:list", "repository:pull", "tag:list"}
		var access []role.Permission
		for _, pair := range said {
			resource, action, _ := strings.Cut(pair, ":")
			p, err := ParsePermission(resource, action, role.Project)
			must(t, err)
			access = append(access, p)
		}
		x, _ := r.make(devops, Spec{Project: r.shop, Name: "ci", Duration: Never, Permissions: []Permission{{Namespace: "shop", Access: access, Said: said}}})
		if p := x.Permissions[0]; !slices.Equal(p.Said, said) || len(p.Access) != 2 {
			t.Errorf("%+v", p)
		}
		found, err := r.Find(t.Context(), x.FullName)
		must(t, err)
		if g := found.Grants("shop"); len(g) != 2 || !g[role.RepositoryList] || !g[role.ArtifactPull] {
			t.Errorf("%v", g)
		}
		// What is said must be what is checked: nobody gets more by a text than its permission was checked for.
		_, _, err = r.Make(t.Context(), devops, Spec{Project: r.shop, Name: "cd", Duration: Never,
			Permissions: []Permission{{Namespace: "shop", Access: []role.Permission{role.ArtifactPull}, Said: []string{"member:create"}}}})
		if !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("a text of another permission: %v", err)
		}
		// The mighty ones stay a cloud administrator's, also by another name.
		p, err := ParsePermission("robot", "create", role.Project)
		must(t, err)
		_, _, err = r.Make(t.Context(), devops, Spec{Project: r.shop, Name: "cd", Duration: Never,
			Permissions: []Permission{{Namespace: "shop", Access: []role.Permission{p}, Said: []string{"robot:create"}}}})
		if !errors.Is(err, errdef.ErrDenied) {
			t.Errorf("robot:create from a DevOps administrator: %v", err)
		}
	})
}

func TestPairsOfBothScopes(t *testing.T) {
	for _, scope := range []role.Scope{role.Project, role.Global} {
		for _, pair := range Pairs(scope) {
			resource, action, _ := strings.Cut(pair, ":")
			p, err := ParsePermission(resource, action, scope)
			if err != nil || p.Row().Scope != scope || !slices.Contains(names(p), pair) {
				t.Errorf("%s: %v %v", pair, p, err)
			}
		}
	}
	for _, bad := range [][2]string{{"artifact", "fly"}, {"", ""}, {"garbage-collection", "create"}} {
		if p, err := ParsePermission(bad[0], bad[1], role.Project); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%v: %v %v", bad, p, err)
		}
	}
}

// A pair that is narrower than its permission gives that at the pair's routes, and nowhere else: not to the registry, nor to
// who asks what the robot could lend others.
func TestNarrowPairsCountAtTheirRoutes(t *testing.T) {
	all := []Permission{{Namespace: "shop", Said: []string{"tag:create", "repository:pull"}}, {Namespace: WholeHub, Said: []string{"quota:read"}}}
	everywhere, at := granted(all), limited(all)
	if g := everywhere("shop"); len(g) != 1 || !g[role.ArtifactPull] || len(everywhere("")) != 0 {
		t.Errorf("%v %v", g, everywhere(""))
	}
	const tags = "/projects/{project}/repositories/{repository}/artifacts/{reference}/tags"
	if !at("shop", "POST", tags)[role.ArtifactPush] || len(at("shop", "GET", tags))+len(at("warehouse", "POST", tags))+len(at("", "POST", tags)) != 0 {
		t.Error("tags are not made where they are made")
	}
	if !at("", "GET", "/quotas/{id}")[role.QuotaManage] || len(at("", "PUT", "/quotas/{id}"))+len(at("shop", "GET", "/quotas/{id}")) != 0 {
		t.Error("quotas are not read where they are read")
	}
	for _, scope := range []role.Scope{role.Project, role.Global} {
		for pair, p := range harbor(scope) {
			resource, action, _ := strings.Cut(pair, ":")
			if narrow(pair, p) && (methods[action] == nil || places[resource] == "" && exact[resource] == "") {
				t.Errorf("%s has no routes", pair)
			}
		}
	}
}

func TestRobotsHaveANumber(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		r := newRig(t, open)
		must(t, r.db.Tx(t.Context(), func(tx *store.Tx) error {
			for i := range maxRobots {
				_, err := tx.Exec(`INSERT INTO robot (project, name, description, secret, disabled, duration, expires, creator, made, changed, used)
					VALUES ($1, $2, '', $3, FALSE, -1, 0, '', 0, 0, 0)`, r.shop, fmt.Sprintf("robot$shop+x%d", i), []byte{})
				if err != nil {
					return err
				}
			}
			return nil
		}))
		spec := Spec{Project: r.shop, Name: "more", Duration: Never, Permissions: in("shop", role.ArtifactPull)}
		if _, _, err := r.Make(t.Context(), devops, spec); !errors.Is(err, errdef.ErrExhausted) {
			t.Errorf("robot %d: %v", maxRobots+1, err)
		}
		spec = Spec{Project: r.warehouse, Name: "more", Duration: Never, Permissions: in("warehouse", role.ArtifactPull)}
		r.make(admin, spec)
	})
}
