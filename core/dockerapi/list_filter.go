package dockerapi

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/go-connections/nat"

	"github.com/openvic/vic/core/engine"
)

// listFilter decides what docker ps shows, with the meanings that Docker's daemon gives its filters.
type listFilter struct {
	args            filters.Args
	all             []engine.Container // newest first
	opts            *container.ListOptions
	before, since   string // IDs
	ancestors       map[string]bool
	exited          []int
	publish, expose map[nat.Port]bool
	ids             map[string]bool // what the id filter means; nil without one
	taken           int
}

func filterNames() map[string]bool {
	m := map[string]bool{}
	for _, n := range strings.Fields("ancestor before exited id isolation label name status health since volume network is-task publish expose") {
		m[n] = true
	}
	return m
}

func (b *containers) newFilter(ctx context.Context, o *container.ListOptions) (*listFilter, error) {
	if err := o.Filters.Validate(filterNames()); err != nil {
		return nil, err
	}
	f := &listFilter{args: o.Filters, all: b.opts.Engine.List(), opts: o}
	steps := []func() error{f.readExited, f.readStates, f.readOrder, f.readIDs, f.readPorts}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	f.readAncestors(ctx, b.opts.Images)
	return f, nil
}

func (f *listFilter) readExited() error {
	for _, v := range f.args.Get("exited") {
		n, err := strconv.Atoi(v)
		if err != nil {
			return invalid("invalid filter 'exited=%s': %v", v, err)
		}
		f.exited = append(f.exited, n)
	}
	return nil
}

func (f *listFilter) readStates() error {
	for _, v := range f.args.Get("status") {
		if err := container.ValidateContainerState(v); err != nil {
			return invalid("invalid filter 'status=%s': %v", v, err)
		}
		f.opts.All = true
	}
	for _, v := range f.args.Get("health") {
		if err := container.ValidateHealthStatus(v); err != nil {
			return invalid("invalid filter 'health=%s': %v", v, err)
		}
	}
	_, err := f.args.GetBoolOrDefault("is-task", false)
	return err
}

// readOrder finds the containers of before= and since=.
func (f *listFilter) readOrder() error {
	find := func(key string) (string, error) {
		id := ""
		for _, v := range f.args.Get(key) {
			i := slices.IndexFunc(f.all, func(c engine.Container) bool { return c.ID == v || c.Name == trimSlash(v) })
			if i < 0 {
				i = f.byPrefix(v)
			}
			if i < 0 {
				return "", wrap(notFound(v))
			}
			id = f.all[i].ID
		}
		return id, nil
	}
	var err error
	if f.before, err = find("before"); err != nil {
		return err
	}
	f.since, err = find("since")
	return err
}

// byPrefix returns the one container whose ID begins so; -1 for none or several.
func (f *listFilter) byPrefix(prefix string) int {
	found := -1
	for i, c := range f.all {
		if strings.HasPrefix(c.ID, prefix) && prefix != "" {
			if found >= 0 {
				return -1
			}
			found = i
		}
	}
	return found
}

func (f *listFilter) readIDs() error {
	ids := f.args.Get("id")
	if len(ids) == 0 {
		return nil
	}
	f.ids = map[string]bool{}
	for _, v := range ids {
		if i := f.byPrefix(v); i >= 0 {
			f.ids[f.all[i].ID] = true
		}
	}
	return nil
}

func (f *listFilter) readPorts() (err error) {
	if f.publish, err = portFilter("publish", f.args.Get("publish")); err != nil {
		return err
	}
	f.expose, err = portFilter("expose", f.args.Get("expose"))
	return err
}

func (f *listFilter) readAncestors(ctx context.Context, images Images) {
	if !f.args.Contains("ancestor") {
		return
	}
	f.ancestors = map[string]bool{}
	for _, v := range f.args.Get("ancestor") {
		if img, err := images.Resolve(ctx, v); err == nil {
			f.ancestors[img.ID] = true
		}
	}
}

// includes says whether a container is shown, and whether to stop looking.
func (f *listFilter) includes(s *container.Summary, c *engine.Container) (take, stop bool) {
	if f.before != "" { // only what is older
		if c.ID == f.before {
			f.before = ""
		}
		return false, false
	}
	if f.since != "" && c.ID == f.since {
		return false, true
	}
	if !c.State.Running() && !f.opts.All && f.opts.Limit <= 0 {
		return false, false
	}
	if !f.matches(s, c) {
		return false, false
	}
	if f.opts.Limit > 0 && f.taken == f.opts.Limit {
		return false, true
	}
	f.taken++
	return true, false
}

func (f *listFilter) matches(s *container.Summary, c *engine.Container) bool {
	a := f.args
	isTask, _ := a.GetBoolOrDefault("is-task", false)
	switch {
	case !a.Match("name", "/"+c.Name) && !a.Match("name", c.Name):
	case f.ids != nil && !f.ids[c.ID]:
	case isTask: // containers of a swarm: there are none
	case !a.MatchKVList("label", c.Labels):
	case a.Contains("isolation") && !a.Match("isolation", "default"):
	case len(f.exited) > 0 && !f.matchesExit(c):
	case !a.Match("status", string(c.State.Status)):
	case !a.ExactMatch("health", healthWord(c.State)):
	case a.Contains("volume") && !usesVolume(c, a.Get("volume")):
	case f.ancestors != nil && !f.ancestors[c.Image.ID]:
	case a.Contains("network") && !f.matchesNetwork(c):
	case (len(f.publish) > 0 || len(f.expose) > 0) && !f.matchesPort(s):
	default:
		return true
	}
	return false
}

func (f *listFilter) matchesExit(c *engine.Container) bool {
	return !c.State.Running() && !c.State.Started.IsZero() && slices.Contains(f.exited, c.State.ExitCode)
}

func (f *listFilter) matchesNetwork(c *engine.Container) bool {
	for _, v := range f.args.Get("network") {
		for _, n := range c.Networks {
			if n.Name == v || strings.HasPrefix(n.NetworkID, v) {
				return true
			}
		}
	}
	return false
}

func (f *listFilter) matchesPort(s *container.Summary) bool {
	for _, p := range s.Ports {
		if f.publish[nat.Port(fmt.Sprintf("%d/%s", p.PublicPort, p.Type))] || f.expose[nat.Port(fmt.Sprintf("%d/%s", p.PrivatePort, p.Type))] {
			return true
		}
	}
	return false
}
