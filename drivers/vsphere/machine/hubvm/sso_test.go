package hubvm

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"

	labsso "github.com/openvic/vic/contrib/lab/sso"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/plugins/auth-vsphere/sso"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/hubguest"
	"github.com/openvic/vic/sdk/secret"
)

const ssoDomain = "vsphere.local"

// withSSO gives the simulator the lab's Single Sign-On, with the simulator's administrator.
func withSSO(t *testing.T, s *simtest.Sim) *labsso.Directory {
	t.Helper()
	key, err := labsso.NewCertificate("ssoserverSign")
	must(t, err)
	dir := labsso.NewDirectory(simtest.User+"@"+ssoDomain, simtest.Password, nil)
	server, err := labsso.New(labsso.Config{Directory: dir, Key: &key})
	must(t, err)
	server.Mount(s.Model.Service.ServeMux)
	return dir
}

// hubFiles are the files of a hub's VM, by path.
func hubFiles(t *testing.T, s *simtest.Sim) map[string]guest.File {
	t.Helper()
	vm, err := s.Find("hub1")
	must(t, err)
	var m mo.VirtualMachine
	must(t, vm.Properties(t.Context(), vm.Reference(), []string{"config.extraConfig"}, &m))
	text, _ := object.OptionValueList(m.Config.ExtraConfig).GetString(keyConfig)
	var c guest.Config
	must(t, json.Unmarshal([]byte(text), &c))
	files := map[string]guest.File{}
	for _, f := range c.Appliance.Files {
		files[f.Path] = f
	}
	return files
}

