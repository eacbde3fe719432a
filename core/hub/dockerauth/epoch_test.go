package dockerauth_test

import (
	"encoding/json"
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

// What docker login got for a CLI secret ends with the secret, and none of it outlives it.
func TestTokensEndWithTheSecret(t *testing.T) {
	for name, end := range map[string]func(*rig) error{
		"another secret": func(r *rig) error { _, err := r.secrets.Make(r.t.Context(), "d/developer"); return err },
		"none any more":  func(r *rig) error { return r.secrets.Remove(r.t.Context(), "d/developer") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			_ = r.bearer("developer") // whom the hub has seen
			secret, err := r.secrets.Make(t.Context(), "d/developer")
			must(t, err)
			query := url.Values{"service": {service}, "offline_token": {"true"}, "scope": {"repository:private/app:pull,push"}}
			res, body := r.do("GET", dockerauth.TokenPath+"?"+query.Encode(), basic("developer", string(secret)), "", "")
			var m map[string]any
			must(t, json.Unmarshal([]byte(body), &m))
			if res.StatusCode != 200 || m["refresh_token"] != nil {
				t.Errorf("%d %s", res.StatusCode, body)
			}
			bearer := "Bearer " + fmt.Sprint(m["token"])
			if res, body := r.do("GET", "/v2/", bearer, "", ""); res.StatusCode != 200 {
				t.Errorf("before: %d %s", res.StatusCode, body)
			}
			must(t, end(r))
			if res, body := r.do("GET", "/v2/", bearer, "", ""); res.StatusCode != 401 {
				t.Errorf("access: %d %s", res.StatusCode, body)
			}
			if res, body := r.do("GET", dockerauth.TokenPath+"?"+query.Encode(), basic("developer", string(secret)), "", ""); res.StatusCode != 401 {
				t.Errorf("sign-in: %d %s", res.StatusCode, body)
			}
		})
	}
}
