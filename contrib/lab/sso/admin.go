package sso

import (
	"crypto/rand"
	"net/http"
	"time"

	"github.com/vmware/govmomi/ssoadmin/methods"
	"github.com/vmware/govmomi/ssoadmin/types"
	"github.com/vmware/govmomi/vim25/soap"
	vim "github.com/vmware/govmomi/vim25/types"
)

const (
	// sessionIdle is how long a session of the administration lives without a request.
	sessionIdle = 30 * time.Minute
	maxSessions = 1000
)

// session is one of the administration's.
type session struct {
	user     string
	solution bool
	seen     time.Time
}

// caller is who calls a method of the administration.
type caller struct {
	server *Server
	role   role
}

// role is what a caller may do.
type role int

const (
	nobody role = iota
	guest       // signed in, no more
	reader      // RegularUser
	admin       // Administrator
)

// roleOf is what a session's owner may do now.
func (s *Server) roleOf(o session) role {
	if o.solution {
		for _, u := range s.cfg.Directory.Solutions() {
			if key(u.Name) != key(o.user) {
				continue
			}
			switch u.Role {
			case types.RoleAdministrator:
				return admin
			case types.RoleRegularUser:
				return reader
			}
			return guest
		}
		return nobody
	}
	if _, ok := s.cfg.Directory.User(o.user); !ok {
		return nobody
	}
	for _, g := range s.cfg.Directory.Nested(o.user) {
		if g == Administrators {
			return admin
		}
	}
	return reader
}

// rule is a method with the role that it asks for.
type rule struct {
	needs role
	do    method
}

// serveAdmin is the administration and the check of groups.
func (s *Server) serveAdmin(w http.ResponseWriter, r *http.Request) {
	c := &caller{server: s}
	cookie, _ := r.Cookie(soap.SessionCookieName)
	if cookie != nil {
		c.role = s.session(cookie.Value)
	}
	serveSOAP(w, r, func(req *request, name string, element []byte) (any, *fault) {
		switch name {
		case "Login":
			return s.logIn(w, req)
		case "Logout":
			if cookie != nil {
				s.mu.Lock()
				delete(s.sessions, cookie.Value)
				s.mu.Unlock()
			}
			return &methods.LogoutBody{Res: &types.LogoutResponse{}}, nil
		}
		m, ok := adminMethods()[name]
		switch {
		case !ok:
			return nil, &fault{"NotSupported", "the lab's administration of Single Sign-On does not know " + name}
		case m.needs > nobody && c.role == nobody:
			return nil, &fault{"SsoFaultNotAuthenticated", "The session is not authenticated."}
		case m.needs > c.role:
			return nil, &fault{"SsoFaultNoPermission", "The caller lacks the role that " + name + " asks for."}
		}
		return m.do(c, element)
	})
}

// session takes a session's cookie, and says what its owner may do.
func (s *Server) session(cookie string) role {
	s.mu.Lock()
	o, ok := s.sessions[cookie]
	if ok && time.Since(o.seen) > sessionIdle {
		delete(s.sessions, cookie)
		ok = false
	}
	if ok {
		o.seen = time.Now()
		s.sessions[cookie] = o
	}
	s.mu.Unlock()
	if !ok {
		return nobody
	}
	return s.roleOf(o)
}

// logIn begins a session with the token in the request's header.
func (s *Server) logIn(w http.ResponseWriter, r *request) (any, *fault) {
	if r.header == nil || r.header.FindElement("Assertion") == nil {
		return nil, &fault{"SsoFaultInvalidCredentials", "a token is missing"}
	}
	who, err := s.authenticate(r)
	if err == nil {
		err = r.checkTime(s.now())
	}
	if err != nil {
		return nil, &fault{"SsoFaultInvalidCredentials", err.Error()}
	}
	cookie := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, o := range s.sessions {
		if time.Since(o.seen) > sessionIdle || len(s.sessions) >= maxSessions {
			delete(s.sessions, k)
		}
	}
	s.sessions[cookie] = session{user: who.Name, solution: who.Solution, seen: time.Now()}
	http.SetCookie(w, &http.Cookie{Name: soap.SessionCookieName, Value: cookie, Path: "/", Secure: true, HttpOnly: true})
	return &methods.LoginBody{Res: &types.LoginResponse{}}, nil
}

// EndSessions ends all sessions of the administration, as a restart of the service does.
func (s *Server) EndSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