// asHub is Single Sign-On as the plugin in the hub's VM reaches it.
func asHub(t *testing.T, s *simtest.Sim, files map[string]guest.File) *sso.Client {
	t.Helper()
	pair, err := sso.ParseCertificate(secret.Text(files[fileSSO].Data))
	must(t, err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(files[fileVCenter].Data) {
		t.Fatal("no authority of vCenter")
	}
	c, err := sso.New(sso.Options{Server: s.Target.URL.Host, Domain: ssoDomain, Roots: roots, Certificate: pair})
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

// TestAHubIsRegisteredAtSingleSignOn follows the solution user of a hub that is made, deleted, made anew over its data, and deleted.
func TestAHubIsRegisteredAtSingleSignOn(t *testing.T) {
	s := simtest.New(t)
	dir := withSSO(t, s)
	must(t, dir.AddUser(labsso.User{Name: "dev"}, "a password of dev"))
	create := func() *Made {
		t.Helper()
		s.Guest("hub1", "ready", "")
		p := plan(t, s)
		p.Spec.SSODomain = ssoDomain
		made, err := Create(t.Context(), p, nil)
		must(t, err)
		return made
	}
	made := create()
	if all := dir.Solutions(); len(all) != 1 || made.SSO == nil || all[0].Name != made.SSO.User {
		t.Fatalf("%+v %+v", all, made)
	}
	files := hubFiles(t, s)
	if hub := string(files[hubguest.FileHub].Data); !strings.Contains(hub, `auth = ["vsphere", "local"]`) {
		t.Errorf("%s", hub)
	}
	if text := string(files[fileVSphere].Data); !strings.Contains(text, `administrators = ["vsphere.local/administrators"]`) ||
		!strings.Contains(text, made.SSO.User) || strings.Contains(text, simtest.Password) || files[fileSSO].Mode != modePrivate {
		t.Errorf("%s, mode %o", text, files[fileSSO].Mode)
	}
	hub := asHub(t, s, files)
	if who, err := hub.Password(t.Context(), "dev@vsphere.local", "a password of dev"); err != nil || who != "dev@vsphere.local" {
		t.Errorf("%s %v", who, err)
	}
	if all, err := hub.Persons(t.Context(), ssoDomain, "dev"); err != nil || len(all) != 1 {
		t.Errorf("the solution user reads %+v, %v", all, err)
	}

	_, err := Delete(t.Context(), s.Session, DeleteOptions{Query: Query{Name: "hub1"}}, nil)
	must(t, err)
	if all := dir.Solutions(); len(all) != 0 {
		t.Fatalf("left: %+v", all)
	}
	again := create()
	if all := dir.Solutions(); !again.Kept || len(all) != 1 || again.SSO.User != made.SSO.User {
		t.Errorf("over the data that stayed: %+v %+v", again, all)
	}

	// Who does not administer Single Sign-On deletes nothing, unless it shall be left alone.
	must(t, dir.AddUser(labsso.User{Name: "operator"}, "a password of operator"))
	other := *s.Session
	other.Target.User, other.Target.Password = "operator", "a password of operator"
	o := DeleteOptions{Query: Query{Name: "hub1"}, Force: true}
	if _, err := Delete(t.Context(), &other, o, nil); !errors.Is(err, errdef.ErrDenied) || len(dir.Solutions()) != 1 {
		t.Errorf("%v %+v", err, dir.Solutions())
	}
	if d, err := Inspect(t.Context(), s.Session, o.Query); err != nil || d.State != "ready" {
		t.Errorf("%+v %v", d, err)
	}
	o.NoSSO = true
	if _, err = Delete(t.Context(), &other, o, nil); err != nil || len(dir.Solutions()) != 1 {
		t.Errorf("%v %+v", err, dir.Solutions())
	}
}

// TestACreateThatFailsLeavesNoSolutionUser makes steps before and after the registration fail.
func TestACreateThatFailsLeavesNoSolutionUser(t *testing.T) {
	for name, prepare := range map[string]func(*simtest.Sim, *labsso.Directory, *Plan){
		"the VM": func(s *simtest.Sim, _ *labsso.Directory, _ *Plan) { s.Fail("PowerOnVM_Task") },
		"not an administrator of Single Sign-On": func(_ *simtest.Sim, dir *labsso.Directory, p *Plan) {
			must(t, dir.AddUser(labsso.User{Name: "operator"}, "a password of operator"))
			other := *p.Res.Session
			other.Target.User, other.Target.Password = "operator", "a password of operator"
			p.Res.Session = &other
		},
		"a wrong password": func(_ *simtest.Sim, _ *labsso.Directory, p *Plan) {
			other := *p.Res.Session
			other.Target.Password = "wrong"
			p.Res.Session = &other
		},
		"no such domain": func(_ *simtest.Sim, _ *labsso.Directory, p *Plan) { p.Spec.SSODomain = "nowhere.local" },
	} {
		t.Run(name, func(t *testing.T) {
			s := simtest.New(t)
			dir := withSSO(t, s)
			before := s.Inventory()
			p := plan(t, s)
			p.Spec.SSODomain = ssoDomain
			prepare(s, dir, &p)
			_, err := Create(t.Context(), p, nil)
			if err == nil || strings.Contains(err.Error(), "could be removed") {
				t.Fatal(err)
			}
			if after := s.Inventory(); after != before || len(dir.Solutions()) != 0 {
				t.Errorf("after %v:\n%s\nbefore\n%s\n%+v", err, after, before, dir.Solutions())
			}
		})
	}
}

// A host has no Single Sign-On.
func TestAHubOfAHostHasNoSingleSignOn(t *testing.T) {
	s := simtest.NewESX(t)
	s.Guest("hub1", "ready", "")
	p := plan(t, s)
	p.Spec.SSODomain = ssoDomain
	made, err := Create(t.Context(), p, nil)
	must(t, err)
	if files := hubFiles(t, s); made.SSO != nil || len(files[fileVSphere].Data) != 0 || !strings.Contains(string(files[hubguest.FileHub].Data), `auth = ["local"]`) {
		t.Errorf("%+v %s", made, files[hubguest.FileHub].Data)
	}
}

// Configure brings the hub a certificate of vCenter's that has changed, and names it; an upgrade changes nothing of the kind.
func TestConfigureTakesANewCertificateOfVCenter(t *testing.T) {
	s := simtest.New(t)
	withSSO(t, s)
	s.Follow("hub1", func(string, string) string { return "ready" })
	p := plan(t, s)
	p.Spec.SSODomain = ssoDomain
	_, err := Create(t.Context(), p, nil)
	must(t, err)
	e, err := open(t.Context(), s.Session, Query{Name: "hub1"}, nil)
	must(t, err)
	old, err := e.settings(t.Context())
	must(t, err)
	must(t, json.Unmarshal([]byte(old.config), &old.guest))
	if !old.renewTrust([]byte("the one before")) {
		t.Fatal("the hub has no authority of vCenter's")
	}
	text, err := json.Marshal(old.guest)
	must(t, err)
	old.config = string(text)
	must(t, e.reboot(t.Context(), old, time.Minute))

	iso := simtest.ISO(t, "two.iso")
	must(t, os.WriteFile(iso, append(make([]byte, 0x8001), "CD001 another"...), 0o600))
	must(t, Upgrade{"2", iso, time.Minute}.Run(t.Context(), s.Session, Query{Name: "hub1"}, nil))
	if files := hubFiles(t, s); len(files[fileSSO].Data) == 0 || string(files[fileVCenter].Data) != "the one before" {
		t.Errorf("after an upgrade: %+v", files)
	}
	changed, err := Configure(t.Context(), s.Session, Query{Name: "hub1"}, Change{Patience: time.Minute}, nil)
	if err != nil || len(changed) != 1 || changed[0] != "vCenter's certificate" {
		t.Errorf("%v %v", changed, err)
	}
	asHub(t, s, hubFiles(t, s))
	if changed, err := Configure(t.Context(), s.Session, Query{Name: "hub1"}, Change{Patience: time.Minute}, nil); err != nil || len(changed) != 0 {
		t.Errorf("again: %v %v", changed, err)
	}
}
