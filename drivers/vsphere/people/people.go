// Package people is the auth component of the vSphere driver: it knows those who may see the VCH, by
// vCenter's word.
//
// All identity sources of the vCenter are one domain here, because the driver cannot list them: an ID is
// "vcenter/" and the user's name as vCenter has it, in lower case. Of groups there is one, Administrators.
package people

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/object"
	vimsession "github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

const (
	// Domain is that of all IDs.
	Domain = "vcenter"
	// Administrators is the group of those who have AdminPrivilege on the endpoint VM.
	Administrators = Domain + "/vch-administrators"
	// AdminPrivilege is what makes a vSphere user an administrator of a VCH: the right to change the
	// advanced settings of its endpoint VM, in which the VCH's configuration is. Who has it can become
	// anything in the VCH anyway.
	AdminPrivilege = "VirtualMachine.Config.AdvancedConfig"
	// seePrivilege is what everybody has who may see the endpoint VM at all.
	seePrivilege = "System.Read"

	refresh = 10 * time.Minute
)

// People knows the people of one VCH.
type People struct {
	auth.Unsupported
	session *session.Session
	cfg     *config.Config
}

var _ auth.Driver = (*People)(nil)

// New uses the driver's session, except for Password, which makes its own.
func New(s *session.Session, cfg *config.Config) *People { return &People{session: s, cfg: cfg} }

// Describe names the domain and the group that administers.
func (p *People) Describe(context.Context) (auth.Description, error) {
	return auth.Description{Title: "vCenter", Domains: []string{Domain}, Administrators: []string{Administrators}, Refresh: refresh}, nil
}

// Password logs in to vCenter as the user, in a session that ends at once.
func (p *People) Password(ctx context.Context, req auth.PasswordRequest) (auth.Identity, error) {
	i, err := p.logIn(ctx, req)
	if errors.Is(err, errdef.ErrDenied) { // one text, whatever the reason
		return auth.Identity{}, fmt.Errorf("vCenter refuses the user or the password, or the user may not see the VCH: %w", errdef.ErrDenied)
	}
	return i, err
}

func (p *People) logIn(ctx context.Context, req auth.PasswordRequest) (auth.Identity, error) {
	if req.Name == "" || req.Password == "" { // some directories take an empty password for an anonymous bind
		return auth.Identity{}, errdef.ErrDenied
	}
	c, err := session.Connect(ctx, p.cfg.VCenter)
	if err != nil {
		return auth.Identity{}, err
	}
	client := &govmomi.Client{Client: c, SessionManager: vimsession.NewManager(c)}
	defer c.CloseIdleConnections()
	if err := client.Login(ctx, url.UserPassword(req.Name, string(req.Password))); err != nil {
		return auth.Identity{}, session.Error("log in", err)
	}
	defer func() { _ = client.Logout(context.WithoutCancel(ctx)) }()
	us, err := client.SessionManager.UserSession(ctx)
	if err != nil {
		return auth.Identity{}, session.Error("read the session", err)
	}
	if us == nil {
		return auth.Identity{}, errdef.ErrDenied
	}
	return p.identity(ctx, c, known{User: us.UserName, FullName: us.FullName})
}

// known is what a session must carry: vCenter answers for a name, and tells the full name at the log-in.
type known struct{ User, FullName string }

// identity asks vCenter with c what a user may do.
func (p *People) identity(ctx context.Context, c *vim25.Client, k known) (auth.Identity, error) {
	if len(k.FullName) > auth.MaxName {
		k.FullName = ""
	}
	carried, err := json.Marshal(k)
	if err != nil {
		return auth.Identity{}, err
	}
	granted, err := p.privileges(ctx, c, k.User)
	if err != nil {
		return auth.Identity{}, err
	}
	if !granted[seePrivilege] && !granted[AdminPrivilege] {
		return auth.Identity{}, fmt.Errorf("%s may not see the VCH: %w", k.User, errdef.ErrDenied)
	}
	name := canonical(k.User)
	i := auth.Identity{Principal: auth.Principal{ID: auth.ID(Domain, name), Kind: auth.User, Name: name, FullName: k.FullName}, Session: secret.Text(carried)}
	if granted[AdminPrivilege] {
		i.Groups = []string{Administrators}
	}
	return i, nil
}

// Verify asks with the driver's own session what a user may do now.
func (p *People) Verify(ctx context.Context, req auth.VerifyRequest) (auth.Identity, error) {
	if err := ctx.Err(); err != nil {
		return auth.Identity{}, err
	}
	var k known
	if err := json.Unmarshal([]byte(req.Session), &k); err != nil || auth.ID(Domain, canonical(k.User)) != req.ID {
		return auth.Identity{}, fmt.Errorf("the session is not that of %s: %w", req.ID, errdef.ErrDenied)
	}
	return p.identity(ctx, p.session.Client(), k)
}

// privileges says which of the two a user has on the endpoint VM.
func (p *People) privileges(ctx context.Context, c *vim25.Client, user string) (map[string]bool, error) {
	vm := types.ManagedObjectReference{Type: "VirtualMachine", Value: p.cfg.VCH.EndpointVM}
	res, err := object.NewAuthorizationManager(c).HasUserPrivilegeOnEntities(ctx, []types.ManagedObjectReference{vm}, user, []string{seePrivilege, AdminPrivilege})
	if err != nil {
		return nil, session.Error("ask for the user's privileges", err)
	}
	granted := map[string]bool{}
	for _, e := range res {
		for _, a := range e.PrivAvailability {
			granted[a.PrivId] = a.IsGranted
		}
	}
	return granted, nil
}

// canonical is one form of the names that vCenter writes as DOMAIN\user or user@DOMAIN.
func canonical(user string) string {
	if domain, name, ok := strings.Cut(user, `\`); ok {
		user = name + "@" + domain
	}
	return strings.ToLower(user)
}
