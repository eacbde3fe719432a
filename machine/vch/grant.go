package vch

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/privileges"
	"github.com/openvic/vic/machine/advice"
	"github.com/openvic/vic/machine/session"
	"github.com/openvic/vic/sdk/errdef"
)

// Grant is a permission that create gave to the operations user.
type Grant struct {
	Type      string `json:"type"` // of the object
	Object    string `json:"object"`
	Principal string `json:"principal"`
	Role      string `json:"role"`
}

func (g Grant) ref() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: g.Type, Value: g.Object}
}

// roleName is the role of a place; all VCHs share it.
func roleName(p privileges.Place) string { return "VIC operations, " + string(p) }

// Principal is a user as permissions name it: DOMAIN\user.
func Principal(user string) string {
	if name, domain, ok := strings.Cut(user, "@"); ok {
		return strings.ToUpper(domain) + `\` + name
	}
	return user
}

// OpsObjects are the objects on which the operations user needs privileges, by place; those that do not
// exist yet are left out.
func (r Resources) OpsObjects(ctx context.Context) (map[privileges.Place][]types.ManagedObjectReference, error) {
	out := map[privileges.Place][]types.ManagedObjectReference{}
	add := func(p privileges.Place, ref types.ManagedObjectReference) {
		if !slices.Contains(out[p], ref) {
			out[p] = append(out[p], ref)
		}
	}
	add(privileges.Datacenter, r.Datacenter.Reference())
	add(privileges.Datastore, r.Files.Datastore.Reference())
	for _, s := range r.VolumeStores {
		if s.Share == "" {
			add(privileges.Datastore, s.Files.Datastore.Reference())
		}
	}
	networks := []types.ManagedObjectReference{r.Bridge.Reference()}
	for _, n := range r.Containers {
		networks = append(networks, types.ManagedObjectReference{Type: n.Kind, Value: n.Portgroup})
	}
	for _, n := range networks {
		add(privileges.Network, n)
		if n.Type != "DistributedVirtualPortgroup" {
			continue
		}
		var pg mo.DistributedVirtualPortgroup
		if err := property.DefaultCollector(r.Session.Client).RetrieveOne(ctx, n, []string{"config.distributedVirtualSwitch"}, &pg); err != nil {
			return nil, fmt.Errorf("read the port group %s: %w", n.Value, session.Classify(err))
		}
		if s := pg.Config.DistributedVirtualSwitch; s != nil {
			add(privileges.Switch, *s)
		}
	}
	if !r.Session.IsVC() {
		add(privileges.Folder, r.Folder.Reference())
	}
	return out, nil
}

// grant gives the operations user what it needs.
func (c *creator) grant(ctx context.Context) error {
	if !c.Spec.GrantOps {
		return nil
	}
	places, err := c.Res.OpsObjects(ctx)
	if err != nil {
		return err
	}
	own := privileges.VCH
	if c.Record.PoolType == ResourcePool {
		own = privileges.Pool
	}
	places[own] = []types.ManagedObjectReference{c.pool.Reference()}
	m := object.NewAuthorizationManager(c.Res.Session.Client)
	for _, p := range privileges.Places(c.Record.PoolType == ResourcePool) {
		if len(places[p]) == 0 {
			continue
		}
		role, err := ensureRole(ctx, m, p)
		if err != nil {
			return err
		}
		for _, ref := range places[p] {
			if err := grantOn(ctx, m, c.Res.Files, &c.Record, c.Spec.Ops.User, p, ref, role); err != nil {
				return err
			}
		}
	}
	c.log.Printf("gave %s its privileges on %d objects", c.Spec.Ops.User, len(c.Record.Grants))
	return nil
}

// ensureRole makes the role of a place, or gives it what it lacks.
func ensureRole(ctx context.Context, m *object.AuthorizationManager, p privileges.Place) (int32, error) {
	roles, err := m.RoleList(ctx)
	if err != nil {
		return 0, fmt.Errorf("list roles: %w", session.Classify(err))
	}
	have := roles.ByName(roleName(p))
	if have == nil {
		if _, err := m.AddRole(ctx, roleName(p), privileges.Role(p)); err != nil {
			return 0, fmt.Errorf("make the role %q: %w", roleName(p), session.Classify(err))
		}
		if roles, err = m.RoleList(ctx); err != nil {
			return 0, fmt.Errorf("list roles: %w", session.Classify(err))
		}
		if have = roles.ByName(roleName(p)); have == nil {
			return 0, fmt.Errorf("the role %q was made and is not there: %w", roleName(p), errdef.ErrInternal)
		}
		return have.RoleId, nil
	}
	all := slices.Clone(have.Privilege)
	for _, id := range privileges.Role(p) {
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	if len(all) == len(have.Privilege) {
		return have.RoleId, nil
	}
	if err := m.UpdateRole(ctx, have.RoleId, roleName(p), all); err != nil {
		return 0, fmt.Errorf("change the role %q: %w", roleName(p), session.Classify(err))
	}
	return have.RoleId, nil
}

// grantOn gives a role on one object, and remembers it first, so that a delete finds it. vSphere lets an
// account have one role on an object: another one is somebody's decision and stays.
func grantOn(ctx context.Context, m *object.AuthorizationManager, f session.Files, r *Record, user string, p privileges.Place, ref types.ManagedObjectReference, role int32) error {
	g := Grant{Type: ref.Type, Object: ref.Value, Principal: Principal(user), Role: roleName(p)}
	there, err := m.RetrieveEntityPermissions(ctx, ref, false)
	if err != nil {
		return fmt.Errorf("read the permissions on %s %s: %w", ref.Type, ref.Value, session.Classify(err))
	}
	for _, t := range there {
		if strings.EqualFold(t.Principal, g.Principal) && t.RoleId != role {
			return advice.Wrap(fmt.Errorf("%s has another role on %s %s already: %w", user, ref.Type, ref.Value, errdef.ErrConflict),
				"remove that permission, or add the privileges to that role and leave --ops-grant-perms out; --dry-run lists them")
		}
	}
	if !slices.Contains(r.Grants, g) {
		r.Grants = append(r.Grants, g)
	}
	if err := r.writeMarker(ctx, f); err != nil {
		return err
	}
	if err := m.SetEntityPermissions(ctx, ref, []types.Permission{{Principal: g.Principal, RoleId: role, Propagate: p.Propagates()}}); err != nil {
		return fmt.Errorf("give %s the role %q on %s %s: %w", user, roleName(p), ref.Type, ref.Value, session.Classify(err))
	}
	return nil
}

// grantNew gives the operations user, if create gave it its privileges, those on what is new.
func (e *Editor) grantNew(ctx context.Context, ch Change) error {
	if len(e.ep.Grants) == 0 {
		return nil
	}
	places := map[privileges.Place][]types.ManagedObjectReference{}
	for _, s := range ch.VolumeStores {
		if s.Share == "" {
			places[privileges.Datastore] = append(places[privileges.Datastore], s.Files.Datastore.Reference())
		}
	}
	for _, n := range ch.Settings.ContainerNetworks {
		places[privileges.Network] = append(places[privileges.Network], types.ManagedObjectReference{Type: n.Kind, Value: n.Portgroup})
	}
	m := object.NewAuthorizationManager(e.sess.Client)
	for p, refs := range places {
		role, err := ensureRole(ctx, m, p)
		if err != nil {
			return err
		}
		for _, ref := range refs {
			if err := grantOn(ctx, m, e.files, e.ep.Record, e.ep.login.User, p, ref, role); err != nil {
				return err
			}
		}
	}
	return nil
}

// grants takes back what create granted, unless another VCH has it too; roles that nobody uses any
// more go as well.
func (r *remover) grants(ctx context.Context, record *Record) {
	if len(record.Grants) == 0 {
		return
	}
	all, err := endpoints(ctx, r.sess)
	if err != nil {
		r.keep(err)
		return
	}
	m := object.NewAuthorizationManager(r.sess.Client)
	for _, g := range record.Grants {
		if slices.ContainsFunc(all, func(e endpoint) bool { return e.Record.ID != record.ID && slices.Contains(e.Record.Grants, g) }) {
			continue
		}
		if err := m.RemoveEntityPermission(ctx, g.ref(), g.Principal, false); err != nil && !gone(err) {
			r.keep(fmt.Errorf("take the permission of %s on %s back: %w", g.Principal, g.Object, session.Classify(err)))
		}
	}
	r.roles(ctx, m, record)
}

// gone says that a permission, its object or its user is not there (any more).
func gone(err error) bool {
	return fault.Is(err, &types.NotFound{}) || fault.Is(err, &types.ManagedObjectNotFound{}) || fault.Is(err, &types.UserNotFound{})
}

func (r *remover) roles(ctx context.Context, m *object.AuthorizationManager, record *Record) {
	roles, err := m.RoleList(ctx)
	if err != nil {
		r.keep(fmt.Errorf("list roles: %w", session.Classify(err)))
		return
	}
	done := map[string]bool{}
	for _, g := range record.Grants {
		role := roles.ByName(g.Role)
		if role == nil || done[g.Role] {
			continue
		}
		done[g.Role] = true
		used, err := m.RetrieveRolePermissions(ctx, role.RoleId)
		if err != nil || len(used) > 0 {
			continue // another VCH's, or not ours to see
		}
		if err := m.RemoveRole(ctx, role.RoleId, true); err != nil && !fault.Is(err, &types.ResourceInUse{}) {
			r.keep(fmt.Errorf("remove the role %q: %w", g.Role, session.Classify(err)))
		}
	}
}
