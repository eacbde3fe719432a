// Package plugin starts the plugins that the configuration names, watches over them, and hands out
// drivers that stay valid while the processes behind them come and go.
//
// Each plugin has a supervisor, one goroutine, which leads one process after the other through its
// life: check the program's sha256, launch, Describe, check that it fits, Configure, watch, and when
// it ends start over. A fault that no restart can mend (a wrong sum, a wrong configuration, a plugin
// of the wrong kind) makes the plugin "refused" until an administrator asks for a restart.
package plugin

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/kinds"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/kind"
)

// Options are what a Host is made of.
type Options struct {
	Plugins []config.Plugin
	Roles   config.Roles
	Log     *slog.Logger
	// RunDir holds the plugins' sockets; "" means the system's directory for temporary files.
	RunDir string
	// OnUp, if set, is called each time a plugin is up, in a goroutine of its own.
	OnUp func(ctx context.Context, name string)
	// Wait is how long a call waits for a plugin that is starting; 0 means 15 s.
	Wait time.Duration
	// Observe, if set, hears of each call to a plugin when it has ended, and of each stream when it
	// was begun. The method is gRPC's full name.
	Observe func(plugin, method string, stream bool, took time.Duration, err error)
	// LogLevel is handed to the plugins.
	LogLevel slog.Level
}

// Host holds all plugins.
type Host struct {
	opts        Options
	supervisors []*supervisor
	board       *board
}

// New makes a host; Run starts the plugins. It fails if a role names a plugin that is not there.
func New(o Options) (*Host, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Wait == 0 {
		o.Wait = 15 * time.Second
	}
	if o.Observe == nil {
		o.Observe = func(string, string, bool, time.Duration, error) {}
	}
	if o.RunDir == "" {
		o.RunDir = os.TempDir()
	}
	h := &Host{opts: o, board: newBoard()}
	for _, p := range o.Plugins {
		h.supervisors = append(h.supervisors, newSupervisor(h, p))
	}
	for _, k := range kinds.All() {
		for _, name := range o.Roles[k.Name] {
			if _, err := h.find(name); err != nil {
				return nil, fmt.Errorf("roles.%s: %w", k.Name, err)
			}
		}
	}
	return h, nil
}

// playing lists the roles that the configuration gives a plugin.
func (h *Host) playing(name string) []Playing {
	var all []Playing
	for _, k := range kinds.All() {
		i := slices.Index(h.opts.Roles[k.Name], name)
		switch {
		case i < 0:
		case k.Takes == kind.List:
			all = append(all, Playing{k.Name, i + 1})
		default:
			all = append(all, Playing{Kind: k.Name})
		}
	}
	return all
}

// Run starts all plugins and returns when ctx has ended and all of them are gone.
func (h *Host) Run(ctx context.Context) error {
	if err := os.MkdirAll(h.opts.RunDir, 0o755); err != nil {
		return fmt.Errorf("directory for the plugins' sockets: %w", err)
	}
	var wg sync.WaitGroup
	for _, s := range h.supervisors {
		wg.Go(func() { s.run(ctx) })
	}
	wg.Wait()
	return nil
}

func (h *Host) find(name string) (*supervisor, error) {
	var names []string
	for _, s := range h.supervisors {
		if s.spec.Name == name {
			return s, nil
		}
		names = append(names, s.spec.Name)
	}
	have := "there is none at all"
	if len(names) > 0 {
		have = "there is " + strings.Join(names, ", ")
	}
	return nil, fmt.Errorf("plugin %q is not named by any file in plugins.dir; %s: %w", name, have, errdef.ErrNotFound)
}

// Driver returns the driver of one kind in a plugin. It stays valid for the life of the host: a call
// goes to the process of the moment, waits a while for one that is starting, and fails with
// errdef.ErrPluginDown when the process ends under it. errdef.ErrNotFound if there is no such plugin.
func Driver[D any](h *Host, k kind.Of[D], name string) (D, error) {
	s, err := h.find(name)
	if err != nil {
		var none D
		return none, err
	}
	return k.Client(&handle{s}), nil
}

// Player is a driver with the name of the plugin that has it, and what the plugin says that it can: nothing
// until it has been up once.
type Player[D any] struct {
	Plugin       string
	Driver       D
	Capabilities []string
}

// Role returns the drivers that play a kind's role, in the order of the configuration; none if the
// role is not taken. They stay valid like Driver's.
func Role[D any](h *Host, k kind.Of[D]) []Player[D] {
	var all []Player[D]
	for _, name := range h.opts.Roles[k.Name] {
		if s, err := h.find(name); err == nil { // New has seen that it is there
			all = append(all, player(s, k))
		}
	}
	return all
}

func player[D any](s *supervisor, k kind.Of[D]) Player[D] {
	p := Player[D]{Plugin: s.spec.Name, Driver: k.Client(&handle{s})}
	if c := find(s.status().Components, k.Name); c != nil {
		p.Capabilities = c.Capabilities
	}
	return p
}

// Offering returns the drivers of a kind in all plugins that have said that they offer it, in the order of
// List. It is for kinds that no role names.
func Offering[D any](h *Host, k kind.Of[D]) []Player[D] {
	var all []Player[D]
	for _, s := range h.inOrder() {
		if find(s.status().Components, k.Name) != nil {
			all = append(all, player(s, k))
		}
	}
	return all
}

// List returns the status of all plugins: first those that play roles, in the order of the kinds and of
// the list of each role, then the others in the order of their files.
func (h *Host) List() []Status {
	all := make([]Status, 0, len(h.supervisors))
	for _, s := range h.inOrder() {
		all = append(all, s.status())
	}
	return all
}

// inOrder lists the supervisors in the order of List.
func (h *Host) inOrder() []*supervisor {
	var all []*supervisor
	add := func(s *supervisor) {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	for _, k := range kinds.All() {
		for _, name := range h.opts.Roles[k.Name] {
			if s, err := h.find(name); err == nil { // New has seen that it is there
				add(s)
			}
		}
	}
	for _, s := range h.supervisors {
		add(s)
	}
	return all
}

// Get returns the status of one plugin; errdef.ErrNotFound.
func (h *Host) Get(name string) (Status, error) {
	s, err := h.find(name)
	if err != nil {
		return Status{}, err
	}
	return s.status(), nil
}

// Restart ends a plugin's process, or the pause before its next one, and starts it anew. It returns
// when the plugin is up or refused, or ctx ends. errdef.ErrUnavailable if it did not come up.
func (h *Host) Restart(ctx context.Context, name string) (Status, error) {
	s, err := h.find(name)
	if err != nil {
		return Status{}, err
	}
	return s.restart(ctx)
}
