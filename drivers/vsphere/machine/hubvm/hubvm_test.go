package hubvm

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"

	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func plan(t *testing.T, s *simtest.Sim) Plan {
	t.Helper()
	f := s.Finder()
	dc, err := f.DefaultDatacenter(t.Context())
	must(t, err)
	folders, err := dc.Folders(t.Context())
	must(t, err)
	pool, err := f.ResourcePoolList(t.Context(), "*/Resources")
	must(t, err)
	ds, err := f.DefaultDatastore(t.Context())
	must(t, err)
	network := "public"
	if !s.Session.IsVC() {
		network = "VM Network"
	}
	public, err := f.Network(t.Context(), network)
	must(t, err)
	set, err := certs.Prepare(certs.Options{Dir: filepath.Join(t.TempDir(), "certs"), Name: "hub1", Names: []string{"hub.test"}, ServerOnly: true}, time.Now())
	must(t, err)
	return Plan{Certs: set, Spec: Spec{Name: "hub1", Version: "1", ISO: simtest.ISO(t, "hub.iso"), CPUs: 1, MemoryMB: 512, DataGB: 1},
		Res: vch.Resources{Session: s.Session, Datacenter: dc, Folder: folders.VmFolder, Pool: pool[0], Public: public, PublicName: "public",
			Files: session.Files{Datacenter: dc, Datastore: ds}}}
}

// TestTheLifeOfAHub makes one, deletes it, makes it over the data that stayed, and deletes all.
func TestTheLifeOfAHub(t *testing.T) {
	s := simtest.New(t)
	before := s.Inventory()
	s.Guest("hub1", "ready", "")
	p := plan(t, s)
	made, err := Create(t.Context(), p, nil)
	must(t, err)
	if made.Address != "192.0.2.7" || made.Kept {
		t.Errorf("%+v", made)
	}
	password, err := os.ReadFile(made.Password)
	must(t, err)
	names, err := os.ReadDir(p.Certs.Dir())
	must(t, err)
	for _, n := range names {
		if strings.Contains(n.Name(), "admin-ca") || n.Name() == certs.ClientCertFile {
			t.Errorf("%s is of no use to a hub", n.Name())
		}
	}

	vm, err := s.Find("hub1")
	must(t, err)
	var m mo.VirtualMachine
	must(t, vm.Properties(t.Context(), vm.Reference(), []string{"config.extraConfig"}, &m))
	text, _ := object.OptionValueList(m.Config.ExtraConfig).GetString(keyConfig)
	var c guest.Config
	must(t, json.Unmarshal([]byte(text), &c))
	files := map[string]string{}
	for _, f := range c.Appliance.Files {
		files[f.Path] = string(f.Data)
	}
	if files[filePassword] != strings.TrimSpace(string(password)) || len(c.Networks) != 1 || c.Networks[0].MAC == "" || !c.Networks[0].DHCP ||
		c.Mounts[0].Target != dataDir {
		t.Errorf("%+v", c)
	}

	all, err := List(t.Context(), s.Session)
	must(t, err)
	if len(all) != 1 || all[0].State != "ready" || all[0].Record.Name != "hub1" {
		t.Errorf("%+v", all)
	}
	if vchs, err := vch.List(t.Context(), s.Session); err != nil || len(vchs) != 0 {
		t.Errorf("a hub is taken for a VCH: %+v %v", vchs, err)
	}
	d, err := Inspect(t.Context(), s.Session, Query{Name: "hub1"})
	must(t, err)
	if d.URL != "https://192.0.2.7" || len(d.Certificate.Names) != 1 || d.Certificate.Names[0] != "hub.test" {
		t.Errorf("%+v", d)
	}
	if b, err := json.Marshal(d); err != nil || strings.Contains(string(b), files[filePassword]) || strings.Contains(string(b), "PRIVATE") {
		t.Errorf("secrets in %s", b)
	}
	if _, err := Inspect(t.Context(), s.Session, Query{Name: "hbu1"}); !errors.Is(err, errdef.ErrNotFound) || !strings.Contains(err.Error(), "hub1") {
		t.Errorf("a mistyped name: %v", err)
	}

	kept, err := Delete(t.Context(), s.Session, DeleteOptions{Query: Query{Name: "hub1"}}, nil)
	must(t, err)
	if !strings.HasSuffix(kept, "hub1/hub1-data.vmdk") || !strings.Contains(s.Inventory(), "hub1-data.vmdk") || strings.Contains(s.Inventory(), ".iso") {
		t.Errorf("kept %q of\n%s", kept, s.Inventory())
	}
	s.Guest("hub1", "ready", "")
	made, err = Create(t.Context(), plan(t, s), nil)
	must(t, err)
	if !made.Kept || made.Password != "" {
		t.Errorf("over the data that stayed: %+v", made)
	}
	_, err = Delete(t.Context(), s.Session, DeleteOptions{Query: Query{Name: "hub1"}, Force: true}, nil)
	must(t, err)
	if after := s.Inventory(); after != before {
		t.Errorf("left behind:\n%s\nbefore\n%s", after, before)
	}
	if _, err := Delete(t.Context(), s.Session, DeleteOptions{Query: Query{Name: "hub1"}}, nil); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("again: %v", err)
	}
}

