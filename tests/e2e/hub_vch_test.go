package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/openvic/vic/tests/harness"
)

// TestAVCHIsMadeWithAHub makes a VCH as a resource of a project, with the token of a robot that may do no more. What is wrong
// with the access to the hub is said before anything is made, and a deletion that cannot tell the hub takes nothing away.
func TestAVCHIsMadeWithAHub(t *testing.T) {
	beside(t)
	h := startHub(t)
	h.do("POST", "/projects", `{"project_name":"shop"}`)
	robot := func(name, resource string) string {
		t.Helper()
		var made struct{ Name, Secret string }
		must(t, json.Unmarshal([]byte(h.do("POST", "/robots", `{"name":"`+name+`","level":"system","duration":1,"permissions":[{"kind":"system","namespace":"/",
			"access":[{"resource":"`+resource+`","action":"manage"}]}]}`)), &made))
		return made.Name + ":" + made.Secret
	}
	token, weak := robot("installer", "host"), robot("weak", "quota")
	port, url := bridge(t, "hubbed"), "https://"+h.host
	create := func(more ...string) (string, error) {
		return harness.Command(theLab.Bin("vic-machine"), createArgs(t, "hubbed", port, more...)...)
	}
	for name, x := range map[string]struct{ url, ca, token, project, want string }{
		"no authority":  {url, "", token, "shop", "--hub-ca"},
		"wrong secret":  {url, h.ca, token + "x", "shop", "does not let"},
		"no permission": {url, h.ca, weak, "shop", "host:manage"},
		"no project":    {url, h.ca, token, "nothing", "there is no project"},
		"nobody there":  {"https://127.0.0.1:1", h.ca, token, "shop", "cannot be reached"},
	} {
		args := []string{"--hub", x.url, "--hub-token", x.token, "--hub-project", x.project}
		if x.ca != "" {
			args = append(args, "--hub-ca", x.ca)
		}
		out, err := create(args...)
		if err == nil || !strings.Contains(out+err.Error(), x.want) || !strings.Contains(out+err.Error(), "nothing was made") {
			t.Errorf("%s: want %q: %v %s", name, x.want, err, out)
		}
	}
	if list := h.do("GET", "/vchs", ""); strings.TrimSpace(list) != "[]" {
		t.Errorf("after checks that failed the hub lists %s", list)
	}

	hub := []string{"--hub", url, "--hub-ca", h.ca, "--hub-token", token}
	out, err := create(append(hub, "--hub-project", "shop")...)
	if err != nil {
		t.Fatal(err, out)
	}
	var list []struct {
		ID        int64
		Name      string
		Connected bool
	}
	must(t, json.Unmarshal([]byte(h.do("GET", "/projects/shop/vchs", "")), &list))
	if len(list) != 1 || list[0].Name != "hubbed" || !list[0].Connected {
		t.Errorf("the hub lists %+v", list)
	}
	vch := func(verb string, more ...string) (string, error) {
		args := append(append([]string{verb}, theLab.Access()...), "--name", "hubbed")
		return harness.Command(theLab.Bin("vic-machine"), append(args, more...)...)
	}
	if out, err := vch("inspect"); err != nil || !strings.Contains(out, url+": number") || !strings.Contains(out, "projects shop") {
		t.Errorf("%v %s", err, out)
	}
	if out, err := vch("delete"); err == nil || !strings.Contains(out+err.Error(), "--hub-token") {
		t.Errorf("deleted without a token: %v %s", err, out)
	}
	if out, err := vch("inspect"); err != nil {
		t.Errorf("after a deletion that was refused: %v %s", err, out)
	}
	if out, err := vch("delete", hub...); err != nil {
		t.Errorf("%v %s", err, out)
	}
	if list := h.do("GET", "/vchs", ""); strings.TrimSpace(list) != "[]" {
		t.Errorf("after the deletion the hub lists %s", list)
	}
}
