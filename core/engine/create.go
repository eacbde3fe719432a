package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/storage"
)

const (
	// minMemoryMB is what a kernel needs to boot to its process.
	minMemoryMB = 128
	// memoryStepMB is vSphere's: a VM's memory is a multiple of it.
	memoryStepMB = 4
	// undoTimeout bounds the clean-up after a failure.
	undoTimeout = time.Minute
)

// nameChars are the names that Docker allows.
const nameChars = `[a-zA-Z0-9][a-zA-Z0-9_.-]`

// Create makes a container; it does not start it. Nothing is left behind if it fails.
func (e *Engine) Create(ctx context.Context, req CreateRequest) (Container, error) {
	id, err := newID()
	if err != nil {
		return Container{}, err
	}
	name, err := e.takeName(strings.TrimPrefix(req.Name, "/"), id)
	if err != nil {
		return Container{}, err
	}
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	c, m, err := e.build(ctx, id, name, req)
	if err == nil && ctx.Err() != nil { // whoever wanted it has left and will never know its name
		e.undo(id, c.networkIDs()...)
		e.abandon(m)
		err = ctx.Err()
	}
	if err != nil {
		e.release(name, id)
		return Container{}, err
	}
	e.add(c)
	m.release()
	e.emit(c, "create")
	return c.view(), nil
}

func newID() (string, error) {
	for {
		b := make([]byte, 32)
		if _, err := rand.Read(b); err != nil {
			return "", fmt.Errorf("container ID: %w", err)
		}
		id := hex.EncodeToString(b)
		// A short ID of digits only would be a number as a host name.
		if strings.Trim(id[:12], "0123456789") != "" {
			return id, nil
		}
	}
}

func (e *Engine) takeName(name, id string) (string, error) {
	if name == "" {
		return e.makeName(id)
	}
	return name, e.checkAndReserve(name, id)
}

func (e *Engine) checkAndReserve(name, id string) error {
	if ok, _ := regexp.MatchString("^"+nameChars+"+$", name); !ok {
		return fail(errdef.ErrInvalid, "Invalid container name (%s), only %s are allowed", name, nameChars)
	}
	return e.reserve(name, id)
}

// parts are what a VM is made of, gathered side by side.
type parts struct {
	root      storage.Root
	networks  []Attachment
	endpoints []network.Endpoint
	identity  guest.Identity
	mounting  mounting
}

// build makes the container's VM. Its volumes are held until they are released.
func (e *Engine) build(ctx context.Context, id, name string, req CreateRequest) (c *container, m mounting, err error) {
	p, err := e.gather(ctx, id, name, req)
	if err == nil {
		c, err = e.createVM(ctx, id, name, req, p)
	}
	if err != nil {
		e.undo(id, networkIDsOf(p.networks)...)
		e.abandon(p.mounting)
	}
	return c, p.mounting, err
}

// gather does what does not depend on one another at the same time.
func (e *Engine) gather(ctx context.Context, id, name string, req CreateRequest) (p parts, err error) {
	p.mounting.release = func() {}
	found, wanted, err := e.findNetworks(ctx, req)
	if err != nil {
		return p, err
	}
	d := Definition{ID: id, Name: name, Hostname: req.Hostname, Ports: req.Ports, DNS: req.DNS}
	for i, n := range found {
		p.networks = append(p.networks, e.attachment(n, wanted[i]))
		p.networks[i].Gateway = n.Gateway
	}
	d.Networks = p.networks
	if err := e.checkPorts(ctx, &d, req.Replaces); err != nil {
		return p, err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := e.opts.Images.Hold(gctx, id, req.Image.Layer); err != nil {
			return fmt.Errorf("image %s: %w", req.Image.Ref, err)
		}
		root, err := e.opts.Storage.PrepareDisk(gctx, storage.PrepareDiskRequest{ID: id, Layer: req.Image.Layer})
		if err != nil {
			return fmt.Errorf("disk of the container: %w", err)
		}
		p.root = root
		return nil
	})
	g.Go(func() error {
		var err error
		p.endpoints, err = e.joinAll(gctx, &d)
		return err
	})
	g.Go(func() error {
		var err error
		p.mounting, err = e.mountVolumes(gctx, req.Mounts)
		return err
	})
	g.Go(func() error {
		var err error
		p.identity, err = e.opts.Authority.Issue(id)
		return err
	})
	if err := g.Wait(); err != nil {
		return p, err
	}
	return p, p.mounting.place(p.root)
}

