package precheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	vsession "github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/privileges"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	ops "github.com/openvic/vic/drivers/vsphere/privileges"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

const (
	checkAccountName = "account"
	checkOpsName     = "operations user"
)

// checkAccount asks for each privilege that the account needs to make the VCH.
func (c *checker) checkAccount(ctx context.Context) {
	user, err := vsession.NewManager(c.Session.Client()).UserSession(ctx)
	if err != nil || user == nil {
		c.warn(checkAccountName, "make sure that it has the privileges that --dry-run lists", "its privileges could not be read: %v", err)
		return
	}
	r := c.out.Resources
	objects := map[privileges.Object][]types.ManagedObjectReference{privileges.Root: {c.Session.Client().ServiceContent.RootFolder}}
	if r.Folder != nil {
		objects[privileges.Folder] = []types.ManagedObjectReference{r.Folder.Reference()}
	}
	if r.Pool != nil {
		objects[privileges.Pool] = []types.ManagedObjectReference{r.Pool.Reference()}
	}
	if r.Cluster != "" {
		objects[privileges.Cluster] = []types.ManagedObjectReference{{Type: "ClusterComputeResource", Value: r.Cluster}}
	}
	if r.Files.Datastore != nil {
		objects[privileges.Datastore] = []types.ManagedObjectReference{r.Files.Datastore.Reference()}
	}
	for _, n := range []object.NetworkReference{r.Bridge, r.Public, r.Client, r.Management} {
		if n != nil {
			objects[privileges.Network] = append(objects[privileges.Network], n.Reference())
		}
	}
	var missing []string
	for _, n := range privileges.Create(!c.Session.IsVC(), c.Spec.GrantOps, c.Spec.AffinityVMGroup) {
		if n.ID == "Global.Licenses" {
			continue // its check says so
		}
		lack, err := c.lacking(ctx, user.UserName, objects[n.On], []string{n.ID})
		if err != nil {
			c.warn(checkAccountName, "make sure that it has the privileges that --dry-run lists", "its privileges could not be read: %v", err)
			return
		}
		if len(lack) > 0 {
			missing = append(missing, fmt.Sprintf("%s on the %s (for %s)", n.ID, n.On, n.Calls))
		}
	}
	c.judge(checkAccountName, user.UserName, missing)
}

// judge reports the privileges that an account lacks, each by itself.
func (c *checker) judge(check, user string, missing []string) {
	if len(missing) == 0 {
		c.ok(check, "%s has all privileges that it needs", user)
	}
	remedy := "give it that privilege, by a role on that object"
	if check == checkOpsName {
		remedy += ", or let --ops-grant-perms give it all"
	}
	for _, m := range missing {
		c.wrong(check, remedy, "%s lacks the privilege %s", user, m)
	}
}

// lacking lists those privileges that a user has not on one of the objects.
func (c *checker) lacking(ctx context.Context, user string, objects []types.ManagedObjectReference, ids []string) ([]string, error) {
	if len(objects) == 0 || len(ids) == 0 {
		return nil, nil
	}
	answers, err := object.NewAuthorizationManager(c.Session.Client()).HasUserPrivilegeOnEntities(ctx, objects, user, ids)
	if err != nil {
		return nil, vsphere.Classify(err)
	}
	var out []string
	for _, a := range answers {
		for _, p := range a.PrivAvailability {
			if !p.IsGranted && !slices.Contains(out, p.PrivId) {
				out = append(out, p.PrivId)
			}
		}
	}
	return out, nil
}

// checkOpsLogin logs in as the operations user.
func (c *checker) checkOpsLogin(ctx context.Context) bool {
	t := c.Session.Target
	if c.Spec.GrantOps && strings.EqualFold(vch.Principal(t.User), vch.Principal(c.Spec.Ops.User)) {
		c.fail(checkOpsName, fmt.Errorf("%s runs vic-machine: the endpoint's roles would replace what it may do to the VCH, its datastores and networks: "+
			"%w", t.User, errdef.ErrConflict),
			"name an account of the endpoint's own with --ops-user, or leave --ops-grant-perms out")
		return false
	}
	t.User, t.Password = c.Spec.Ops.User, c.Spec.Ops.Password
	s, err := session.Connect(ctx, t)
	switch {
	case errors.Is(err, session.ErrNoAccess) && c.Spec.GrantOps:
		c.ok(checkOpsName, "%s has the right password, and will be given what it needs", t.User)
		return true
	case errors.Is(err, errdef.ErrDenied): // its own advice is about the account that runs vic-machine
		remedy := "check --ops-user (with its domain) and --ops-password"
		if errors.Is(err, session.ErrNoAccess) {
			remedy = "add --ops-grant-perms, which gives it what it needs, or give it a role yourself"
		}
		c.out.Report.add(checkOpsName, Error, remedy, "%v", err)
		return false
	case err != nil:
		c.fail(checkOpsName, err, "check --ops-user and --ops-password")
		return false
	}
	s.Close(ctx)
	if c.Spec.GrantOps {
		c.ok(checkOpsName, "%s can log in, and will be given what it needs", t.User)
	}
	return true
}

// checkOps logs in as the operations user and asks for each privilege that the endpoint will need.
func (c *checker) checkOps(ctx context.Context) {
	user := c.Spec.Ops.User
	if user == "" {
		c.warn(checkOpsName, "give the endpoint an account with fewer privileges by --ops-user and --ops-grant-perms",
			"the endpoint will keep the credentials of %s", c.Session.Target.User)
		return
	}
	if !c.checkOpsLogin(ctx) || c.Spec.GrantOps {
		return
	}
	r := c.out.Resources
	if r.Bridge == nil || r.Files.Datastore == nil || r.Pool == nil {
		c.skip(checkOpsName, "image store, compute resource and bridge network")
		return
	}
	places, err := r.OpsObjects(ctx)
	if err != nil {
		c.fail(checkOpsName, err, "check the account's privileges on the networks")
		return
	}
	own := ops.VCH
	if !c.Session.IsVC() {
		own = ops.Pool
	}
	places[own] = []types.ManagedObjectReference{r.Pool.Reference()} // the VCH's own will inherit from it
	var missing []string
	all := ops.Places(!c.Session.IsVC())
	if c.Spec.AffinityVMGroup {
		all = append(all, ops.Cluster)
	}
	for _, p := range all {
		lack, err := c.lacking(ctx, vch.Principal(user), places[p], ops.Role(p))
		if err != nil {
			c.warn(checkOpsName, "make sure that it has the privileges that --dry-run lists", "its privileges could not be read: %v", err)
			return
		}
		for _, n := range ops.Needs(p) {
			if slices.Contains(lack, n.ID) {
				missing = append(missing, fmt.Sprintf("%s on the %s (to %s)", n.ID, strings.Replace(string(p), "vch", "compute resource", 1), n.For))
			}
		}
	}
	c.judge(checkOpsName, user, missing)
}
