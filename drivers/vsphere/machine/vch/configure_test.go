package vch

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

func ready(string, string) string { return "ready" }

// made is a VCH whose guest follows what it is told.
func made(t *testing.T, s *simtest.Sim, state func(iso, revision string) string) *Plan {
	t.Helper()
	p := plan(t, s, nil)
	s.Follow(p.Spec.Name, state)
	_, err := Create(t.Context(), p, nil)
	must(t, err)
	return p
}

func open(t *testing.T, s *simtest.Sim) *Editor {
	t.Helper()
	e, err := Open(t.Context(), s.Session, Query{Name: "vch1"}, nil)
	must(t, err)
	return e
}

// told is the configuration that the endpoint has.
func told(t *testing.T, s *simtest.Sim) (guest.Config, string) {
	t.Helper()
	e := open(t, s)
	var c guest.Config
	must(t, json.Unmarshal([]byte(e.config), &c))
	for _, f := range c.Appliance.Files {
		if f.Path == vicdTOML {
			return c, string(f.Data)
		}
	}
	return c, ""
}

func TestConfigureChangesWhatIsNamedAndNothingElse(t *testing.T) {
	s := simtest.New(t)
	p := made(t, s, ready)
	before, _ := told(t, s)

	e := open(t, s)
	set := e.Record().Settings
	set.Memory = Allocation{Limit: 2048}
	changed, err := e.Configure(t.Context(), Change{Settings: set})
	if err != nil || !changed {
		t.Fatal(changed, err)
	}
	memory, _, err := allocations(t.Context(), s.Session, types.ManagedObjectReference{Type: config.PoolVApp, Value: p.Record.Pool})
	if err != nil || memory.Limit != 2048 {
		t.Errorf("%+v %v", memory, err)
	}
	if now, _ := told(t, s); toJSON(t, now) != toJSON(t, before) {
		t.Error("a limit is vSphere's alone, and the endpoint was told")
	}

	e = open(t, s)
	set = e.Record().Settings
	set.InsecureRegistries = []string{"reg:5000"}
	store := VolumeStore{Label: "default", Files: p.Res.Files, Path: "vols"}
	changed, err = e.Configure(t.Context(), Change{Settings: set, VolumeStores: []VolumeStore{store}, RegistryCAs: [][]byte{[]byte("pem")},
		Options: map[string][]string{"insecure-registry": {"reg:5000"}}})
	if err != nil || !changed {
		t.Fatal(changed, err)
	}
	_, vicd := told(t, s)
	if !strings.Contains(vicd, `registry_ca = ["/etc/vic/tls/registry-ca-1.pem"]`) {
		t.Errorf("vicd.toml:\n%s", vicd)
	}
	if !strings.Contains(vicd, `insecure_registries = ["reg:5000"]`) || !strings.Contains(vicd, `registry_mirrors = ["http://mirror:5000"]`) {
		t.Errorf("vicd.toml:\n%s", vicd)
	}
	e = open(t, s)
	if e.Record().VolumeStores["default"] != "[LocalDS_0] vols" || e.Record().Settings.Memory.Limit != 2048 {
		t.Errorf("%+v", e.Record())
	}
	if changed, err := e.Configure(t.Context(), Change{Settings: e.Record().Settings, Options: e.Record().Options}); changed || err != nil {
		t.Errorf("nothing is new: %v %v", changed, err)
	}
	must(t, Delete(t.Context(), s.Session, DeleteOptions{Query: Query{Name: "vch1"}}, nil))
	if strings.Contains(s.Inventory(), "vols") {
		t.Error("the empty volume store is left behind")
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}

func TestWhatTheEndpointRefusesIsPutBack(t *testing.T) {
	s := simtest.New(t)
	first := ""
	made(t, s, func(_, revision string) string {
		if revision != "" && (first == "" || first == revision) {
			first = revision
			return "refuse"
		}
		return "ready"
	})
	before, _ := told(t, s)
	e := open(t, s)
	set := e.Record().Settings
	set.HTTPProxy = "http://nosuch"
	_, err := e.Configure(t.Context(), Change{Settings: set})
	if err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Fatalf("error %v", err)
	}
	if now, _ := told(t, s); toJSON(t, now) != toJSON(t, before) {
		t.Error("the old configuration is not back")
	}
	if open(t, s).Record().Settings.HTTPProxy != "" {
		t.Error("the old record is not back")
	}
}

func images(t *testing.T, version string) Images {
	return Images{Version: version, ApplianceISO: simtest.ISO(t, "a2.iso"), BootstrapISO: simtest.ISO(t, "b2.iso"), Patience: 30 * time.Second}
}

