package plugin

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/serve"
)

// board holds what the plugins have said of themselves, so that one can be compared with another.
type board struct {
	mu      sync.Mutex
	posted  map[string][]Component
	changed chan struct{}
}

func newBoard() *board { return &board{posted: map[string][]Component{}, changed: make(chan struct{})} }

func (b *board) post(name string, components []Component) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.posted[name] = components
	close(b.changed)
	b.changed = make(chan struct{})
}

// wait returns what a plugin has posted, as soon as it has.
func (b *board) wait(ctx context.Context, name string) ([]Component, error) {
	for {
		b.mu.Lock()
		components, ok := b.posted[name]
		changed := b.changed
		b.mu.Unlock()
		if ok {
			return components, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// fits checks that a plugin can play its roles, and that what it makes can be attached by the compute
// driver. It waits until the compute driver has described itself.
func (h *Host) fits(ctx context.Context, name string, components []Component) error {
	roles := map[string]string{
		serve.KindCompute: h.opts.Roles.Compute,
		serve.KindStorage: h.opts.Roles.Storage,
		serve.KindNetwork: h.opts.Roles.Network,
	}
	for kind, plugin := range roles {
		if plugin == name && find(components, kind) == nil {
			return fmt.Errorf("engine.%s = %q, but this plugin has no %s driver (it has %s): %w",
				kind, name, kind, kindsOf(components), errdef.ErrInvalid)
		}
	}
	for kind, caps := range map[string][2]string{
		serve.KindStorage: {serve.CapMakesDisk, serve.CapDisk},
		serve.KindNetwork: {serve.CapMakesNIC, serve.CapNIC},
	} {
		if roles[kind] != name || roles[serve.KindCompute] == "" {
			continue
		}
		others, err := h.board.wait(ctx, roles[serve.KindCompute])
		if err != nil {
			return err
		}
		if err := attachable(find(components, kind), find(others, serve.KindCompute), caps, roles[serve.KindCompute]); err != nil {
			return err
		}
	}
	return nil
}

// attachable compares what one driver makes with what the compute driver attaches.
func attachable(maker, computer *Component, caps [2]string, computeName string) error {
	makes, takes := named(maker, caps[0]), named(computer, caps[1])
	for _, kind := range makes {
		if contains(takes, kind) {
			continue
		}
		can := "none"
		if len(takes) > 0 {
			can = strings.Join(takes, ", ")
		}
		what := strings.TrimSuffix(caps[1], ":")
		return fmt.Errorf("its %s driver makes %ss of kind %q, which the compute driver of plugin %q cannot attach (it attaches: %s); "+
			"choose another plugin for engine.%s or engine.compute: %w",
			maker.Kind, what, kind, computeName, can, maker.Kind, errdef.ErrInvalid)
	}
	return nil
}

func find(components []Component, kind string) *Component {
	for i := range components {
		if components[i].Kind == kind {
			return &components[i]
		}
	}
	return nil
}

// named are the capabilities that begin with prefix, without it.
func named(c *Component, prefix string) []string {
	if c == nil {
		return nil
	}
	var out []string
	for _, s := range c.Capabilities {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			out = append(out, rest)
		}
	}
	return out
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func kindsOf(components []Component) string {
	if len(components) == 0 {
		return "none"
	}
	var kinds []string
	for _, c := range components {
		kinds = append(kinds, c.Kind)
	}
	return strings.Join(kinds, ", ")
}
