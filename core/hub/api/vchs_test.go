package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openvic/vic/core/hub/vchs/vchtest"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

// TestTheLifeOfAVCH registers one as vic-machine does, connects it, and sees who is told of it; in the end it goes, and its
// project with it.
func TestTheLifeOfAVCH(t *testing.T) {
	storetest.Each(t, func(t *testing.T, _ func(...store.Schema) *store.Store) {
		r := newRig(t, storetest.URL(t, t.Name()[strings.LastIndex(t.Name(), "/")+1:]))
		const admin = "cloud-admin"
		r.api(admin, "POST", "/projects", `{"project_name":"shop"}`, 201, nil)
		for _, bad := range []string{
			`{"uid":"u1","name":"v","projects":[]}`, `{"uid":"u1","name":"v","projects":["nothing"]}`,
			`{"uid":"","name":"v","projects":["shop"]}`, `{"uid":"u 1","name":"v","projects":["shop"]}`, `{"uid":"u1","name":"","projects":["shop"]}`,
			fmt.Sprintf(`{"uid":"u1","name":%q,"projects":["shop"]}`, strings.Repeat("n", 256)), `{`,
		} {
			r.api(admin, "POST", "/vchs", bad, 400, nil)
			r.api(admin, "POST", "/vchs/check", bad, 400, nil)
		}
		var list []vchForm
		r.api(admin, "POST", "/vchs/check", `{"uid":"u1","name":"v","projects":["shop"]}`, 200, nil)
		if r.api(admin, "GET", "/vchs", "", 200, &list); len(list) != 0 {
			t.Errorf("what was only asked is there: %+v", list)
		}
		var made, again vchAnswer
		header := r.api(admin, "POST", "/vchs", `{"uid":"u1","name":"web-vch","projects":["shop"]}`, 201, &made)
		at := strings.TrimPrefix(header.Get("Location"), Prefix)
		if r.api(admin, "POST", "/vchs", `{"uid":"u1","name":"web","projects":["shop","private"]}`, 201, &again); again.ID != made.ID || again.Request != made.Request ||
			again.Name != "web" || len(again.Projects) != 2 {
			t.Errorf("registered twice: %+v, then %+v", made, again)
		}
		var ping struct{ Status, Error, Version string }
		if r.api(admin, "GET", at+"/ping", "", 200, &ping); ping.Status != "error" || !strings.Contains(ping.Error, "vic-machine has not said") {
			t.Errorf("%+v", ping)
		}

		if again.HubOnly {
			t.Errorf("no project demands the hub: %+v", again)
		}
		for _, name := range []string{"prevent_vul", "enable_content_trust", "enable_content_trust_cosign"} {
			var check vchCheck
			set := func(value string, want bool) {
				t.Helper()
				r.api(admin, "PUT", "/projects/shop", fmt.Sprintf(`{"metadata":{%q:%q}}`, name, value), 200, nil)
				r.api(admin, "POST", "/vchs/check", `{"uid":"u1","name":"web","projects":["private","shop"]}`, 200, &check)
				if r.api(admin, "GET", at, "", 200, &again); again.HubOnly != want || check.HubOnly != want {
					t.Errorf("%s %s: %+v, %+v", name, value, again, check)
				}
			}
			set("true", true)
			set("false", false)
			if name != "prevent_vul" {
				continue
			}
			// Where a project says nothing, as the other one, the hub's setting counts.
			r.api(admin, "PUT", "/configurations", `{"prevent_vul":true}`, 200, nil)
			set("false", true)
			r.api(admin, "PUT", "/projects/private", `{"metadata":{"prevent_vul":"false"}}`, 200, nil)
			set("false", false)
			r.api(admin, "PUT", "/configurations", `{"prevent_vul":false}`, 200, nil)
		}

		host := vchtest.Serve(t)
		put := func(address, certificate string, want int) {
			t.Helper()
			r.api(admin, "PUT", at, fmt.Sprintf(`{"address":%q,"server_name":"vch.test","server_ca":%q,"certificate":%q}`, address, host.ServerCA, certificate), want, nil)
		}
		put("nowhere", host.Sign(t, made.Request), 400)
		put(host.Address, "no PEM", 400)
		put(host.Address, host.Sign(t, vchtest.Request(t)), 400) // of another key
		put(host.Address, host.Sign(t, made.Request), 200)
		if r.api(admin, "GET", at+"/ping", "", 200, &ping); ping.Status != "ok" || ping.Version != vchtest.Version {
			t.Errorf("%+v", ping)
		}
		host.Close()
		if r.api(admin, "GET", at+"/ping", "", 200, &ping); ping.Status != "error" || !strings.Contains(ping.Error, "does not answer") {
			t.Errorf("%+v", ping)
		}

		// Who may see containers of a project sees its VCHs, and nothing of their other projects.
		if r.api("developer", "GET", "/projects/private/vchs", "", 200, &list); len(list) != 1 || !list[0].Connected || len(list[0].Projects) != 1 {
			t.Errorf("%+v", list)
		}
		r.api("viewer", "GET", "/projects/private/vchs", "", 403, nil)
		r.api("devops-admin", "GET", at, "", 403, nil)
		r.api(admin, "DELETE", "/projects/shop", "", 200, nil)
		var one vchForm
		if r.api(admin, "GET", at, "", 200, &one); len(one.Projects) != 1 || one.Projects[0].Name != "private" {
			t.Errorf("after its project was deleted: %+v", one)
		}
		r.api(admin, "DELETE", at, "", 200, nil)
		r.api(admin, "DELETE", at, "", 404, nil)
		r.api(admin, "GET", at, "", 404, nil)
		if r.api("developer", "GET", "/projects/private/vchs", "", 200, &list); len(list) != 0 {
			t.Errorf("%+v", list)
		}
	})
}
