package dockerapi

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
	"github.com/docker/go-units"

	"github.com/openvic/vic/core/engine"
)

// Containers is docker ps.
func (b *containers) Containers(ctx context.Context, o *container.ListOptions) ([]*container.Summary, error) {
	f, err := b.newFilter(ctx, o)
	if err != nil {
		return nil, err
	}
	images := b.imageNames(ctx)
	out := []*container.Summary{}
	for _, c := range f.all {
		s := b.summary(&c)
		take, stop := f.includes(s, &c)
		if stop {
			break
		}
		if take {
			s.Image = images(c.Image)
			out = append(out, s)
		}
	}
	if o.Size {
		return out, b.sizes(ctx, out)
	}
	return out, nil
}

// imageNames shows an image by the name it was created from while that still means this image.
func (b *containers) imageNames(ctx context.Context) func(engine.Image) string {
	known := map[string]string{}
	return func(i engine.Image) string {
		if i.Ref == i.ID || i.Ref == "" {
			return i.ID
		}
		now, ok := known[i.Ref]
		if !ok {
			img, err := b.opts.Images.Resolve(ctx, i.Ref)
			if err == nil {
				now = img.ID
			}
			known[i.Ref] = now
		}
		if now == i.ID {
			return i.Ref
		}
		return i.ID
	}
}

func (b *containers) summary(c *engine.Container) *container.Summary {
	d := b.definition(c)
	s := &container.Summary{ID: c.ID, Names: []string{"/" + c.Name}, Image: c.Image.Ref, ImageID: c.Image.ID, Command: command(c.Process.Args),
		Created: c.Created.Unix(), Ports: ports(c, d), Labels: c.Labels, State: container.ContainerState(c.State.Status),
		Status: statusText(c.State, time.Now()), NetworkSettings: &container.NetworkSettingsSummary{Networks: endpoints(c)},
		Mounts: mountPoints(c.Mounts), ImageManifestDescriptor: d.Manifest}
	s.HostConfig.NetworkMode, s.HostConfig.Annotations = string(d.HostConfig.NetworkMode), d.HostConfig.Annotations
	return s
}

// command is Docker's: arguments with spaces are quoted.
func command(args []string) string {
	if len(args) == 0 {
		return ""
	}
	out := []string{args[0]}
	for _, a := range args[1:] {
		if strings.Contains(a, " ") {
			a = fmt.Sprintf("'%s'", a)
		}
		out = append(out, a)
	}
	return strings.Join(out, " ")
}

// statusText is the STATUS column.
func statusText(s engine.State, now time.Time) string {
	switch s.Status {
	case engine.StatusRunning:
		return "Up " + units.HumanDuration(now.Sub(s.Started)) + healthText(s.Health)
	case engine.StatusRestarting:
		return fmt.Sprintf("Restarting (%d) %s ago", s.ExitCode, units.HumanDuration(now.Sub(s.Finished)))
	case engine.StatusPaused:
		return "Up " + units.HumanDuration(now.Sub(s.Started)) + " (Paused)"
	case engine.StatusRemoving:
		return "Removal In Progress"
	case engine.StatusCreated:
		return "Created"
	}
	return fmt.Sprintf("Exited (%d) %s ago", s.ExitCode, units.HumanDuration(now.Sub(s.Finished)))
}

// portFilter reads "80", "80/tcp" and "80-90/udp".
func portFilter(key string, values []string) (map[nat.Port]bool, error) {
	m := map[nat.Port]bool{}
	for _, v := range values {
		if strings.Contains(v, ":") {
			return nil, invalid("filter for '%s' should not contain ':': %s", key, v)
		}
		proto, port := nat.SplitProtoPort(v)
		start, end, err := nat.ParsePortRange(port)
		if err != nil {
			return nil, invalid("error while looking up for %s %s: %v", key, v, err)
		}
		for i := start; i <= end; i++ {
			p, err := nat.NewPort(proto, strconv.FormatUint(i, 10))
			if err != nil {
				return nil, invalid("error while looking up for %s %s: %v", key, v, err)
			}
			m[p] = true
		}
	}
	return m, nil
}
