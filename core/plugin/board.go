package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/openvic/vic/core/kinds"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/kind"
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

// fits checks that a plugin can play its roles, and that what it says it needs of the drivers in other
// roles is there. It waits until those have described themselves.
func (h *Host) fits(ctx context.Context, name string, components []Component) error {
	for _, k := range kinds.All() {
		if !slices.Contains(h.opts.Roles[k.Name], name) {
			continue
		}
		own := find(components, k.Name)
		if own == nil {
			return fmt.Errorf("roles.%s = %q, but this plugin has no %s driver (it has %s): %w",
				k.Name, name, k.Name, kindsOf(components), errdef.ErrInvalid)
		}
		for _, word := range own.Capabilities {
			if err := h.meets(ctx, k, word); err != nil {
				return err
			}
		}
	}
	return nil
}

// meets checks one word of a driver against the drivers in the role that the word needs.
func (h *Host) meets(ctx context.Context, k kind.Info, word string) error {
	c, known := k.Known(word)
	if !known {
		h.opts.Log.Info("a plugin has a capability that this host does not know", "kind", k.Name, "capability", word)
	}
	if c.Needs == "" {
		return nil
	}
	needs := c.Needs + strings.TrimPrefix(word, c.Word)
	for _, other := range h.opts.Roles[c.NeedsOf] {
		components, err := h.board.wait(ctx, other)
		if err != nil {
			return err
		}
		driver := find(components, c.NeedsOf)
		if driver == nil || slices.Contains(driver.Capabilities, needs) {
			continue // a plugin without such a driver is told so itself
		}
		return fmt.Errorf("its %s driver says %q, which needs %q of the %s driver of plugin %q (which says: %s); "+
			"choose another plugin for roles.%s or roles.%s: %w",
			k.Name, word, needs, c.NeedsOf, other, said(driver, c.Needs), k.Name, c.NeedsOf, errdef.ErrInvalid)
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

// said lists the capabilities that begin with prefix, for people.
func said(c *Component, prefix string) string {
	var words []string
	for _, w := range c.Capabilities {
		if strings.HasPrefix(w, prefix) {
			words = append(words, w)
		}
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
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
