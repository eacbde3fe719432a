// Package simtest is a vCenter for the tests of vic-machine: govmomi's simulator over TLS, with a
// cluster, a distributed switch with the port groups bridge and public, and a guest that reports
// itself ready as soon as it is powered on.
package simtest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/sdk/guest"
)

// The account.
const (
	User     = "administrator"
	Password = "secret"
)

// Sim is one running simulator.
type Sim struct {
	T       testing.TB
	Model   *simulator.Model
	Server  *simulator.Server
	Target  session.Target // with its thumbprint
	Session *session.Session

	changes *inventory
}

// New starts a vCenter with one datacenter (DC0), one cluster (DC0_C0) with three hosts, and one
// datastore (LocalDS_0).
func New(t testing.TB) *Sim {
	t.Helper()
	m := simulator.VPX()
	m.Machine, m.Host, m.Datastore = 0, 0, 1
	return start(t, m, true)
}

// NewESX starts a single ESXi host, whose licence lets programs change something.
func NewESX(t testing.TB) *Sim {
	t.Helper()
	m := simulator.ESX()
	m.Machine = 0
	s := start(t, m, false)
	s.Features("vimapi")
	return s
}

// Features gives the licences these features and no others.
func (s *Sim) Features(keys ...string) {
	s.T.Helper()
	m, ok := s.Model.Map().Get(*s.Session.Client().ServiceContent.LicenseManager).(*simulator.LicenseManager)
	if !ok {
		s.T.Fatal("the simulator has no licence manager")
	}
	for i := range m.Licenses {
		m.Licenses[i].Properties = nil
		for _, k := range keys {
			m.Licenses[i].Properties = append(m.Licenses[i].Properties, types.KeyAnyValue{Key: "feature", Value: types.KeyValue{Key: k, Value: k}})
		}
	}
}

func start(t testing.TB, m *simulator.Model, vc bool) *Sim {
	t.Helper()
	if err := m.Create(); err != nil {
		t.Fatal(err)
	}
	m.Map().Handler = updatable
	m.Service.TLS = &tls.Config{}
	m.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword(User, Password)}
	s := &Sim{T: t, Model: m, Server: m.Service.NewServer(), changes: &inventory{}}
	m.Map().AddHandler(s.changes)
	t.Cleanup(func() { s.Server.Close(); m.Remove() })
	var err error
	if s.Target, err = session.ParseTarget("https://" + s.Server.URL.Host); err != nil {
		t.Fatal(err)
	}
	s.Target.User, s.Target.Password = User, Password
	s.Target.Thumbprint = soap.ThumbprintSHA1(s.Server.Certificate())
	if s.Session, err = session.Connect(t.Context(), s.Target); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Session.Close(context.Background()) })
	if vc {
		s.portgroups("bridge", "bridge2", "public", "client", "management", "backend", "frontend")
	}
	return s
}

// Finder looks in the only datacenter.
func (s *Sim) Finder() *find.Finder {
	f := find.NewFinder(s.Session.Client(), true)
	dc, err := f.DefaultDatacenter(context.Background())
	s.must(err)
	return f.SetDatacenter(dc)
}

func (s *Sim) must(err error) {
	s.T.Helper()
	if err != nil {
		s.T.Fatal(err)
	}
}

func (s *Sim) portgroups(names ...string) {
	s.T.Helper()
	ctx := s.T.Context()
	n, err := s.Finder().Network(ctx, "DVS0")
	s.must(err)
	for _, name := range names {
		task, err := n.(*object.DistributedVirtualSwitch).AddPortgroup(ctx, []types.DVPortgroupConfigSpec{{
			Name: name, NumPorts: 8, Type: string(types.DistributedVirtualPortgroupPortgroupTypeEarlyBinding),
		}})
		s.must(session.Wait(ctx, task, err))
	}
}

// Fail makes every call of a method fail.
func (s *Sim) Fail(method string) {
	s.Model.Service.AddFaultRule(&simulator.FaultInjectionRule{
		MethodName: method, ObjectType: "*", ObjectName: "*", Probability: 1, Enabled: true,
		FaultType: simulator.FaultTypeNoPermission, Message: "injected",
	})
}

