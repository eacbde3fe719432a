// Package lab puts a vSphere on one Linux machine together: vCenter's API (contrib/lab/vsphere),
// virtual machines (contrib/lab/qemu), port groups (contrib/lab/l2), the public network
// (contrib/lab/public) and an OCI registry (contrib/lab/registry), all in one process, without root.
package lab

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/vmware/govmomi/vim25/soap"

	"github.com/openvic/vic/contrib/lab/l2"
	"github.com/openvic/vic/contrib/lab/public"
	"github.com/openvic/vic/contrib/lab/qemu"
	"github.com/openvic/vic/contrib/lab/registry"
	"github.com/openvic/vic/contrib/lab/vsphere"
)

// The lab's administrator. It is no secret: the lab listens on loopback only.
const (
	DefaultUser     = "administrator@vsphere.local"
	DefaultPassword = "VMware1!"
	DefaultESXUser  = "root" // of a stand-alone host
	// TinySize is the size of the datastore "tiny", which is there to be full.
	TinySize = 64 << 20
)

// ErrPortTaken is returned when something else listens where the lab should.
var ErrPortTaken = errors.New("the port is taken")

// Config configures a Lab. The zero value of a field means its default.
type Config struct {
	ESX          bool   // an ESXi host that no vCenter manages, instead of a vCenter
	Dir          string // everything that the lab keeps
	Listen       string // vCenter
	Registry     string // address of the registry; "off" for none
	RegistryRoot string
	User         string
	Password     string
	CPU          string // QEMU's -cpu
	Accel        string
	// Datastores limits datastores by name, in bytes.
	DatastoreSizes map[string]int64
	Log            *slog.Logger
}

// Lab is a running lab.
type Lab struct {
	cfg      Config
	lock     *os.File
	fabric   *l2.Fabric
	host     *qemu.Host
	vc       *vsphere.Server
	networks map[string]*public.Network // those with a router, by port group
	forwards *public.Forwarder
	registry string
	cert     tls.Certificate
	started  time.Time
	cancel   context.CancelFunc
	stopOnce sync.Once
	stopErr  error
	done     chan struct{}
}

// Start brings a lab up: what was there when it was last stopped is there again, and VMs that were
// on are powered on.
func Start(ctx context.Context, cfg Config) (*Lab, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Lab{cfg: cfg, fabric: &l2.Fabric{}, started: time.Now(), done: make(chan struct{})}
	lctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = cancel
	if err := l.start(lctx); err != nil {
		return nil, errors.Join(err, l.release())
	}
	return l, nil
}

func (c Config) withDefaults() (Config, error) {
	set := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	set(&c.Dir, "build/lab")
	set(&c.Listen, "127.0.0.1:8989")
	set(&c.Registry, "127.0.0.1:5000")
	if c.ESX {
		set(&c.User, DefaultESXUser)
	}
	set(&c.User, DefaultUser)
	set(&c.Password, DefaultPassword)
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return c, err
	}
	c.Dir = dir
	set(&c.RegistryRoot, filepath.Join(dir, "registry"))
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for _, a := range []string{c.Listen, c.Registry} {
		if err := loopback(a); a != "off" && err != nil {
			return c, err
		}
	}
	return c, nil
}

// loopback refuses to serve the world with a password that everyone knows.
func loopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("address %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("address %q: the lab listens on loopback only, for example 127.0.0.1:8989", addr)
	}
	return nil
}

func (l *Lab) start(ctx context.Context) (err error) {
	if err := os.MkdirAll(l.cfg.Dir, 0o700); err != nil {
		return err
	}
	if l.lock, err = lockDir(l.cfg.Dir); err != nil {
		return err
	}
	if l.cert, err = loadCertificate(filepath.Join(l.cfg.Dir, "tls")); err != nil {
		return err
	}
	l.host, err = qemu.NewHost(qemu.Config{CPU: l.cfg.CPU, Accel: l.cfg.Accel, Plug: l.fabric.Plug, Log: l.cfg.Log})
	if err != nil {
		return err
	}
	if err := l.startRegistry(ctx); err != nil {
		return err
	}
	if err := l.startVCenter(ctx); err != nil {
		return err
	}
	if err := l.startNetworks(ctx); err != nil {
		return err
	}
	l.vc.Resume()
	l.cfg.Log.Info("lab is up", "vcenter", l.vc.Addr(), "registry", l.registry, "dir", l.cfg.Dir, "took", time.Since(l.started).Round(time.Millisecond))
	return nil
}

func (l *Lab) startRegistry(ctx context.Context) (err error) {
	if l.cfg.Registry == "off" {
		return nil
	}
	l.registry, err = registry.Serve(ctx, l.cfg.Registry, l.cfg.RegistryRoot)
	return portError(err, "registry", l.cfg.Registry, "--registry")
}

func (l *Lab) startVCenter(ctx context.Context) (err error) {
	l.vc, err = vsphere.New(ctx, vsphere.Config{
		ESX: l.cfg.ESX, Listen: l.cfg.Listen, Dir: l.cfg.Dir, User: l.cfg.User, Password: l.cfg.Password,
		TLS:        &tls.Config{Certificates: []tls.Certificate{l.cert}, MinVersion: tls.VersionTLS12},
		Datastores: l.datastores(),
		Gone:       l.gone,
		Log:        l.cfg.Log,
		Start: func(ctx context.Context, s qemu.Spec) (vsphere.Machine, error) {
			m, err := l.host.Start(ctx, s)
			if err != nil {
				return nil, err // not a nil *Machine in a non-nil interface
			}
			return m, nil
		},
	})
	return portError(err, "vCenter", l.cfg.Listen, "--listen")
}