// TestAnUpgradeComesBackIfItDoesNotServe upgrades a hub to an image that serves, to one that does not, and rolls it back.
func TestAnUpgradeComesBackIfItDoesNotServe(t *testing.T) {
	s := simtest.New(t)
	s.Follow("hub1", func(iso, _ string) string {
		if strings.Contains(iso, "bad") {
			return "starting"
		}
		return "ready"
	})
	_, err := Create(t.Context(), plan(t, s), nil)
	must(t, err)
	q := Query{Name: "hub1"}
	version := func() string {
		t.Helper()
		d, err := Inspect(t.Context(), s.Session, q)
		must(t, err)
		if d.State != "ready" {
			t.Errorf("it is %s", d.State)
		}
		return d.Record.Version
	}
	if err := Rollback(t.Context(), s.Session, q, time.Minute, nil); !errors.Is(err, errdef.ErrConflict) {
		t.Errorf("before any upgrade: %v", err)
	}
	iso := simtest.ISO(t, "two.iso")
	must(t, os.WriteFile(iso, append(make([]byte, 0x8001), "CD001 another"...), 0o600))
	must(t, Upgrade{"2", iso, time.Minute}.Run(t.Context(), s.Session, q, nil))
	if v := version(); v != "2" {
		t.Errorf("version %s", v)
	}
	if err := (Upgrade{"2", iso, time.Minute}).Run(t.Context(), s.Session, q, nil); !errors.Is(err, errdef.ErrExists) {
		t.Errorf("the same again: %v", err)
	}
	err = Upgrade{"bad", simtest.ISO(t, "bad.iso"), time.Second}.Run(t.Context(), s.Session, q, nil)
	if err == nil || !strings.Contains(err.Error(), "version bad does not serve") || !strings.Contains(err.Error(), "version 2 serves again") || version() != "2" {
		t.Errorf("%v", err)
	}
	must(t, Rollback(t.Context(), s.Session, q, time.Minute, nil))
	if v := version(); v != "1" {
		t.Errorf("rolled back to %s", v)
	}
	if all := s.Inventory(); strings.Contains(all, "hub-bad") || !strings.Contains(all, "hub-1.iso") || !strings.Contains(all, "hub-2.iso") {
		t.Errorf("images:\n%s", all)
	}
	must(t, Rollback(t.Context(), s.Session, q, time.Minute, nil)) // there and back
	if v := version(); v != "2" {
		t.Errorf("version %s", v)
	}
}