// Inventory lists all objects and files, sorted.
func (s *Sim) Inventory() string {
	s.T.Helper()
	ctx := context.Background()
	var lines []string
	c := s.Session.Client()
	v, err := view.NewManager(c).CreateContainerView(ctx, c.ServiceContent.RootFolder, nil, true)
	s.must(err)
	defer func() { _ = v.Destroy(ctx) }()
	var all []mo.ManagedEntity
	s.must(v.Retrieve(ctx, []string{"ManagedEntity"}, []string{"name"}, &all))
	for _, e := range all {
		lines = append(lines, e.Self.Value+" "+e.Name)
	}
	stores, err := s.Finder().DatastoreList(ctx, "*")
	s.must(err)
	for _, ds := range stores {
		dir := s.Dir(ds)
		err := filepath.Walk(dir, func(p string, _ os.FileInfo, err error) error {
			lines = append(lines, ds.Name()+": "+strings.TrimPrefix(p, dir))
			return err
		})
		s.must(err)
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// Dir is where the files of a datastore are.
func (s *Sim) Dir(ds *object.Datastore) string {
	s.T.Helper()
	var m mo.Datastore
	s.must(ds.Properties(context.Background(), ds.Reference(), []string{"summary.url"}, &m))
	return m.Summary.Url
}

// Set writes extraConfig of a VM, as its guest would.
func (s *Sim) Set(vm *object.VirtualMachine, kv map[string]string) {
	s.T.Helper()
	var spec types.VirtualMachineConfigSpec
	for k, v := range kv {
		spec.ExtraConfig = append(spec.ExtraConfig, &types.OptionValue{Key: k, Value: v})
	}
	task, err := vm.Reconfigure(context.Background(), spec)
	s.must(session.Wait(context.Background(), task, err))
}

// Report is what a guest writes about itself; state "" writes nothing.
func (s *Sim) Report(vm *object.VirtualMachine, state, message string) {
	s.T.Helper()
	b, err := json.Marshal(guest.Status{State: state, Message: message, Services: map[string]string{"vicd": state}, Time: time.Now()})
	s.must(err)
	s.Set(vm, map[string]string{
		guest.Prefix + guest.KeyStatus:    string(b),
		guest.Prefix + guest.KeyAddresses: "bridge=172.16.0.1,public=fe80::2,public=192.0.2.7,client=192.0.2.8",
	})
}

// Guest reports once for the next VM of a name, when it is on; one that is there now is not meant.
func (s *Sim) Guest(name, state, message string) {
	before, _ := s.Find(name)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	s.T.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		s.changes.until(ctx, func() bool {
			vm, err := s.Find(name)
			if err != nil || before != nil && vm.Reference() == before.Reference() {
				return false
			}
			on, err := vm.PowerState(ctx)
			if err != nil || on != types.VirtualMachinePowerStatePoweredOn {
				return false
			}
			s.Report(vm, state, message)
			return true
		})
	}()
}

// Follow is the guest of the VM of a name until the test ends: it reports what state returns for the
// image that it has booted, each time that the VM was powered on or its configuration was changed. A
// state "refuse" is that of a service which does not take its new configuration.
func (s *Sim) Follow(name string, state func(iso, revision string) string) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	s.T.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		s.changes.until(ctx, func() bool {
			var m mo.VirtualMachine
			vm, err := s.Find(name)
			if err != nil || vm.Properties(ctx, vm.Reference(), []string{"config", "runtime.powerState"}, &m) != nil ||
				m.Config == nil || m.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
				return false
			}
			s.follow(vm, m, state)
			return false // until the test ends
		})
	}()
}

func (s *Sim) follow(vm *object.VirtualMachine, m mo.VirtualMachine, state func(iso, revision string) string) {
	extra := object.OptionValueList(m.Config.ExtraConfig)
	revision, _ := extra.GetString(guest.Prefix + guest.KeyRevision)
	before, _ := extra.GetString(guest.Prefix + guest.KeyStatus)
	var last guest.Status
	if before != "" {
		s.must(json.Unmarshal([]byte(before), &last))
	}
	iso := ""
	for _, d := range object.VirtualDeviceList(m.Config.Hardware.Device).SelectByType((*types.VirtualCdrom)(nil)) {
		if b, ok := d.GetVirtualDevice().Backing.(*types.VirtualCdromIsoBackingInfo); ok {
			iso = b.FileName
		}
	}
	debug := s.debug(extra)
	if before != "" && last.Revision == revision && (debug == nil || last.Debug != nil && last.Debug.ID == debug.ID) {
		return
	}
	status := guest.Status{State: state(iso, revision), Revision: revision, Debug: debug, Time: time.Now()}
	status.Services = map[string]string{"vicd": status.State}
	if status.State == "refuse" {
		status.State, status.Services["vicd"] = "starting", "reload failed: no such thing"
	}
	b, err := json.Marshal(status)
	s.must(err)
	s.Set(vm, map[string]string{guest.Prefix + guest.KeyStatus: string(b), guest.Prefix + guest.KeyAddresses: "public=192.0.2.7,client=192.0.2.8"})
}

// HostKey is that of the SSH servers of all endpoints, as authorized_keys has it.
const HostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"

// debug is how the service for debugging is that was asked for; nil if none was.
func (s *Sim) debug(extra object.OptionValueList) *guest.DebugStatus {
	text, _ := extra.GetString(guest.Prefix + guest.KeyDebug)
	if text == "" {
		return nil
	}
	var d guest.Debug
	s.must(json.Unmarshal([]byte(text), &d))
	if d.Service == nil {
		return &guest.DebugStatus{ID: d.ID, State: guest.DebugOff}
	}
	return &guest.DebugStatus{ID: d.ID, State: "ready", Message: HostKey}
}

// Find finds a VM by name, in vApps too.
func (s *Sim) Find(name string) (*object.VirtualMachine, error) {
	list, err := s.Finder().VirtualMachineList(context.Background(), "*")
	if err != nil {
		return nil, err
	}
	for _, vm := range list {
		if vm.Name() == name {
			return vm, nil
		}
	}
	return nil, os.ErrNotExist
}

// ISO makes a file that looks like an ISO image.
func ISO(t testing.TB, name string) string {
	t.Helper()
	b := make([]byte, 40<<10)
	copy(b[0x8001:], "CD001")
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}