// adminMethods are those that are served, with what they ask for.
func adminMethods() map[string]rule {
	return map[string]rule{
		"SsoAdminServiceInstance":        {nobody, does(serviceInstance)},
		"SsoGroupcheckServiceInstance":   {nobody, does(groupCheckInstance)},
		"FindPersonUser":                 {reader, does(findPersonUser)},
		"FindPersonUsers":                {reader, does(findPersonUsers)},
		"FindUser":                       {reader, does(findUser)},
		"FindSolutionUser":               {reader, does(findSolutionUser)},
		"FindSolutionUsers":              {reader, does(findSolutionUsers)},
		"FindGroup":                      {reader, does(findGroup)},
		"FindGroups":                     {reader, does(findGroups)},
		"FindPersonUsersInGroup":         {reader, does(findPersonUsersInGroup)},
		"FindUsersInGroup":               {reader, does(findUsersInGroup)},
		"FindGroupsInGroup":              {reader, does(findGroupsInGroup)},
		"FindDirectParentGroups":         {reader, does(findDirectParentGroups)},
		"FindNestedParentGroups":         {reader, does(findNestedParentGroups)},
		"FindAllParentGroups":            {reader, does(findAllParentGroups)},
		"GetTrustedCertificates":         {reader, does(getTrustedCertificates)},
		"GetDefaultDomains":              {reader, does(getDefaultDomains)},
		"CreateLocalPersonUser":          {admin, does(createPersonUser)},
		"ResetLocalPersonUserPassword":   {admin, does(resetPassword)},
		"CreateLocalGroup":               {admin, does(createGroup)},
		"AddUsersToLocalGroup":           {admin, does(addUsers)},
		"AddGroupsToLocalGroup":          {admin, does(addGroups)},
		"RemovePrincipalsFromLocalGroup": {admin, does(removeFromGroup)},
		"CreateLocalSolutionUser":        {admin, does(createSolutionUser)},
		"UpdateLocalSolutionUserDetails": {admin, does(updateSolutionUser)},
		"DeleteLocalPrincipal":           {admin, does(deletePrincipal)},
		"SetRole":                        {admin, does(setRole)},
		"GrantWSTrustRole":               {admin, does(grantTrust)},
		"RevokeWSTrustRole":              {admin, does(revokeTrust)},
	}
}

func serviceInstance(*caller, *types.SsoAdminServiceInstance) (any, *fault) {
	ref := func(kind, value string) vim.ManagedObjectReference {
		return vim.ManagedObjectReference{Type: kind, Value: value}
	}
	return &methods.SsoAdminServiceInstanceBody{Res: &types.SsoAdminServiceInstanceResponse{Returnval: types.AdminServiceContent{
		SessionManager:                  ref("SsoAdminSessionManager", "sessionManager"),
		ConfigurationManagementService:  ref("SsoAdminConfigurationManagementService", "configurationManagementService"),
		SmtpManagementService:           ref("SsoAdminSmtpManagementService", "smtpManagementService"),
		PrincipalDiscoveryService:       ref("SsoAdminPrincipalDiscoveryService", "principalDiscoveryService"),
		PrincipalManagementService:      ref("SsoAdminPrincipalManagementService", "principalManagementService"),
		RoleManagementService:           ref("SsoAdminRoleManagementService", "roleManagementService"),
		PasswordPolicyService:           ref("SsoAdminPasswordPolicyService", "passwordPolicyService"),
		LockoutPolicyService:            ref("SsoAdminLockoutPolicyService", "lockoutPolicyService"),
		DomainManagementService:         ref("SsoAdminDomainManagementService", "domainManagementService"),
		IdentitySourceManagementService: ref("SsoAdminIdentitySourceManagementService", "identitySourceManagementService"),
		SystemManagementService:         ref("SsoAdminSystemManagementService", "systemManagementService"),
		DeploymentInformationService:    ref("SsoAdminDeploymentInformationService", "deploymentInformationService"),
		ReplicationService:              ref("SsoAdminReplicationService", "replicationService"),
	}}}, nil
}

func groupCheckInstance(*caller, *types.SsoGroupcheckServiceInstance) (any, *fault) {
	return &methods.SsoGroupcheckServiceInstanceBody{Res: &types.SsoGroupcheckServiceInstanceResponse{Returnval: types.GroupcheckServiceContent{
		SessionManager:    vim.ManagedObjectReference{Type: "SsoSessionManager", Value: "sessionManager"},
		GroupCheckService: vim.ManagedObjectReference{Type: "SsoGroupcheckGroupCheckService", Value: "groupCheckService"},
	}}}, nil
}