func TestUpgradeAndRollback(t *testing.T) {
	s := simtest.New(t)
	made(t, s, ready)
	r, err := open(t, s).Upgrade(t.Context(), images(t, "2"))
	if err != nil || r.Address.String() != "192.0.2.7" {
		t.Fatal(r, err)
	}
	iso := func() string {
		vm, err := s.Find("vch1")
		must(t, err)
		devices, err := vm.Device(t.Context())
		must(t, err)
		cd := devices.SelectByType((*types.VirtualCdrom)(nil))[0].GetVirtualDevice()
		return cd.Backing.(*types.VirtualCdromIsoBackingInfo).FileName
	}
	if v := open(t, s).Record().Version; v != "2" || iso() != "[LocalDS_0] vch1/appliance-2.iso" {
		t.Errorf("version %s boots %s", v, iso())
	}
	if _, err := open(t, s).Upgrade(t.Context(), images(t, "2")); !errors.Is(err, errdef.ErrExists) {
		t.Errorf("the same again: %v", err)
	}
	if _, err := open(t, s).Rollback(t.Context(), 30*time.Second); err != nil {
		t.Fatal(err)
	}
	if v := open(t, s).Record().Version; v != "1" || iso() != "[LocalDS_0] vch1/appliance-1.iso" {
		t.Errorf("version %s boots %s", v, iso())
	}
	_, err = open(t, s).Upgrade(t.Context(), images(t, "2")) // the image of before is not written over
	must(t, err)
	if iso() != "[LocalDS_0] vch1/appliance-2.2.iso" {
		t.Errorf("it boots %s", iso())
	}
	_, err = open(t, s).Rollback(t.Context(), 30*time.Second)
	must(t, err)
	_, err = open(t, s).Upgrade(t.Context(), images(t, "3"))
	must(t, err)
	if inv := s.Inventory(); strings.Contains(inv, "appliance-2.iso") || !strings.Contains(inv, "appliance-1.iso") || !strings.Contains(inv, "bootstrap-3.iso") {
		t.Errorf("images:\n%s", inv)
	}
	must(t, Delete(t.Context(), s.Session, DeleteOptions{Query: Query{Name: "vch1"}}, nil))
}

func TestAnotherImageOfTheSameVersionIsAnUpgrade(t *testing.T) {
	s := simtest.New(t)
	made(t, s, ready)
	same := images(t, "1")
	if _, err := open(t, s).Upgrade(t.Context(), same); !errors.Is(err, errdef.ErrExists) {
		t.Fatalf("what it was made of: %v", err)
	}
	other := images(t, "1")
	b, err := os.ReadFile(other.ApplianceISO)
	must(t, err)
	must(t, os.WriteFile(other.ApplianceISO, append(b, "a plugin"...), 0o600))
	_, err = open(t, s).Upgrade(t.Context(), other)
	must(t, err)
	if r := open(t, s).Record(); r.Version != "1" || r.ApplianceISO != "appliance-1.2.iso" {
		t.Errorf("version %s boots %s", r.Version, r.ApplianceISO)
	}
	if _, err := open(t, s).Upgrade(t.Context(), other); !errors.Is(err, errdef.ErrExists) {
		t.Errorf("the same again: %v", err)
	}
	_, err = open(t, s).Rollback(t.Context(), 30*time.Second)
	must(t, err)
	if r := open(t, s).Record(); r.ApplianceISO != "appliance-1.iso" {
		t.Errorf("after the rollback it boots %s", r.ApplianceISO)
	}
}

func TestAnUpgradeThatDoesNotServeBringsTheOldVersionBack(t *testing.T) {
	s := simtest.New(t)
	made(t, s, func(iso, _ string) string {
		if strings.Contains(iso, "bad") {
			return "starting"
		}
		return "ready"
	})
	_, err := open(t, s).Upgrade(t.Context(), images(t, "2"))
	must(t, err)
	before := s.Inventory()
	im := images(t, "bad")
	im.Patience = 700 * time.Millisecond
	_, err = open(t, s).Upgrade(t.Context(), im)
	if err == nil || !strings.Contains(err.Error(), "version 2 serves again") || advice.Of(err) == "" {
		t.Fatalf("error %v", err)
	}
	e := open(t, s)
	if e.Record().Version != "2" || !e.on || s.Inventory() != before {
		t.Errorf("version %s, on %v, inventory\n%s", e.Record().Version, e.on, s.Inventory())
	}
	if _, err := e.Rollback(t.Context(), 30*time.Second); err != nil {
		t.Errorf("the version of before is not known any more: %v", err)
	}
}

func TestRollbackWithoutUpgrade(t *testing.T) {
	s := simtest.New(t)
	made(t, s, ready)
	if _, err := open(t, s).Rollback(t.Context(), time.Second); !errors.Is(err, errdef.ErrConflict) {
		t.Errorf("error %v", err)
	}
}

func TestAnInterruptedUpgradeIsFinishedByTheNext(t *testing.T) {
	s := simtest.New(t)
	made(t, s, ready)
	vm, err := s.Find("vch1")
	must(t, err)
	task, err := object.NewVirtualMachine(s.Session.Client(), vm.Reference()).PowerOff(t.Context())
	must(t, err)
	must(t, task.Wait(t.Context()))
	if r, err := open(t, s).Upgrade(t.Context(), images(t, "1")); err != nil || r == nil {
		t.Errorf("%v %v", r, err)
	}
}
