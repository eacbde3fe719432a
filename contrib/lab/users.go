package lab

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/openvic/vic/contrib/lab/vsphere"
)

// NewUser is a user who is to be made.
type NewUser struct {
	Name     string   `json:"name"`
	Password string   `json:"password"`
	Groups   []string `json:"groups,omitempty"`
}

func (l *Lab) userRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /users", func(w http.ResponseWriter, _ *http.Request) { reply(w, l.vc.Users(), nil) })
	mux.HandleFunc("POST /users", func(w http.ResponseWriter, r *http.Request) {
		var u NewUser
		err := json.NewDecoder(r.Body).Decode(&u)
		if err == nil {
			err = l.vc.AddUser(u.Name, u.Password, u.Groups)
		}
		reply(w, struct{}{}, err)
	})
	mux.HandleFunc("DELETE /users", func(w http.ResponseWriter, r *http.Request) {
		reply(w, struct{}{}, l.vc.RemoveUser(r.URL.Query().Get("name")))
	})
}

// AddUser makes an account that can log in once it has a permission.
func (c *Client) AddUser(ctx context.Context, u NewUser) error {
	return c.Call(ctx, http.MethodPost, "/users", u, nil)
}

// RemoveUser removes an account.
func (c *Client) RemoveUser(ctx context.Context, name string) error {
	return c.Call(ctx, http.MethodDelete, "/users?"+url.Values{"name": {name}}.Encode(), nil, nil)
}

// Users lists the accounts.
func (c *Client) Users(ctx context.Context) (l []vsphere.Account, err error) {
	return l, c.Call(ctx, http.MethodGet, "/users", nil, &l)
}
