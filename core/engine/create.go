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

// Create makes a container; it does not start it. Nothing is left behind if it fails. ErrNotFound: the
// image's layer is gone; whatever else the request names and is not there, is ErrInvalid.
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
	c, release, err := e.build(ctx, id, name, req)
	if err != nil {
		e.registry.release(name, id)
		return Container{}, err
	}
	e.registry.add(c)
	release()
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
	return e.registry.reserve(name, id)
}

// parts are what a VM is made of, gathered side by side.
type parts struct {
	root      storage.Root
	endpoints []network.Endpoint // in the order of the definition's networks
	identity  guest.Identity
	mounting  mounting
}

// build makes the container's VM. Its volumes are held until release is called.
func (e *Engine) build(ctx context.Context, id, name string, req CreateRequest) (c *container, release func(), err error) {
	d, mounts, err := e.resolve(ctx, id, name, req)
	if err != nil {
		return nil, nil, err
	}
	p, err := e.gather(ctx, &d, mounts)
	if err == nil {
		c, err = e.createVM(ctx, &d, req, p)
	}
	if err == nil {
		err = ctx.Err() // whoever wanted it has left and will never know its name
	}
	if err != nil {
		e.undo(id, networkIDsOf(d.Networks)...)
		e.Volumes.abandon(p.mounting)
		return nil, nil, err
	}
	return c, p.mounting.release, nil
}

// gather takes what a definition needs and completes it with the places that its networks gave; what does
// not depend on one another goes at the same time.
func (e *Engine) gather(ctx context.Context, d *Definition, mounts []MountRequest) (p parts, err error) {
	p.mounting.release = func() {}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := e.opts.Images.Hold(gctx, d.ID, d.Image.Layer); err != nil {
			return fmt.Errorf("image %s: %w", d.Image.Ref, err)
		}
		root, err := e.opts.Storage.PrepareDisk(gctx, storage.PrepareDiskRequest{ID: d.ID, Layer: d.Image.Layer})
		if err != nil {
			return fmt.Errorf("disk of the container: %w", err)
		}
		p.root = root
		return nil
	})
	g.Go(func() error {
		var err error
		p.endpoints, err = e.Networks.joinAll(gctx, d)
		return notTheImage(err)
	})
	g.Go(func() error {
		var err error
		p.mounting, err = e.Volumes.mount(gctx, mounts)
		return err
	})
	g.Go(func() error {
		var err error
		p.identity, err = e.opts.Authority.Issue(d.ID)
		return err
	})
	if err := g.Wait(); err != nil {
		return p, err
	}
	return p, p.mounting.place(p.root)
}

// createVM finishes the definition and makes the VM that holds it.
func (e *Engine) createVM(ctx context.Context, d *Definition, req CreateRequest, p parts) (*container, error) {
	d.Created, d.Mounts = time.Now().UTC(), p.mounting.points
	if req.API != nil {
		api, err := req.API(d.ID, d.Name)
		if err != nil {
			return nil, fmt.Errorf("container %s: %w", d.ID, err)
		}
		d.API = api
	}
	metadata, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", d.ID, err)
	}
	g, err := guestConfig(d, req.Guest, p)
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(g)
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", d.ID, err)
	}
	vm, err := e.opts.Compute.Create(ctx, compute.CreateRequest{ID: d.ID, Name: d.Name, CPUs: d.CPUs, MemoryMB: d.MemoryMB,
		Disks: slices.Concat(p.root.Disks, p.mounting.disks), NICs: nicsOf(p.endpoints),
		Guest: map[string]string{guest.KeyConfig: string(config)}, Metadata: metadata})
	if err != nil {
		return nil, fmt.Errorf("container VM: %w", err)
	}
	c := newContainer(*d)
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

// guestConfig is what the tether will find: what is for the guest alone, and what the definition says.
func guestConfig(d *Definition, g guest.Config, p parts) (guest.Config, error) {
	g.Version, g.ID, g.Name, g.Hostname, g.Domainname = 1, d.ID, d.Name, d.Hostname, d.Domainname
	g.Process, g.Restart, g.Limits, g.Identity = d.Process, d.Restart, d.Limits, p.identity
	g.Root = guest.Root{Kind: string(p.root.Kind), ReadOnly: d.ReadOnly}
	for i := range p.root.Disks {
		g.Root.Disks = append(g.Root.Disks, i)
	}
	g.SetNetwork(guestNetwork(d, p.endpoints))
	var err error
	g.Mounts, err = guestMounts(d.Mounts)
	return g, err
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