func (e *Engine) createVM(ctx context.Context, id, name string, req CreateRequest, p parts) (*container, error) {
	if req.Hostname == "" {
		req.Hostname = id[:12]
	}
	req.Process.Env = withHostname(req.Process.Env, req.Hostname)
	def, err := e.define(id, name, req, p)
	if err != nil {
		return nil, err
	}
	metadata, err := json.Marshal(def)
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", id, err)
	}
	g := guestConfig(def, req, p)
	if g.Mounts, err = guestMounts(def.Mounts); err != nil {
		return nil, err
	}
	config, err := json.Marshal(g)
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", id, err)
	}
	create := compute.CreateRequest{ID: id, Name: name, CPUs: def.CPUs, MemoryMB: def.MemoryMB, Disks: slices.Concat(p.root.Disks, p.mounting.disks),
		Guest: map[string]string{guest.KeyConfig: string(config)}, Metadata: metadata}
	create.NICs = nicsOf(p.endpoints)
	vm, err := e.opts.Compute.Create(ctx, create)
	if err != nil {
		return nil, fmt.Errorf("container VM: %w", err)
	}
	c := newContainer(def)
	c.locator = vm.Locator
	return c, nil
}

// withHostname adds HOSTNAME to an environment that does not set it.
func withHostname(env []string, host string) []string {
	if slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "HOSTNAME=") }) {
		return env
	}
	return append(slices.Clone(env), "HOSTNAME="+host)
}

func (e *Engine) define(id, name string, req CreateRequest, p parts) (Definition, error) {
	d := Definition{Version: 1, ID: id, Name: name, Created: time.Now().UTC(), Image: req.Image, Process: req.Process,
		Labels: req.Labels, AutoRemove: req.AutoRemove, StopSignal: req.StopSignal, StopTimeout: req.StopTimeout,
		CPUs: e.cpus(req.CPUs), MemoryMB: e.memory(req.Memory), Mounts: p.mounting.points, ReadOnly: req.ReadOnly,
		Restart: req.Restart, HealthCheck: req.Health != nil, Limits: req.Limits}
	d.Networks, d.NoNetwork, d.Ports = p.networks, req.NoNetwork, req.Ports
	d.Hostname, d.Domainname, d.Hosts, d.DNS = req.Hostname, req.Domainname, req.Hosts, req.DNS
	if req.API != nil {
		api, err := req.API(id, name)
		if err != nil {
			return d, fmt.Errorf("container %s: %w", id, err)
		}
		d.API = api
	}
	return d, nil
}

func (e *Engine) cpus(want float64) int32 {
	if want <= 0 {
		return e.defaults().DefaultCPUs
	}
	return int32(math.Ceil(want))
}

// memory is the VM's size in MB: what was asked for, rounded up to what a VM can have.
func (e *Engine) memory(want int64) int64 {
	if want <= 0 {
		return e.defaults().DefaultMemoryMB
	}
	mb := (want + 1<<20 - 1) >> 20
	mb = (mb + memoryStepMB - 1) / memoryStepMB * memoryStepMB
	return max(mb, minMemoryMB)
}

// guestConfig is what the tether will find.
func guestConfig(d Definition, req CreateRequest, p parts) guest.Config {
	host := req.Hostname
	g := guest.Config{Version: 1, ID: d.ID, Name: d.Name, Hostname: host, Domainname: req.Domainname, Hosts: req.Hosts,
		DNS: req.DNS, Process: req.Process, Log: req.Log, Identity: p.identity,
		Restart: req.Restart, Health: req.Health, Limits: req.Limits, Security: req.Security, Tmpfs: req.Tmpfs,
		Sysctl: req.Sysctl, ShmSize: req.ShmSize}
	g.Root = guest.Root{Kind: string(p.root.Kind), ReadOnly: req.ReadOnly}
	for i := range p.root.Disks {
		g.Root.Disks = append(g.Root.Disks, i)
	}
	g.SetNetwork(guestNetwork(&d, p.endpoints))
	return g
}

// undo gives back what a failed create took. All of it may be given back though it was not taken.
func (e *Engine) undo(id string, networkIDs ...string) {
	ctx, cancel := e.background(undoTimeout)
	defer cancel()
	if err := e.removeVM(ctx, id); err != nil && !isNotFound(err) {
		e.log.Warn("undo of a failed create: the VM stays", "container", id, "err", err)
	}
	e.giveBack(ctx, id, networkIDs...)
}

// giveBack releases all that a container holds besides its VM.
func (e *Engine) giveBack(ctx context.Context, id string, networkIDs ...string) {
	var g errgroup.Group
	g.Go(func() error {
		err := e.opts.Storage.RemoveDisk(ctx, id)
		if err != nil {
			e.log.Warn("disk of a container stays", "container", id, "err", err)
			return nil
		}
		if err := e.opts.Images.Release(ctx, id); err != nil {
			e.log.Warn("image of a container stays held", "container", id, "err", err)
		}
		return nil
	})
	for _, n := range networkIDs {
		if n == "" {
			continue
		}
		g.Go(func() error {
			if err := e.opts.Network.Leave(ctx, network.LeaveRequest{Network: n, Container: id}); err != nil {
				e.log.Warn("network endpoint of a container stays", "container", id, "err", err)
			}
			return nil
		})
	}
	_ = g.Wait() // errors were logged
}
