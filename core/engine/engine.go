// Package engine makes containers out of VMs: it is the life of a container - create, start, attach,
// exec, stop, remove - over the compute, storage and network drivers and the link to the tether. It
// knows nothing of Docker's API and keeps no database: what a container is stands in its VM's
// metadata, and Watch brings it back after a restart.
package engine

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/core/event"
	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/storage"
)

// Storage is what the engine needs of the storage driver.
type Storage interface {
	storage.Disks
	storage.Volumes
	storage.Files
}

// Options are what an engine is made of.
type Options struct {
	Compute   compute.Driver
	Storage   Storage
	Network   network.Driver
	Images    Images
	Authority *link.Authority
	Events    *event.Hub
	Log       *slog.Logger
	Limits    Limits
	// BridgeNetwork is the name of the network that containers join.
	BridgeNetwork string
	// Names makes up a name; attempt counts from 0.
	Names func(attempt int) string
}

// Limits are what can be changed while an engine runs; containers that are there stay as they are.
type Limits struct {
	// DefaultCPUs and DefaultMemoryMB are the size of a VM whose container asks for none.
	DefaultCPUs     int32
	DefaultMemoryMB int64
	// MaxContainers bounds how many there are; 0: no bound.
	MaxContainers int
}

func (l Limits) atLeast() Limits {
	l.DefaultCPUs = max(l.DefaultCPUs, 1)
	l.DefaultMemoryMB = max(l.DefaultMemoryMB, minMemoryMB)
	return l
}

// SetLimits is for the containers that are made from now on.
func (e *Engine) SetLimits(l Limits) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.limits = l.atLeast()
	e.registry.bound(l.MaxContainers)
}

func (e *Engine) defaults() Limits {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.limits
}

// Engine holds the containers of one VCH. It has a method for each thing that is done to a container, in a
// file of that name, and parts that know nothing of one another: registry, which containers there are;
// Volumes; Networks; outputs, what containers have written; room, what may start. Their locks are said where
// they are; a part that asks another holds none of its own, but for the turn of a volume.
type Engine struct {
	opts   Options
	dialer *link.Dialer
	log    *slog.Logger
	ctx    context.Context // life of the engine: background work ends with it
	ready  chan struct{}   // closed when the first list of VMs is in
	room   *room

	registry *registry
	outputs  outputs

	Volumes  *Volumes
	Networks *Networks

	mu     sync.Mutex // guards limits
	limits Limits
}

// New returns an engine that lives as long as ctx. Run it to have it see the platform.
func New(ctx context.Context, o Options) (*Engine, error) {
	if o.Compute == nil || o.Storage == nil || o.Network == nil || o.Images == nil || o.Authority == nil || o.Events == nil || o.Names == nil {
		return nil, fail(errdef.ErrInvalid, "engine: a part is missing")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.BridgeNetwork == "" {
		o.BridgeNetwork = network.DefaultName
	}
	e := &Engine{opts: o, limits: o.Limits.atLeast(), dialer: link.NewDialer(o.Compute, o.Authority), log: o.Log, ctx: ctx, room: newRoom(o.Compute),
		ready: make(chan struct{}), registry: newRegistry(o.Limits.MaxContainers), outputs: outputs{disks: o.Storage}}
	e.Volumes, e.Networks = newVolumes(e), newNetworks(e)
	return e, nil
}

// Ready is closed when the engine knows all containers.
func (e *Engine) Ready() <-chan struct{} { return e.ready }

// Get returns one container by ID, name or unique beginning of the ID.
func (e *Engine) Get(ref string) (Container, error) {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return Container{}, err
	}
	return c.view(), nil
}

// List returns all containers, the newest first.
func (e *Engine) List() []Container {
	cs := e.registry.all()
	out := make([]Container, 0, len(cs))
	for _, c := range cs {
		out = append(out, c.view())
	}
	slices.SortFunc(out, func(a, b Container) int {
		if d := b.Created.Compare(a.Created); d != 0 {
			return d
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// background is a context for work that goes on when the request is gone.
func (e *Engine) background(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(e.ctx, d)
}

// detached is ctx without its end: a user who leaves does not leave half a start behind. It ends
// with the engine.
func (e *Engine) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(e.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// bounded is ctx that also ends with the engine.
func (e *Engine) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(e.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}