func (l *Lab) datastores() []vsphere.Datastore {
	var ds []vsphere.Datastore
	for _, n := range []string{"datastore1", "datastore2", "tiny"} {
		size, ok := l.cfg.DatastoreSizes[n]
		if !ok && n == "tiny" {
			size = TinySize
		}
		ds = append(ds, vsphere.Datastore{Name: n, Path: filepath.Join(l.cfg.Dir, "datastores", n), Size: size})
	}
	return ds
}

// startNetworks gives the port groups that have a router theirs, and begins the forwards.
func (l *Lab) startNetworks(ctx context.Context) error {
	l.networks = map[string]*public.Network{}
	for name, addr := range map[string]public.Addresses{vsphere.PublicNetwork: public.Public(), vsphere.ClientNetwork: public.Client()} {
		key, ok := l.vc.PortgroupKey(name)
		if !ok {
			return fmt.Errorf("port group %s is missing", name)
		}
		n, err := public.New(ctx, l.fabric.Switch(key), addr)
		if err != nil {
			return err
		}
		l.networks[name] = n
	}
	l.forwards = &public.Forwarder{Find: l.find, Log: l.cfg.Log}
	saved, err := l.loadForwards()
	if err != nil {
		return err
	}
	for _, f := range saved {
		if err := l.forwards.Add(ctx, f); err != nil {
			return portError(err, "forward of "+f.VM, f.Listen, "vic-lab forward rm, before")
		}
	}
	return nil
}

// find looks for a VM's address on the forward's network: what DHCP gave to its NIC there, or what the
// guest reported when that is on the network.
func (l *Lab) find(f public.Forward) (public.Dialer, string) {
	name := networkOf(f)
	n := l.networks[name]
	if n == nil {
		return nil, ""
	}
	key, _ := l.vc.PortgroupKey(name)
	for _, mac := range l.vc.MACs(f.VM, key) {
		if ip, ok := n.Address(mac); ok {
			return n, ip
		}
	}
	for _, ip := range l.vc.GuestIPs(f.VM) {
		if n.Contains(ip) {
			return n, ip
		}
	}
	return nil, ""
}

// networkOf is the port group of a forward.
func networkOf(f public.Forward) string {
	if f.Network == "" {
		return vsphere.PublicNetwork
	}
	return f.Network
}

// gone ends the forwards of a VM that was destroyed: another of its name is another VM.
func (l *Lab) gone(vm string) {
	if l.forwards == nil || l.forwards.Remove(vm, "") == 0 {
		return
	}
	if err := l.saveForwards(); err != nil {
		l.cfg.Log.Error("the list of forwards is not saved", "err", err)
	}
}

// portError says what to do about a port that is taken.
func portError(err error, what, addr, option string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s at %s: %w; choose another with %s: %w", what, addr, ErrPortTaken, option, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// lockDir makes sure that one lab alone works in a folder. The lock goes with the process.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lab.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("a lab already runs in %s", dir), f.Close())
	}
	return f, nil
}

// Stop shuts guests down, saves the inventory and ends everything. It can be called again.
func (l *Lab) Stop(ctx context.Context) error {
	l.stopOnce.Do(func() {
		err := l.vc.Stop(ctx)
		l.stopErr = errors.Join(err, l.release())
		close(l.done)
	})
	<-l.done
	return l.stopErr
}

// Done is closed when the lab has stopped.
func (l *Lab) Done() <-chan struct{} { return l.done }

func (l *Lab) release() error {
	l.cancel()
	if l.vc != nil {
		l.vc.Close()
	}
	if l.host != nil {
		l.host.Close()
	}
	l.fabric.Close()
	if l.lock != nil {
		return l.lock.Close()
	}
	return nil
}

// AddForward starts a forward and remembers it.
func (l *Lab) AddForward(ctx context.Context, f public.Forward) error {
	if l.networks[networkOf(f)] == nil {
		return fmt.Errorf("%w: network %q has no router: give %s or %s", public.ErrForward, f.Network, vsphere.PublicNetwork, vsphere.ClientNetwork)
	}
	if err := l.forwards.Add(context.WithoutCancel(ctx), f); err != nil {
		return portError(err, "forward", f.Listen, "another address")
	}
	return l.saveForwards()
}

// RemoveForward ends forwards of a VM and returns how many.
func (l *Lab) RemoveForward(vm, listen string) (int, error) {
	n := l.forwards.Remove(vm, listen)
	return n, l.saveForwards()
}

func (l *Lab) forwardsFile() string { return filepath.Join(l.cfg.Dir, "forwards.json") }

func (l *Lab) loadForwards() (fs []public.Forward, err error) {
	b, err := os.ReadFile(l.forwardsFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return fs, json.Unmarshal(b, &fs)
}

func (l *Lab) saveForwards() error {
	b, err := json.MarshalIndent(l.forwards.List(), "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(l.forwardsFile(), b, 0o600)
}

// Thumbprint is what clients pin, in govmomi's notation (SHA-1).
func (l *Lab) Thumbprint() string { return soap.ThumbprintSHA1(l.cert.Leaf) }
