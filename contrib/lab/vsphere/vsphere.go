// Package vsphere turns govmomi's vCenter simulator into a small vSphere whose virtual machines are
// real: it intercepts the methods that matter (create, reconfigure, power, destroy), keeps the disk
// files real, answers guestinfo, and closes the gaps between the simulator and a vCenter that
// clients would notice.
//
// How interception works. simulator.Registry.Handler runs before every method. What it returns is
// not used for a logged-in session, but a session prefers the objects of its own registry to those
// of the global one. So the handler puts a wrapper of the target into the session's registry: the
// wrapper has the simulator's type as its first, embedded field and overrides some methods. The
// global registry keeps the plain object, for the simulator asserts its types in many places.
package vsphere

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/contrib/lab/authz"
	"github.com/openvic/vic/contrib/lab/qemu"
	"github.com/openvic/vic/contrib/lab/sso"
	"github.com/openvic/vic/sdk/guest"
)

// Machine is a running VM, as qemu.Machine is one.
type Machine interface {
	AddDisk(qemu.Disk) error
	RemoveDisk(key int32) error
	AddNIC(qemu.NIC) error
	RemoveNIC(key int32) error
	SetCDROM(file string) error
	Reset() error
	Tell(line string) error
	Kill()
	Done() <-chan struct{}
	Cause() string
}

// Config configures a Server.
type Config struct {
	Listen   string // host:port; port 0 picks one
	ESX      bool   // a host that no vCenter manages, instead of a vCenter
	Dir      string // state and the run files of VMs
	User     string // with its domain
	Password string
	TLS      *tls.Config
	// SSOKey signs the tokens of Single Sign-On; nil for one that is kept in Dir.
	SSOKey *tls.Certificate
	// Datastores are made in this order.
	Datastores []Datastore
	// Start runs a VM.
	Start func(context.Context, qemu.Spec) (Machine, error)
	// Gone is told the name of each VM that was destroyed; it may be nil.
	Gone func(vm string)
	Log  *slog.Logger
}

// Datastore is a datastore of the lab.
type Datastore struct {
	Name string
	Path string
	Size int64 // bytes; 0 takes what the file system has
}

// Server is the lab's vCenter.
type Server struct {
	cfg     Config
	service *simulator.Service
	server  *simulator.Server
	reg     *simulator.Registry
	content types.ServiceContent

	accounts *sso.Directory
	sso      *sso.Server // nil for a host that no vCenter manages
	authz    *authz.Store
	accessMu sync.Mutex // one writer of the file

	mu        sync.Mutex
	machines  map[types.ManagedObjectReference]*running
	sessions  sync.Map // registries of sessions that hold wrappers
	macs      atomic.Uint32
	store     *store
	baseRefs  map[types.ManagedObjectReference]bool
	stopping  atomic.Bool
	closeOnce sync.Once
	closing   chan struct{} // closed with the API: ends long polls
}

// New makes a vCenter with the lab's inventory, brings back what was saved in cfg.Dir, and serves.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, machines: map[types.ManagedObjectReference]*running{}, closing: make(chan struct{})}
	if err := s.inventory(ctx); err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	var err error
	if s.store, err = s.openStore(); err != nil {
		return nil, fmt.Errorf("saved inventory: %w", err)
	}
	if err := s.openAccess(); err != nil {
		return nil, fmt.Errorf("saved users and permissions: %w", err)
	}
	s.reg.Handler = s.dispatch
	s.reg.AddHandler(&observer{server: s})
	s.service.TLS = cfg.TLS
	s.service.ServeMux = http.NewServeMux()
	s.serveFolder(s.service.ServeMux)
	s.serveNFC(s.service.ServeMux)
	if err := s.serveSSO(); err != nil {
		return nil, fmt.Errorf("single sign-on: %w", err)
	}
	s.service.Listen = &url.URL{Host: cfg.Listen, User: url.UserPassword(cfg.User, cfg.Password)}
	s.reg.SessionManager().ValidLogin = s.validLogin
	// The simulator's server panics when the port is taken: see first.
	if err := checkPort(cfg.Listen); err != nil {
		return nil, err
	}
	s.server = s.service.NewServer()
	s.store.start()
	return s, nil
}

