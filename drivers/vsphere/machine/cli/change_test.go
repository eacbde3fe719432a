package cli

import (
	"strings"
	"testing"

	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
)

func ready(string, string) string { return "ready" }

func TestConfigureAddsRemovesAndRefuses(t *testing.T) {
	s := simtest.New(t)
	s.Follow("vch1", ready)
	if r := run(t, createArgs(t, s, "--insecure-registry", "a:1", "--container-network", "backend:back", "--container-network-dns",
		"backend:10.0.0.1")...); r.code != 0 {
		t.Fatalf("create: %+v", r)
	}
	configure := func(args ...string) result {
		return run(t, append(append([]string{"configure", "--name", "vch1"}, access(s)...), args...)...)
	}
	options := func() map[string][]string {
		o, err := vch.Options(t.Context(), s.Session, vch.Query{Name: "vch1"})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	if r := configure(); r.code != 0 || !strings.Contains(r.out, "nothing to change") {
		t.Errorf("%+v", r)
	}
	if r := configure("--insecure-registry", "b:2", "--memory", "4096", "--container-network", "frontend:front"); r.code != 0 ||
		!strings.Contains(r.out, "VCH vch1 is changed") {
		t.Fatalf("%+v", r)
	}
	if o := options(); len(o["insecure-registry"]) != 2 || o["memory"][0] != "4096" || len(o["container-network"]) != 2 {
		t.Errorf("%v", o)
	}
	if r := configure("--remove", "insecure-registry=a:1", "--remove", "container-network=backend:back", "--memory", "0"); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	if o := options(); strings.Join(o["insecure-registry"], " ") != "b:2" || o["memory"] != nil || len(o["container-network"]) != 1 ||
		o["container-network-dns"] != nil {
		t.Errorf("%v", o)
	}
	t.Setenv(operation.OpsPasswordEnv, "of another command")
	if r := configure("--memory", "0"); r.code != 0 {
		t.Errorf("with a password in the environment: %+v", r)
	}
	t.Setenv(operation.OpsPasswordEnv, "")
	before := s.Inventory()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--bridge-network", "bridge2"}, exitUsage, "bridge-network"},
		{[]string{"--remove", "insecure-registry=c:3"}, exitUsage, "b:2"},
		{[]string{"--remove", "memory=1"}, exitUsage, "--remove"},
		{[]string{"--volume-store", "nosuch/x:default"}, exitChecks, "nothing was changed"},
		{[]string{"--container-network", "nosuch:n"}, exitChecks, "nothing was changed"},
		{[]string{"--memory", "100"}, exitChecks, "nothing was changed"},
		{[]string{"--remove", "dns-server=1.2.3.4"}, exitUsage, "it has: none"},
		{[]string{"--container-memory", "3"}, exitChecks, "nothing was changed"},
		{[]string{"--ops-user", "ops@x", "--ops-password", "wrong"}, exitChecks, "nothing was changed"},
		{[]string{"--volume-store", "LocalDS_0/vols:first", "--volume-store", "[LocalDS_0] vols:second"}, exitChecks, "nothing was changed"},
		{[]string{"--registry-mirror", "http://u:p@mirror:5000"}, exitUsage, "no account"},
		{[]string{"--ops-user", "ops@x"}, exitUsage, "--ops-password"},
		{[]string{"--ops-grant-perms"}, exitUsage, "--ops-user"},
		{[]string{"--name", "other", "--memory", "4096"}, exitNotFound, "vch1"},
	} {
		if r := configure(c.args...); r.code != c.code || !strings.Contains(r.err, c.want) {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
	if after := s.Inventory(); after != before {
		t.Errorf("changed:\n%s", after)
	}
}

func TestUpgradeAndRollbackByCommand(t *testing.T) {
	s := simtest.New(t)
	s.Follow("vch1", ready)
	if r := run(t, createArgs(t, s)...); r.code != 0 {
		t.Fatalf("create: %+v", r)
	}
	named := append([]string{"--name", "vch1"}, access(s)...)
	isos := []string{"--appliance-iso", simtest.ISO(t, "a.iso"), "--bootstrap-iso", simtest.ISO(t, "b.iso")}
	upgrade := append(append([]string{"upgrade"}, named...), isos...)
	if r := run(t, upgrade...); r.code != 0 || !strings.Contains(r.out, "nothing to do") {
		t.Errorf("the same version: %+v", r)
	}
	if r := runAs(t, "v10", upgrade...); r.code != 0 || !strings.Contains(r.out, "from v9 to v10") || !strings.Contains(r.out, "serves with version v10") {
		t.Errorf("upgrade: %+v", r)
	}
	if r := run(t, append([]string{"rollback"}, named...)...); r.code != 0 || !strings.Contains(r.out, "serves with version v9") {
		t.Errorf("rollback: %+v", r)
	}
	if r := run(t, append([]string{"upgrade", "--appliance-iso", "nosuch"}, named...)...); r.code != exitChecks {
		t.Errorf("no image: %+v", r)
	}
}

func TestAnotherVersionIsNotConfigured(t *testing.T) {
	s := simtest.New(t)
	s.Follow("vch1", ready)
	if r := run(t, createArgs(t, s)...); r.code != 0 {
		t.Fatalf("create: %+v", r)
	}
	configure := append([]string{"configure", "--name", "vch1", "--containers", "7"}, access(s)...)
	if r := runAs(t, "v10", configure...); r.code != exitRefused || !strings.Contains(r.err, "vic-machine upgrade --name vch1") {
		t.Errorf("%+v", r)
	}
	if r := run(t, configure...); r.code != 0 {
		t.Errorf("its own version: %+v", r)
	}
	if r := runAs(t, "v10", configure...); r.code != 0 || !strings.Contains(r.out, "nothing to change") {
		t.Errorf("what it has already: %+v", r)
	}
}
