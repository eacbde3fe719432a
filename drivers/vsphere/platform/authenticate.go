// Package platform answers administrators about vCenter: who may administer this VCH, how its
// datastores are, what happened to its VMs.
package platform

import (
	"context"
	"fmt"
	"net/url"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/object"
	vimsession "github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

// AdminPrivilege is what makes a vSphere user an administrator of a VCH: the right to change the
// advanced settings of its endpoint VM, in which the VCH's configuration is. Who has it can become
// anything in the VCH anyway.
const AdminPrivilege = "VirtualMachine.Config.AdvancedConfig"

// Platform answers for one VCH.
type Platform struct {
	session *session.Session
	cfg     *config.Config
}

// New uses the driver's session, except for Authenticate, which makes its own.
func New(s *session.Session, cfg *config.Config) *Platform { return &Platform{session: s, cfg: cfg} }

// Authenticate logs in to vCenter as the user, in a session that ends at once, and looks whether they
// have AdminPrivilege on the endpoint VM.
func (p *Platform) Authenticate(ctx context.Context, user, password string) error {
	if user == "" || password == "" { // some directories take an empty password for an anonymous bind
		return fmt.Errorf("user and password are needed: %w", errdef.ErrDenied)
	}
	c, err := session.Connect(ctx, p.cfg.VCenter)
	if err != nil {
		return err
	}
	client := &govmomi.Client{Client: c, SessionManager: vimsession.NewManager(c)}
	defer c.CloseIdleConnections()
	if err := client.Login(ctx, url.UserPassword(user, password)); err != nil {
		return session.Error("log in", err)
	}
	defer func() { _ = client.Logout(context.WithoutCancel(ctx)) }()
	us, err := client.SessionManager.UserSession(ctx)
	if err != nil {
		return session.Error("read the session", err)
	}
	if us == nil {
		return fmt.Errorf("log in: vCenter made no session: %w", errdef.ErrDenied)
	}
	return p.mayAdminister(ctx, c, us.UserName)
}

func (p *Platform) mayAdminister(ctx context.Context, c *vim25.Client, user string) error {
	vm := types.ManagedObjectReference{Type: "VirtualMachine", Value: p.cfg.VCH.EndpointVM}
	res, err := object.NewAuthorizationManager(c).HasUserPrivilegeOnEntities(ctx, []types.ManagedObjectReference{vm}, user, []string{AdminPrivilege})
	if err != nil {
		return session.Error("ask for the user's privileges", err)
	}
	for _, e := range res {
		for _, a := range e.PrivAvailability {
			if a.PrivId == AdminPrivilege && a.IsGranted {
				return nil
			}
		}
	}
	return fmt.Errorf("%s lacks %s on the endpoint VM: %w", user, AdminPrivilege, errdef.ErrDenied)
}
