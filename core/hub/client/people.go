package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
)

// User is somebody who signs in. A user of an identity source has a number from the first sign-in or role on.
type User struct {
	ID        int64  `json:"user_id"`
	Name      string `json:"username"`
	RealName  string `json:"realname"`
	Email     string `json:"email"`
	SysAdmin  bool   `json:"sysadmin_flag"` // a cloud administrator
	Principal string `json:"principal"`     // DOMAIN/NAME
	Source    string `json:"source,omitempty"`
	Disabled  bool   `json:"disabled,omitempty"`
}

// Current is the caller.
func (c *Client) Current(ctx context.Context) (u User, err error) {
	_, err = c.call(ctx, http.MethodGet, "/users/current", nil, nil, &u)
	return u, err
}

// Users are all whom the hub has seen.
func (c *Client) Users(ctx context.Context) iter.Seq2[User, error] {
	return pages[User](ctx, c, "/users", nil)
}

// SearchUsers asks the identity sources for users by a part of their names.
func (c *Client) SearchUsers(ctx context.Context, part string) iter.Seq2[User, error] {
	return pages[User](ctx, c, "/users/search", url.Values{"username": {part}})
}

// NewUser is a user of the hub's own.
type NewUser struct {
	Name     string `json:"username"`
	Password string `json:"password"`
	RealName string `json:"realname"`
	Email    string `json:"email"`
}

// CreateUser makes one and tells its number.
func (c *Client) CreateUser(ctx context.Context, u NewUser) (int64, error) {
	h, err := c.call(ctx, http.MethodPost, "/users", nil, u, nil)
	if err != nil {
		return 0, err
	}
	return made(h)
}

// DeleteUser removes a user of the hub's own.
func (c *Client) DeleteUser(ctx context.Context, id int64) error {
	_, err := c.call(ctx, http.MethodDelete, fmt.Sprintf("/users/%d", id), nil, nil, nil)
	return err
}

// SetPassword changes a password. Who changes their own gives the old one.
func (c *Client) SetPassword(ctx context.Context, id int64, old, password string) error {
	_, err := c.call(ctx, http.MethodPut, fmt.Sprintf("/users/%d/password", id), nil, map[string]string{"old_password": old, "new_password": password}, nil)
	return err
}

// Member is somebody's role, in a project or in the whole hub.
type Member struct {
	ID         int64  `json:"id"`
	ProjectID  int64  `json:"project_id"`
	EntityID   int64  `json:"entity_id"`
	EntityName string `json:"entity_name"`
	EntityType string `json:"entity_type"` // "u": a user, "g": a group
	RoleID     int    `json:"role_id,omitempty"`
	RoleName   string `json:"role_name"`
	Principal  string `json:"principal"`
}

func members(project string) string { return "/projects/" + url.PathEscape(project) + "/members" }

// Members are those of a project.
func (c *Client) Members(ctx context.Context, project string) iter.Seq2[Member, error] {
	return pages[Member](ctx, c, members(project), nil)
}

// AddMember gives a user or group, by ID or name, a role in a project, and tells the member's number.
func (c *Client) AddMember(ctx context.Context, project, principal string, role int) (int64, error) {
	h, err := c.call(ctx, http.MethodPost, members(project), nil, map[string]any{"role_id": role, "principal": principal}, nil)
	if err != nil {
		return 0, err
	}
	return made(h)
}

// ChangeMember changes a member's role.
func (c *Client) ChangeMember(ctx context.Context, project string, id int64, role int) error {
	_, err := c.call(ctx, http.MethodPut, fmt.Sprintf("%s/%d", members(project), id), nil, map[string]int{"role_id": role}, nil)
	return err
}

// RemoveMember takes a member's role away.
func (c *Client) RemoveMember(ctx context.Context, project string, id int64) error {
	_, err := c.call(ctx, http.MethodDelete, fmt.Sprintf("%s/%d", members(project), id), nil, nil, nil)
	return err
}

// CloudAdmins are the users and groups that administer the hub.
func (c *Client) CloudAdmins(ctx context.Context) (list []Member, err error) {
	_, err = c.call(ctx, http.MethodGet, "/cloud-admins", nil, nil, &list)
	return list, err
}

// AddCloudAdmin makes a user or group, by ID or name, one of them.
func (c *Client) AddCloudAdmin(ctx context.Context, principal string) error {
	_, err := c.call(ctx, http.MethodPost, "/cloud-admins", nil, map[string]string{"principal": principal}, nil)
	return err
}

// RemoveCloudAdmin takes that away, by ID (DOMAIN/NAME).
func (c *Client) RemoveCloudAdmin(ctx context.Context, id string) error {
	_, err := c.call(ctx, http.MethodDelete, "/cloud-admins/"+(&url.URL{Path: id}).EscapedPath(), nil, nil, nil)
	return err
}
