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

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/privileges"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
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
	if r.Cluster != "" {
		add(privileges.Cluster, types.ManagedObjectReference{Type: kindCluster, Value: r.Cluster})
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
		if err := property.DefaultCollector(r.Session.Client()).RetrieveOne(ctx, n, []string{"config.distributedVirtualSwitch"}, &pg); err != nil {
			return nil, fmt.Errorf("read the port group %s: %w", n.Value, vsphere.Classify(err))
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
	if err := c.Res.grant(ctx, &c.Record, c.Spec.Ops.User); err != nil {
		return err
	}
	c.log.Printf("gave %s its privileges on %d objects", c.Spec.Ops.User, len(c.Record.Grants))
	return nil
}

// grant makes the roles and permissions of a VCH whose vApp or pool is there, or mends them.
func (r Resources) grant(ctx context.Context, record *Record, user string) error {
	places, err := r.OpsObjects(ctx)
	if err != nil {
		return err
	}
	own := privileges.VCH
	if record.PoolType == config.PoolResourcePool {
		own = privileges.Pool
	}
	if pool, ok := record.poolRef(); ok {
		places[own] = []types.ManagedObjectReference{pool}
	}
	m := object.NewAuthorizationManager(r.Session.Client())
	if record.Cluster == "" {
		delete(places, privileges.Cluster)
	}
	for _, p := range append(privileges.Places(record.PoolType == config.PoolResourcePool), privileges.Cluster) {
		if len(places[p]) == 0 {
			continue
		}
		role, err := ensureRole(ctx, m, p)
		if err != nil {
			return err
		}
		for _, ref := range places[p] {
			if err := grantOn(ctx, m, r.Files, record, user, p, ref, role); err != nil {
				return err
			}
		}
	}
	return nil
}

// ensureRole makes the role of a place, or gives it what it lacks.
func ensureRole(ctx context.Context, m *object.AuthorizationManager, p privileges.Place) (int32, error) {
	roles, err := m.RoleList(ctx)
	if err != nil {
		return 0, fmt.Errorf("list roles: %w", vsphere.Classify(err))
	}
	have := roles.ByName(roleName(p))
	if have == nil {
		if _, err := m.AddRole(ctx, roleName(p), privileges.Role(p)); err != nil {
			return 0, fmt.Errorf("make the role %q: %w", roleName(p), vsphere.Classify(err))
		}
		if roles, err = m.RoleList(ctx); err != nil {
			return 0, fmt.Errorf("list roles: %w", vsphere.Classify(err))
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
		return 0, fmt.Errorf("change the role %q: %w", roleName(p), vsphere.Classify(err))
	}
	return have.RoleId, nil
}

// grantOn gives a role on one object, and remembers it first, so that a delete finds it. vSphere lets an
// account have one role on an object: another one is somebody's decision and stays.
func grantOn(ctx context.Context, m *object.AuthorizationManager, f session.Files, r *Record, user string, p privileges.Place,
	ref types.ManagedObjectReference, role int32) error {
	g := Grant{Type: ref.Type, Object: ref.Value, Principal: Principal(user), Role: roleName(p)}
	there, err := m.RetrieveEntityPermissions(ctx, ref, false)
	if err != nil {
		return fmt.Errorf("read the permissions on %s %s: %w", ref.Type, ref.Value, vsphere.Classify(err))
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
		return fmt.Errorf("give %s the role %q on %s %s: %w", user, roleName(p), ref.Type, ref.Value, vsphere.Classify(err))
	}
	return nil
}

// grant gives the operations user what it needs on all that the VCH has now.
func (e *Editor) grant(ctx context.Context, user string) error {
	res, err := e.resources(ctx)
	if err != nil {
		return err
	}
	if err := res.grant(ctx, e.ep.Record, user); err != nil {
		return err
	}
	e.log.Printf("%s has its privileges on %d objects", user, len(e.ep.Grants))
	return nil
}

// resources are those of the record on which an operations user needs privileges.
func (e *Editor) resources(ctx context.Context) (Resources, error) {
	r, c := e.ep.Record, e.sess.Client()
	res := Resources{Session: e.sess, Datacenter: e.files.Datacenter, Files: e.files, Containers: r.Settings.ContainerNetworks, Cluster: r.Cluster}
	res.Folder = object.NewFolder(c, types.ManagedObjectReference{Type: "Folder", Value: r.VMFolder})
	var ok bool
	if res.Bridge, ok = object.NewReference(c, r.BridgeRef()).(object.NetworkReference); !ok {
		return res, fmt.Errorf("the bridge network %s is no network: %w", r.BridgeName, errdef.ErrInternal)
	}
	for label, at := range r.VolumeStores {
		var p object.DatastorePath
		if !p.FromString(at) {
			res.VolumeStores = append(res.VolumeStores, VolumeStore{Label: label, Share: at})
			continue
		}
		f, err := filesByName(ctx, e.sess, r.Datacenter, p.Datastore)
		if err != nil {
			return res, fmt.Errorf("volume store %s: %w", label, err)
		}
		res.VolumeStores = append(res.VolumeStores, VolumeStore{Label: label, Files: f, Path: p.Path})
	}
	return res, nil
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
	m := object.NewAuthorizationManager(r.sess.Client())
	for _, g := range record.Grants {
		if slices.ContainsFunc(all, func(e endpoint) bool { return e.Record.ID != record.ID && slices.Contains(e.Record.Grants, g) }) {
			continue
		}
		if err := m.RemoveEntityPermission(ctx, g.ref(), g.Principal, false); err != nil && !alreadyGone(err) {
			r.keep(fmt.Errorf("take the permission of %s on %s back: %w", g.Principal, g.Object, vsphere.Classify(err)))
		}
	}
	r.roles(ctx, m, record)
}

// alreadyGone says that a permission, its object or its user is not there (any more).
func alreadyGone(err error) bool {
	return fault.Is(err, &types.NotFound{}) || fault.Is(err, &types.ManagedObjectNotFound{}) || fault.Is(err, &types.UserNotFound{})
}

func (r *remover) roles(ctx context.Context, m *object.AuthorizationManager, record *Record) {
	roles, err := m.RoleList(ctx)
	if err != nil {
		r.keep(fmt.Errorf("list roles: %w", vsphere.Classify(err)))
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
			r.keep(fmt.Errorf("remove the role %q: %w", g.Role, vsphere.Classify(err)))
		}
	}
}
