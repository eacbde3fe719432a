package dockerauth_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/openvic/vic/core/hub/dockerauth"
)

// Whoever has a token of the old password, or of somebody who was deleted, does not come in by a new sign-in of the user.
func TestTokensEndWithThePassword(t *testing.T) {
	for name, end := range map[string]func(*rig) error{
		"a new password": func(r *rig) error { return r.people.End(r.t.Context(), "d/developer") },
		"put out":        func(r *rig) error { return r.people.Remove(r.t.Context(), "d/developer") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			m, _ := r.token("developer", url.Values{"service": {service}, "offline_token": {"true"}, "scope": {"repository:public/app:pull"}})
			must(t, end(r))
			_ = r.bearer("developer") // has signed in again
			form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fmt.Sprint(m["refresh_token"])}, "service": {service}}
			if res, body := r.do("POST", dockerauth.TokenPath, "", "application/x-www-form-urlencoded", form.Encode()); res.StatusCode != 401 {
				t.Errorf("refresh: %d %s", res.StatusCode, body)
			}
			if res, body := r.do("GET", "/v2/", "Bearer "+fmt.Sprint(m["token"]), "", ""); res.StatusCode != 401 {
				t.Errorf("access: %d %s", res.StatusCode, body)
			}
		})
	}
}
