package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openvic/vic/tests/harness"
)

// vicLab runs a command of the lab's.
func vicLab(t *testing.T, args ...string) {
	t.Helper()
	// The flag of the lab's folder goes behind the command's words.
	n := 2
	args = append(append(append([]string{}, args[:n]...), "--dir", theLab.Dir), args[n:]...)
	if out, err := harness.Command(theLab.Bin("vic-lab"), args...); err != nil {
		t.Fatalf("vic-lab %s: %v %s", strings.Join(args, " "), err, out)
	}
}

// TestVCentersUsersPushAndPull is a VCH and a hub in one vCenter: its users sign in at the VCH's Docker by their vCenter
// names, push and pull as groups in vCenter say, and do not when those change or vCenter's Single Sign-On is away.
func TestVCentersUsersPushAndPull(t *testing.T) {
	alone(t)
	const secret = "a password of ten or more"
	for name, group := range map[string]string{"hubdev": "hub-developers", "hubviewer": "hub-viewers", "hubstranger": "hub-nobodies"} {
		vicLab(t, "user", "add", "--password", secret, "--group", group, name)
		t.Cleanup(func() { vicLab(t, "user", "rm", name); vicLab(t, "group", "rm", group) })
	}
	dir := t.TempDir()
	config := fmt.Sprintf("server = '%s'\nca = '%s/tls/ca.pem'\ncertificate = '%s/sso.pem'\nrefresh = '1m'\nsolution_user = 'vic-hub-e2e'\n",
		harness.VCenterAddr, theLab.Dir, dir)
	registration := func(verb string) {
		t.Helper()
		file := filepath.Join(dir, "register.toml")
		must(t, os.WriteFile(file, []byte(config), 0o600))
		cmd := exec.Command(theLab.Bin("vic-auth-vsphere"), verb, file)
		cmd.Env = append(os.Environ(), "VIC_SSO_USER="+harness.User, "VIC_SSO_PASSWORD="+harness.Password)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", verb, err, out)
		}
	}
	registration("register")
	t.Cleanup(func() { registration("unregister") })
	h := serveHub(t, dir, "vsphere", config)
	h.admin, h.password = harness.User, harness.Password
	h.begun()
	mustMachine(t, "", "configure", "--registry-ca", h.ca)
	t.Cleanup(func() {
		_, _ = harness.Command(theLab.Bin("vic-machine"),
			append(append([]string{"configure"}, theLab.Access()...), "--name", harness.VCH, "--remove", "registry-ca="+h.ca)...)
	})
	h.do("POST", "/projects", `{"project_name":"shop"}`)
	h.do("POST", "/projects/shop/members", `{"role_id":2,"member_group":{"group_name":"hub-developers@vsphere.local"}}`)
	h.do("POST", "/projects/shop/members", `{"role_id":3,"member_group":{"group_name":"hub-viewers@vsphere.local"}}`)

	image := h.host + "/shop/tool:1"
	refused := func(want string, args ...string) {
		t.Helper()
		if r := dockerRun(t.Context(), nil, args...); r.Code == 0 || !strings.Contains(r.Stderr, want) {
			t.Errorf("docker %s: %+v, want %q", strings.Join(args, " "), r, want)
		}
	}
	login := func(name string) {
		t.Helper()
		docker(t, "login", "-u", name+"@vsphere.local", "-p", secret, h.host)
	}
	t.Cleanup(func() { dockerRun(context.Background(), nil, "logout", h.host) })
	refused("401 Unauthorized", "login", "-u", "hubdev@vsphere.local", "-p", "wrong", h.host)
	maker := container(t, "busybox", "sh", "-c", "echo by a user of vCenter >/greeting")
	docker(t, "wait", maker)
	docker(t, "commit", maker, image)
	t.Cleanup(func() { dockerRun(context.Background(), nil, "rmi", "-f", image, h.host+"/shop/other:1") })
	login("hubdev")
	docker(t, "push", "-q", image)
	docker(t, "rmi", image)

	login("hubstranger")
	refused("not found", "pull", image)
	login("hubviewer")
	if out := docker(t, "run", "--rm", "-q", image, "cat", "/greeting"); strings.TrimSpace(out) != "by a user of vCenter" {
		t.Errorf("%q", out)
	}
	docker(t, "tag", image, h.host+"/shop/other:1")
	refused("denied", "push", h.host+"/shop/other:1")
	docker(t, "rmi", image, h.host+"/shop/other:1")

	vicLab(t, "sso", "away")
	t.Cleanup(func() { vicLab(t, "sso", "back") })
	refused("503 Service Unavailable", "login", "-u", "hubviewer@vsphere.local", "-p", secret, h.host)
	vicLab(t, "sso", "back")
	login("hubviewer")
	docker(t, "pull", "-q", image)
	docker(t, "rmi", image)

	vicLab(t, "group", "leave", "hub-viewers", "hubviewer")
	refused("not found", "pull", image)
	vicLab(t, "user", "set", "--disabled", "hubviewer")
	refused("401 Unauthorized", "login", "-u", "hubviewer@vsphere.local", "-p", secret, h.host)
}