func checkPort(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return l.Close()
}

// validLogin accepts a user with or without the domain, as vCenter with a default identity source
// does.
func (s *Server) validLogin(l *types.Login) bool { return s.logsIn(l.UserName, l.Password) }

// URL is the address of the API with user and password.
func (s *Server) URL() *url.URL { return s.server.URL }

// Addr is where the API listens.
func (s *Server) Addr() string { return s.server.Listener.Addr().String() }

// context makes a fresh lock owner for work that does not come from a request. A
// *simulator.Context owns locks, so it is never shared between goroutines.
func (s *Server) context() *simulator.Context {
	return &simulator.Context{
		Context: context.Background(),
		Session: &simulator.Session{UserSession: types.UserSession{Key: "lab", UserName: s.cfg.User},
			Registry: simulator.NewRegistry(), Map: s.reg},
		Map: s.reg,
	}
}

func (s *Server) machine(ref types.ManagedObjectReference) *running {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.machines[ref]
}

func (s *Server) vm(ref types.ManagedObjectReference) *simulator.VirtualMachine {
	vm, _ := s.reg.Get(ref).(*simulator.VirtualMachine)
	return vm
}

// vms lists all VMs.
func (s *Server) vms() []*simulator.VirtualMachine {
	var l []*simulator.VirtualMachine
	for _, e := range s.reg.All("VirtualMachine") {
		if vm, ok := e.(*simulator.VirtualMachine); ok {
			l = append(l, vm)
		}
	}
	return l
}

// Running is the number of VMs that have a process.
func (s *Server) Running() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.machines)
}

// byName calls f for the VM of that name, with its lock held; false when there is none.
func (s *Server) byName(name string, f func(*simulator.VirtualMachine)) bool {
	found := false
	for _, vm := range s.vms() {
		s.withVM(vm.Self, func(_ *simulator.Context, vm *simulator.VirtualMachine) {
			if vm.Name == name && !found {
				found = true
				f(vm)
			}
		})
	}
	return found
}

// GuestIPs are the addresses of the VM of that name that its guest reported, the primary one first.
func (s *Server) GuestIPs(name string) (ips []string) {
	s.byName(name, func(vm *simulator.VirtualMachine) {
		ips = append(ips, vm.Guest.IpAddress)
		for _, o := range vm.Config.ExtraConfig {
			if v := o.GetOptionValue(); v.Key == guest.Prefix+guest.KeyAddresses {
				for _, e := range strings.Split(fmt.Sprint(v.Value), ",") {
					_, ip, _ := strings.Cut(e, "=")
					ips = append(ips, ip)
				}
			}
		}
	})
	return ips
}

// MACs lists the addresses of a VM's NICs on a segment.
func (s *Server) MACs(name, key string) (macs []string) {
	s.byName(name, func(vm *simulator.VirtualMachine) {
		for _, d := range vm.Config.Hardware.Device {
			if c, ok := d.(types.BaseVirtualEthernetCard); ok && segment(c.GetVirtualEthernetCard()) == key {
				macs = append(macs, c.GetVirtualEthernetCard().MacAddress)
			}
		}
	})
	return macs
}

// PortgroupKey returns the segment that NICs on the named port group are plugged into.
func (s *Server) PortgroupKey(name string) (string, bool) {
	for _, e := range s.reg.All("DistributedVirtualPortgroup") {
		if pg, ok := e.(*simulator.DistributedVirtualPortgroup); ok && pg.Name == name {
			return pg.Self.Value, true
		}
	}
	if s.cfg.ESX && s.networkExists(name) {
		return standardSegment(name), true
	}
	return "", false
}

var _ mo.Reference = (*observer)(nil)
