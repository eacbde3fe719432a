package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/auth"
)

func TestGroupsAreWhatIdentitySourcesHave(t *testing.T) {
	each(t, func(r *rig) {
		t := r.t
		must(t, r.source.Save(t.Context(), auth.SaveRequest{Principal: auth.Principal{ID: "d/testers", Kind: auth.Group, Name: "testers"}}))
		at := strings.TrimPrefix(r.api("cloud-admin", "POST", "/usergroups", `{"group_name":"testers","group_type":3}`, 201, nil).Get("Location"), Prefix)
		var one groupForm
		r.api("cloud-admin", "GET", at, "", 200, &one)
		if one.Name != "testers" || one.Type != 3 || one.Principal != "d/testers" {
			t.Errorf("%+v", one)
		}
		for query, want := range map[string]int{"": 1, "?group_name=TEST": 1, "?group_name=%25": 0, "?page=2": 0} {
			var list []groupForm
			header := r.api("cloud-admin", "GET", "/usergroups"+query, "", 200, &list)
			if len(list) != want || query == "?page=2" && header.Get("X-Total-Count") != "1" {
				t.Errorf("%s: %+v", query, list)
			}
		}
		r.api("cloud-admin", "POST", "/usergroups", `{"group_name":"nobodies"}`, 400, nil)
		r.api("cloud-admin", "POST", "/usergroups", `{"group_name":"viewer"}`, 400, nil) // a user
		r.api("cloud-admin", "POST", "/usergroups", `{}`, 400, nil)
		var u user
		r.api("viewer", "GET", "/users/current", "", 200, &u)
		r.api("cloud-admin", "GET", fmt.Sprint("/usergroups/", u.ID), "", 404, nil)
	})
}
