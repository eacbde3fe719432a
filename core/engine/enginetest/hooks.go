package enginetest

import (
	"context"

	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/storage"
)

// At calls fn once when an engine of this world reaches a step, on the caller's way to the platform:
// "hold" (an image), "disk" (is prepared), "join" (a network), "vm" (is created), "start", "remove";
// "told" is news of a VM on its way to the engine; "capacity" is asked before a start, "unpublish" takes
// ports back at the end; "after" is when the VM was created. An error of fn is the step's.
func (w *World) At(step string, fn func(context.Context) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hooks == nil {
		w.hooks = map[string]func(context.Context) error{}
	}
	w.hooks[step] = fn
}

func (w *World) reach(ctx context.Context, step string) error {
	w.mu.Lock()
	fn := w.hooks[step]
	delete(w.hooks, step)
	w.mu.Unlock()
	if fn == nil {
		return nil
	}
	return fn(ctx)
}

type hookedCompute struct {
	*compute.Fake
	w *World
}

// Create makes a VM.
func (c hookedCompute) Create(ctx context.Context, req compute.CreateRequest) (compute.VM, error) {
	if err := c.w.reach(ctx, "vm"); err != nil {
		return compute.VM{}, err
	}
	vm, err := c.Fake.Create(ctx, req)
	if err == nil {
		_ = c.w.reach(ctx, "after") // whoever leaves now leaves a VM
	}
	return vm, err
}

// Capacity says what there is for VMs.
func (c hookedCompute) Capacity(ctx context.Context) (compute.Capacity, error) {
	if err := c.w.reach(ctx, "capacity"); err != nil {
		return compute.Capacity{}, err
	}
	return c.Fake.Capacity(ctx)
}

// Start powers a VM on.
func (c hookedCompute) Start(ctx context.Context, id string) error {
	if err := c.w.reach(ctx, "start"); err != nil {
		return err
	}
	return c.Fake.Start(ctx, id)
}

// Watch tells of the VMs.
func (c hookedCompute) Watch(ctx context.Context, fn func(compute.Event) error) error {
	return c.Fake.Watch(ctx, func(ev compute.Event) error {
		if ev.Kind == compute.EventPut {
			if err := c.w.reach(ctx, "told"); err != nil {
				return err
			}
		}
		return fn(ev)
	})
}

// Remove destroys a VM.
func (c hookedCompute) Remove(ctx context.Context, id string) error {
	if err := c.w.reach(ctx, "remove"); err != nil {
		return err
	}
	return c.Fake.Remove(ctx, id)
}

type hookedStorage struct {
	*storage.Fake
	w *World
}

// PrepareDisk prepares a container's disk.
func (s hookedStorage) PrepareDisk(ctx context.Context, req storage.PrepareDiskRequest) (storage.Root, error) {
	if err := s.w.reach(ctx, "disk"); err != nil {
		return storage.Root{}, err
	}
	return s.Fake.PrepareDisk(ctx, req)
}

type hookedNetwork struct {
	*network.Fake
	w *World
}

// Join gives a container a place on a network.
func (n hookedNetwork) Join(ctx context.Context, req network.JoinRequest) (network.Endpoint, error) {
	if err := n.w.reach(ctx, "join"); err != nil {
		return network.Endpoint{}, err
	}
	return n.Fake.Join(ctx, req)
}

type hookedImages struct {
	*Images
	w *World
}

// Hold holds an image.
func (i hookedImages) Hold(ctx context.Context, id, layer string) error {
	if err := i.w.reach(ctx, "hold"); err != nil {
		return err
	}
	return i.Images.Hold(ctx, id, layer)
}

// Unpublish takes a container's ports back.
func (n hookedNetwork) Unpublish(ctx context.Context, req network.UnpublishRequest) error {
	if err := n.w.reach(ctx, "unpublish"); err != nil {
		return err
	}
	return n.Fake.Unpublish(ctx, req)
}
