// Package bundle collects what tells why a VCH or a hub does not work, from vSphere and from the appliance, into
// one archive without secrets. What cannot be had is noted and left out: a bundle is made of VCHs that
// are broken.
package bundle

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/vmware/govmomi/event"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
)

// Limits of what is collected.
const (
	maxLog    = 2 << 20 // of each VM's console and of the endpoint's vmware.log: their ends
	maxEvents = 1000
)

// Source is where a bundle comes from.
type Source struct {
	Session *session.Session
	Editor  *vch.Editor
	Details *vch.Details
	Options map[string][]string
	// Admin asks the endpoint's own API; nil, or an error, if it cannot be reached.
	Admin interface {
		Get(ctx context.Context, path string) ([]byte, error)
	}
}

// writer writes the archive; the names of what is missing go into its last file.
type writer struct {
	tar    *tar.Writer
	top    string
	redact *redactor
	notes  []string
	now    time.Time
}

// Write collects everything. The notes say what is not in it, and why.
func Write(ctx context.Context, w io.Writer, s Source) (notes []string, err error) {
	z := gzip.NewWriter(w)
	b := &writer{tar: tar.NewWriter(z), top: s.Details.Name + "-logs", now: time.Now(),
		redact: newRedactor(s.Session.Target.Password, s.Editor.Login().Password)}
	for _, part := range []func(context.Context, Source) error{b.description, b.files, b.consoles, b.events, b.endpoint, b.missing} {
		if err := part(ctx, s); err != nil {
			return b.notes, err
		}
	}
	if err := b.tar.Close(); err != nil {
		return b.notes, err
	}
	return b.notes, z.Close()
}

// add puts a file into the archive, without secrets.
func (b *writer) add(name string, data []byte) error {
	return b.put(name, b.redact.clean(data))
}

func (b *writer) put(name string, data []byte) error {
	h := &tar.Header{Name: path.Join(b.top, name), Mode: 0o600, Size: int64(len(data)), ModTime: b.now}
	if err := b.tar.WriteHeader(h); err != nil {
		return err
	}
	_, err := b.tar.Write(data)
	return err
}

// try adds what f returns, or notes why there is nothing.
func (b *writer) try(name string, f func() ([]byte, error)) error {
	data, err := f()
	if err != nil {
		b.notes = append(b.notes, fmt.Sprintf("%s: %v", name, err))
		return nil
	}
	return b.add(name, data)
}

func (b *writer) description(_ context.Context, s Source) error {
	for name, v := range map[string]any{"vch.json": s.Details, "options.json": s.Options} {
		data, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return err
		}
		if err := b.add(name, data); err != nil {
			return err
		}
	}
	return nil
}

// files are the endpoint's configuration files, but for keys and certificates.
func (b *writer) files(_ context.Context, s Source) error {
	for name, text := range s.Editor.ConfigFiles() {
		if err := b.add(path.Join("endpoint", "etc", path.Base(name)), []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// consoles are the console logs of all VMs, and what the hypervisor says of the endpoint.
func (b *writer) consoles(ctx context.Context, s Source) error {
	all, err := s.Editor.VMs(ctx)
	if err != nil {
		b.notes = append(b.notes, fmt.Sprintf("the VMs of the VCH: %v", err))
		return nil
	}
	for _, v := range all {
		files, home, err := s.Editor.HomeOf(ctx, v)
		if err != nil {
			b.notes = append(b.notes, fmt.Sprintf("%s: %v", v.Name, err))
			continue
		}
		folder, logs := path.Join("containers", v.Name), []string{config.ConsoleLog}
		if v.Record != nil {
			folder, logs = "endpoint", []string{config.ConsoleLog, "vmware.log"}
		}
		for _, l := range logs {
			if err := b.try(path.Join(folder, l), func() ([]byte, error) { return files.Tail(ctx, path.Join(home, l), maxLog) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// events are vSphere's, of the VCH's pool and all that is in it; tasks are among them.
func (b *writer) events(ctx context.Context, s Source) error {
	ref, ok := s.Editor.Pool()
	if !ok {
		return nil
	}
	return b.vsphereEvents(ctx, s.Session, ref, types.EventFilterSpecRecursionOptionAll)
}

// vsphereEvents are those of an object.
func (b *writer) vsphereEvents(ctx context.Context, s *session.Session, ref types.ManagedObjectReference, what types.EventFilterSpecRecursionOption) error {
	return b.try("vsphere/events.txt", func() ([]byte, error) {
		all, err := event.NewManager(s.Client()).QueryEvents(ctx, types.EventFilterSpec{MaxCount: maxEvents,
			Entity: &types.EventFilterSpecByEntity{Entity: ref, Recursion: what}})
		if err != nil {
			return nil, vsphere.Classify(err)
		}
		var text strings.Builder
		for _, e := range all {
			ev := e.GetEvent()
			fmt.Fprintf(&text, "%s %T %s %s\n", ev.CreatedTime.Format(time.RFC3339), e, ev.UserName, strings.TrimSpace(ev.FullFormattedMessage))
		}
		return []byte(text.String()), nil
	})
}

// endpoint is what the endpoint itself tells.
func (b *writer) endpoint(ctx context.Context, s Source) error {
	if s.Admin == nil {
		b.notes = append(b.notes, "the endpoint's own logs: its admin API is not served (--no-tls)")
		return nil
	}
	for name, p := range map[string]string{"endpoint/vicd.log": "/v1/logs?lines=100000", "endpoint/plugins.json": "/v1/plugins",
		"endpoint/version.json": "/v1/version"} {
		if err := b.try(name, func() ([]byte, error) { return s.Admin.Get(ctx, p) }); err != nil {
			return err
		}
	}
	return nil
}

func (b *writer) missing(context.Context, Source) error {
	if len(b.notes) == 0 {
		return nil
	}
	return b.add("NOT-COLLECTED.txt", []byte(strings.Join(b.notes, "\n")+"\n"))
}
