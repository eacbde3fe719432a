package lab

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/openvic/vic/contrib/lab/sso"
)

// NewUser is a user who is to be made.
type NewUser struct {
	sso.User
	Password string `json:"password"`
}

// Members are users and groups who join or leave a group.
type Members struct {
	Group   string   `json:"group"`
	Members []string `json:"members"`
	Leave   bool     `json:"leave,omitempty"`
}

// take is a handler that reads a T and does something with it and the directory.
func take[T any](l *Lab, f func(d *sso.Directory, r *http.Request, v T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var v T
		d, err := l.vc.Directory()
		if err == nil && r.Method != http.MethodDelete {
			err = json.NewDecoder(r.Body).Decode(&v)
		}
		if err == nil {
			err = f(d, r, v)
		}
		reply(w, struct{}{}, err)
	}
}

// give is a handler that shows what a function of the directory returns.
func give[T any](l *Lab, f func(d *sso.Directory) T) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		d, err := l.vc.Directory()
		if err != nil {
			reply(w, nil, err)
			return
		}
		reply(w, f(d), nil)
	}
}

func (l *Lab) userRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /users", give(l, (*sso.Directory).Users))
	mux.HandleFunc("POST /users", take(l, func(d *sso.Directory, _ *http.Request, u NewUser) error { return d.AddUser(u.User, u.Password) }))
	mux.HandleFunc("PATCH /users", take(l, func(d *sso.Directory, r *http.Request, c sso.UserChange) error {
		return d.ChangeUser(r.URL.Query().Get("name"), c)
	}))
	mux.HandleFunc("GET /groups", give(l, (*sso.Directory).Groups))
	mux.HandleFunc("POST /groups", take(l, func(d *sso.Directory, _ *http.Request, g sso.Group) error { return d.AddGroup(g) }))
	mux.HandleFunc("POST /members", take(l, func(d *sso.Directory, _ *http.Request, m Members) error {
		if m.Leave {
			return d.Leave(m.Group, m.Members...)
		}
		return d.Join(m.Group, m.Members...)
	}))
	mux.HandleFunc("DELETE /principals", take(l, func(d *sso.Directory, r *http.Request, _ struct{}) error {
		return d.Remove(r.URL.Query().Get("name"))
	}))
	mux.HandleFunc("POST /sso/clients", take(l, func(d *sso.Directory, _ *http.Request, c sso.Client) error { return d.AddClient(c) }))
	mux.HandleFunc("PUT /sso/faults", take(l, func(_ *sso.Directory, _ *http.Request, f sso.Faults) error {
		s, err := l.vc.SSO()
		if err == nil {
			s.SetFaults(f)
		}
		return err
	}))
	mux.HandleFunc("POST /sso/roll-over", take(l, func(_ *sso.Directory, _ *http.Request, _ struct{}) error {
		s, err := l.vc.SSO()
		if err == nil {
			err = s.RollOver()
		}
		return err
	}))
}

// AddUser makes an account, which signs in at Single Sign-On at once and at vCenter once it has a permission.
func (c *Client) AddUser(ctx context.Context, u NewUser) error {
	return c.Call(ctx, http.MethodPost, "/users", u, nil)
}

// ChangeUser changes an account.
func (c *Client) ChangeUser(ctx context.Context, name string, change sso.UserChange) error {
	return c.Call(ctx, http.MethodPatch, "/users?"+url.Values{"name": {name}}.Encode(), change, nil)
}

// Users lists the accounts.
func (c *Client) Users(ctx context.Context) (l []sso.User, err error) {
	return l, c.Call(ctx, http.MethodGet, "/users", nil, &l)
}

// AddGroup makes a group.
func (c *Client) AddGroup(ctx context.Context, g sso.Group) error {
	return c.Call(ctx, http.MethodPost, "/groups", g, nil)
}

// Groups lists the groups.
func (c *Client) Groups(ctx context.Context) (l []sso.Group, err error) {
	return l, c.Call(ctx, http.MethodGet, "/groups", nil, &l)
}

// ChangeMembers puts users and groups into a group, or takes them out.
func (c *Client) ChangeMembers(ctx context.Context, m Members) error {
	return c.Call(ctx, http.MethodPost, "/members", m, nil)
}

// RemovePrincipal removes a user, group or solution user.
func (c *Client) RemovePrincipal(ctx context.Context, name string) error {
	return c.Call(ctx, http.MethodDelete, "/principals?"+url.Values{"name": {name}}.Encode(), nil, nil)
}

// AddOpenIDClient registers a program that sends browsers to Single Sign-On.
func (c *Client) AddOpenIDClient(ctx context.Context, o sso.Client) error {
	return c.Call(ctx, http.MethodPost, "/sso/clients", o, nil)
}

// SetFaults makes Single Sign-On be away, or its clock wrong, until it is told otherwise.
func (c *Client) SetFaults(ctx context.Context, away bool, skew time.Duration) error {
	return c.Call(ctx, http.MethodPut, "/sso/faults", sso.Faults{Away: away, Skew: skew}, nil)
}

// RollOver gives the security token service a new key.
func (c *Client) RollOver(ctx context.Context) error {
	return c.Call(ctx, http.MethodPost, "/sso/roll-over", struct{}{}, nil)
}