// TestConfigureChangesWhatIsNamed changes a hub, and takes back a change with which it does not serve.
func TestConfigureChangesWhatIsNamed(t *testing.T) {
	s := simtest.New(t)
	var bad atomic.Bool // the next boot does not serve
	s.Follow("hub1", func(string, string) string {
		if bad.CompareAndSwap(true, false) {
			return "starting"
		}
		return "ready"
	})
	p := plan(t, s)
	_, err := Create(t.Context(), p, nil)
	must(t, err)
	q := Query{Name: "hub1"}
	config := func() (guest.Config, *mo.VirtualMachine) {
		t.Helper()
		vm, err := s.Find("hub1")
		must(t, err)
		var m mo.VirtualMachine
		must(t, vm.Properties(t.Context(), vm.Reference(), []string{"config"}, &m))
		text, _ := object.OptionValueList(m.Config.ExtraConfig).GetString(keyConfig)
		var c guest.Config
		must(t, json.Unmarshal([]byte(text), &c))
		return c, &m
	}
	other, err := certs.Prepare(certs.Options{Dir: filepath.Join(t.TempDir(), "other"), Name: "hub1", Names: []string{"other.test"}, ServerOnly: true}, time.Now())
	must(t, err)
	ch := Change{CPUs: 2, MemoryMB: 1024, DNS: []netip.Addr{netip.MustParseAddr("10.0.0.53")}, Server: other.Server, Patience: time.Minute,
		Static: vch.Static{Address: netip.MustParsePrefix("10.0.0.5/24"), Gateway: netip.MustParseAddr("10.0.0.1")}}
	changed, err := Configure(t.Context(), s.Session, q, ch, nil)
	must(t, err)
	if got := strings.Join(changed, " "); got != "cpu memory public-network-ip dns-server tls-server-cert" {
		t.Errorf("changed %s", got)
	}
	c, m := config()
	if n := c.Networks[0]; n.DHCP || n.Addresses[0] != ch.Static.Address || n.Gateway != ch.Static.Gateway || c.DNS.Servers[0] != ch.DNS[0] ||
		m.Config.Hardware.NumCPU != 2 || m.Config.Hardware.MemoryMB != 1024 {
		t.Errorf("%+v %+v", c, m.Config.Hardware)
	}
	d, err := Inspect(t.Context(), s.Session, q)
	must(t, err)
	if d.Certificate.Names[0] != "other.test" || d.Record.CPUs != 2 || d.Record.Static.Address != ch.Static.Address || d.State != "ready" {
		t.Errorf("%+v", d)
	}
	if changed, err := Configure(t.Context(), s.Session, q, ch, nil); err != nil || len(changed) != 0 {
		t.Errorf("the same again: %v %v", changed, err)
	}
	bad.Store(true)
	_, err = Configure(t.Context(), s.Session, q, Change{MemoryMB: 2048, Patience: time.Second}, nil)
	if err == nil || !strings.Contains(err.Error(), "the old ones are back") {
		t.Errorf("%v", err)
	}
	if _, m := config(); m.Config.Hardware.MemoryMB != 1024 {
		t.Errorf("%d MiB after a change that was taken back", m.Config.Hardware.MemoryMB)
	}
	if d, err := Inspect(t.Context(), s.Session, q); err != nil || d.Record.MemoryMB != 1024 || d.State != "ready" {
		t.Errorf("%+v %v", d, err)
	}
}

// TestACreateThatFailsLeavesNothing makes each call of a create fail that changes something.
func TestACreateThatFailsLeavesNothing(t *testing.T) {
	for _, method := range []string{"CreateVM_Task", "ReconfigVM_Task", "PowerOnVM_Task"} {
		t.Run(method, func(t *testing.T) {
			s := simtest.New(t)
			before := s.Inventory()
			s.Fail(method)
			p := plan(t, s)
			if _, err := Create(t.Context(), p, nil); err == nil {
				t.Fatal("it was made")
			}
			if method == "ReconfigVM_Task" { // by which the data disk is taken out of the VM
				return
			}
			if after := s.Inventory(); after != before {
				t.Errorf("left behind:\n%s\nbefore\n%s", after, before)
			}
			if _, err := os.Stat(p.Certs.Dir()); err == nil {
				t.Error("the certificates are left")
			}
		})
	}
}

// A folder of somebody else is not touched.
func TestAFolderThatIsNoHubsStays(t *testing.T) {
	s := simtest.New(t)
	p := plan(t, s)
	must(t, p.Res.Files.MakeDir(t.Context(), "hub1"))
	must(t, p.Res.Files.Put(t.Context(), []byte("x"), "hub1/theirs"))
	before := s.Inventory()
	if _, err := Create(t.Context(), p, nil); !errors.Is(err, errdef.ErrExists) {
		t.Errorf("%v", err)
	}
	if after := s.Inventory(); after != before {
		t.Errorf("%s\nbefore\n%s", after, before)
	}
}

func TestRecordsThatAreNone(t *testing.T) {
	for _, text := range []string{"", "{", `{"id":"1","name":"a"}`, `{"id":"1","name":"a","folder":".."}`, `{"id":"1","name":"a","folder":"a/b"}`,
		`{"id":"1","name":"a","folder":"a","sso":{"user":"vpxd-0b0e4b0c-7a0e-4c52-9f43-0f6f1f3a2b11","domain":"vsphere.local"}}`,
		`{"id":"1","name":"a","folder":"a","sso":{"user":"vic-hub-0b0e4b0c-7a0e-4c52-9f43-0f6f1f3a2b11","domain":"a/b"}}`,
		`{"id":"1","name":"a","folder":"a","sso":{}}`} {
		if r, err := parseRecord(text); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%q: %+v %v", text, r, err)
		}
	}
}
