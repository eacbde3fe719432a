package api

import (
	"errors"
	"net/http"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/token"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

func userRoutes() []route {
	return []route{
		{method: "GET", path: "/users/current", id: "getCurrentUserInfo", signed: true, run: (*api).currentUser,
			says: "Tell who the caller is", gives: user{}},
		{method: "GET", path: "/users/search", id: "searchUsers", needs: role.UserSearch, run: (*api).searchUsers,
			says: "Search users in the identity sources", query: []string{"username"}, gives: []user{}},
		{method: "GET", path: "/users", id: "listUsers", needs: role.CloudAdminManage, run: (*api).listUsers,
			says: "List the users that the hub has seen", cols: people.Columns, gives: []user{}},
		{method: "GET", path: "/users/{user}", id: "getUser", needs: role.CloudAdminManage, run: (*api).getUser,
			says: "Get a user", gives: user{}},
		{method: "POST", path: "/users", id: "createUser", needs: role.CloudAdminManage, run: (*api).createUser,
			says: "Make a user of the hub's own", takes: userRequest{}},
		{method: "DELETE", path: "/users/{user}", id: "deleteUser", needs: role.CloudAdminManage, run: (*api).deleteUser,
			says: "Delete a user of the hub's own"},
		{method: "PUT", path: "/users/{user}", id: "updateUserProfile", signed: true, run: (*api).setProfile,
			says: "Change a user's full name and address: one's own, or as a cloud administrator those of anybody", takes: profileRequest{}},
		{method: "PUT", path: "/users/{user}/password", id: "updateUserPassword", signed: true, run: (*api).setPassword,
			says: "Change a password: one's own, or as a cloud administrator that of anybody", takes: passwordRequest{}},
		{method: "PUT", path: "/users/{user}/sysadmin", id: "setUserSysAdmin", needs: role.CloudAdminManage, run: (*api).setSysAdmin,
			says: "Make a user cloud administrator, or take the role away", takes: sysAdminRequest{}},
		{method: "GET", path: "/usergroups/search", id: "searchUserGroups", needs: role.UserSearch, run: (*api).searchGroups,
			says: "Search groups in the identity sources", query: []string{"groupname"}, gives: []groupForm{}},
	}
}

// user is Harbor's form of one; Principal is ours.
type user struct {
	ID        int64  `json:"user_id"`
	Name      string `json:"username"`
	RealName  string `json:"realname"`
	Email     string `json:"email"`
	SysAdmin  bool   `json:"sysadmin_flag"`
	Principal string `json:"principal"`
	Source    string `json:"source,omitempty"`
	Disabled  bool   `json:"disabled,omitempty"`
	// OIDC is there for the caller who signs in by a browser.
	OIDC *oidcForm `json:"oidc_user_meta,omitempty"`
}

func (a *api) user(c *call, p people.Person) (user, error) {
	r, err := a.People.Role(c.r.Context(), p.ID, 0)
	return user{ID: p.Number, Name: p.Name, RealName: p.FullName, Email: p.Email, SysAdmin: r == role.CloudAdmin, Principal: p.ID, Source: p.Source,
		Disabled: p.Disabled}, err
}

func (a *api) currentUser(c *call) error {
	if c.who.Kind == token.Robot {
		return c.answer(http.StatusOK, user{Name: c.who.Name})
	}
	p, err := a.People.Get(c.r.Context(), c.who.ID)
	if err != nil {
		return err
	}
	u, err := a.user(c, p)
	if err != nil {
		return err
	}
	if u.OIDC, err = a.secretOf(c, p); err != nil {
		return err
	}
	return c.answer(http.StatusOK, u)
}

func (a *api) listUsers(c *call) error {
	s, err := c.selection(people.Columns, "num")
	if err != nil {
		return err
	}
	list, total, err := a.People.SelectUsers(c.r.Context(), s.size, s.offset(), s.condition, s.order, s.args...)
	if err != nil {
		return err
	}
	out := make([]user, len(list))
	for i, x := range list {
		if out[i], err = a.user(c, x); err != nil {
			return err
		}
	}
	return c.list(s.page, total, out)
}

func (a *api) getUser(c *call) error {
	n, err := c.number("user")
	if err != nil {
		return err
	}
	p, err := a.People.ByNumber(c.r.Context(), n)
	if err != nil {
		return err
	}
	u, err := a.user(c, p)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, u)
}

// found asks the identity sources.
func (a *api) found(c *call, parameter string, kind auth.Kind) ([]auth.Principal, page, error) {
	p, err := c.page()
	if err != nil {
		return nil, p, err
	}
	text := c.r.URL.Query().Get(parameter)
	if text == "" || len(text) > auth.MaxName {
		return nil, p, badRequest("%s: give a part of a name", parameter)
	}
	list, err := a.Identities.Search(c.r.Context(), text, kind, min(p.offset()+p.size, auth.MaxLimit))
	if err != nil {
		return nil, p, err
	}
	return list[min(p.offset(), len(list)):], p, nil
}

func (a *api) searchUsers(c *call) error {
	list, p, err := a.found(c, "username", auth.User)
	if err != nil {
		return err
	}
	out := []user{}
	for _, x := range list {
		seen, err := a.People.Get(c.r.Context(), x.ID)
		if err != nil {
			return err
		}
		out = append(out, user{ID: seen.Number, Name: x.Name, RealName: x.FullName, Principal: x.ID})
	}
	return c.list(p, p.offset()+len(out), out)
}

// providerGroup is Harbor's number for a group of an identity provider.
const providerGroup = 3

// groupForm is Harbor's form of a group; Principal is ours.
type groupForm struct {
	ID        int64  `json:"id"`
	Name      string `json:"group_name"`
	Type      int    `json:"group_type"`
	Principal string `json:"principal"`
}

func (a *api) searchGroups(c *call) error {
	list, p, err := a.found(c, "groupname", auth.Group)
	if err != nil {
		return err
	}
	out := []groupForm{}
	for _, x := range list {
		seen, err := a.People.Get(c.r.Context(), x.ID)
		if err != nil {
			return err
		}
		out = append(out, groupForm{seen.Number, x.Name, providerGroup, x.ID})
	}
	return c.list(p, p.offset()+len(out), out)
}

type userRequest struct {
	Name     string `json:"username"`
	Password string `json:"password"`
	RealName string `json:"realname"`
	Email    string `json:"email"`
}

// createUser makes a user of the hub's own.
func (a *api) createUser(c *call) error {
	var q userRequest
	if err := c.body(&q); err != nil {
		return err
	}
	if q.Name == "" || q.Password == "" {
		return badRequest("username and password: give both")
	}
	p, err := a.Identities.Create(c.r.Context(), auth.Principal{Name: q.Name, FullName: q.RealName, Email: q.Email}, secret.Text(q.Password))
	if err != nil {
		return err
	}
	return c.created("/users/%d", p.Number)
}

func (a *api) deleteUser(c *call) error {
	n, err := c.number("user")
	if err != nil {
		return err
	}
	p, err := a.People.ByNumber(c.r.Context(), n)
	if err != nil {
		return err
	}
	if p.ID == c.who.ID {
		return &Error{http.StatusForbidden, "FORBIDDEN", "nobody deletes their own account"}
	}
	if err := a.Identities.Delete(c.r.Context(), p.ID); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

type sysAdminRequest struct {
	Flag bool `json:"sysadmin_flag"`
}

// setSysAdmin gives and takes the role of cloud administrator as Harbor's clients do it. What is so already stays so.
func (a *api) setSysAdmin(c *call) error {
	n, err := c.number("user")
	if err != nil {
		return err
	}
	var q sysAdminRequest
	if err := c.body(&q); err != nil {
		return err
	}
	p, err := a.People.ByNumber(c.r.Context(), n)
	if err != nil {
		return err
	}
	if q.Flag {
		_, err = a.People.AddCloudAdmin(c.r.Context(), p.Principal)
	} else {
		err = a.People.RemoveCloudAdmin(c.r.Context(), p.ID)
	}
	if err != nil && (!q.Flag || !errors.Is(err, errdef.ErrExists)) && (q.Flag || !errors.Is(err, errdef.ErrNotFound)) {
		return err
	}
	return c.empty(http.StatusOK)
}

type passwordRequest struct {
	Old string `json:"old_password"`
	New string `json:"new_password"`
}

// setPassword changes the caller's own password, who tells the old one again, or, by a cloud administrator, anybody's.
func (a *api) setPassword(c *call) error {
	n, err := c.number("user")
	if err != nil {
		return err
	}
	var q passwordRequest
	if err := c.body(&q); err != nil {
		return err
	}
	p, own, err := a.changeable(c, n, "the password")
	if err != nil {
		return err
	}
	if own {
		if _, err := a.Authority.SignIn(c.r.Context(), p.Name, secret.Text(q.Old), access.Address(c.r)); err != nil {
			return &Error{http.StatusForbidden, "FORBIDDEN", "old_password is wrong"}
		}
	}
	if q.New == "" {
		return badRequest("new_password: give one")
	}
	if err := a.Identities.SetPassword(c.r.Context(), p.ID, secret.Text(q.New)); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

// changeable finds a user whom the caller may change: themselves, or as a cloud administrator anybody. Others do not learn
// which numbers are taken.
func (a *api) changeable(c *call, number int64, what string) (p people.Person, own bool, err error) {
	p, err = a.People.ByNumber(c.r.Context(), number)
	if err != nil && !errors.Is(err, errdef.ErrNotFound) {
		return p, false, err
	}
	if p.ID != "" && p.ID == c.who.ID {
		return p, true, nil
	}
	answer, err := a.Authority.Everywhere(c.r.Context(), c.who, role.CloudAdminManage)
	switch {
	case err != nil:
		return p, false, err
	case answer != role.Allowed:
		return p, false, &Error{http.StatusForbidden, "FORBIDDEN", "only a cloud administrator changes " + what + " of others"}
	case p.ID == "":
		return p, false, notFound("user %d not found", number)
	}
	return p, false, nil
}

// profileRequest is what a client sends to change a user; what is left out stays.
type profileRequest struct {
	RealName *string `json:"realname"`
	Email    *string `json:"email"`
}

func (a *api) setProfile(c *call) error {
	n, err := c.number("user")
	if err != nil {
		return err
	}
	var q profileRequest
	if err := c.body(&q); err != nil {
		return err
	}
	p, _, err := a.changeable(c, n, "the profile")
	if err != nil {
		return err
	}
	if err := a.Identities.SetProfile(c.r.Context(), p.ID, q.RealName, q.Email); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}
