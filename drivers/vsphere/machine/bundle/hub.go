package bundle

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"path"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/hubvm"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
)

// HubSource is where a hub's bundle comes from.
type HubSource struct {
	Session *session.Session
	Hub     *hubvm.Debugger
	// Own asks the hub for its own bundle, a tar.gz; an error says why there is none.
	Own func(ctx context.Context) ([]byte, error)
}

// WriteHub collects everything of a hub. The notes say what is not in it, and why.
func WriteHub(ctx context.Context, w io.Writer, s HubSource) (notes []string, err error) {
	z := gzip.NewWriter(w)
	d := s.Hub.Details
	b := &writer{tar: tar.NewWriter(z), top: d.Record.Name + "-logs", now: time.Now(),
		redact: newRedactor(append(s.Hub.Secrets(), s.Session.Target.Password)...)}
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, err
	}
	steps := []func() error{func() error { return b.add("hub.json", text) }}
	for name, text := range s.Hub.ConfigFiles() {
		steps = append(steps, func() error { return b.add(path.Join("etc", path.Base(name)), []byte(text)) })
	}
	for _, l := range []string{config.ConsoleLog, "vmware.log"} {
		steps = append(steps, func() error {
			return b.try(l, func() ([]byte, error) { return s.Hub.Files().Tail(ctx, path.Join(s.Hub.Home(), l), maxLog) })
		})
	}
	steps = append(steps, func() error {
		return b.vsphereEvents(ctx, s.Session, s.Hub.VM().Reference(), types.EventFilterSpecRecursionOptionSelf)
	}, func() error { return b.packed("hub.tar.gz", func() ([]byte, error) { return s.Own(ctx) }) },
		func() error { return b.missing(ctx, Source{}) })
	for _, step := range steps {
		if err := step(); err != nil {
			return b.notes, err
		}
	}
	if err := b.tar.Close(); err != nil {
		return b.notes, err
	}
	return b.notes, z.Close()
}

// packed adds an archive as it is: who made it has removed the secrets.
func (b *writer) packed(name string, f func() ([]byte, error)) error {
	data, err := f()
	if err != nil {
		b.notes = append(b.notes, name+", the hub's own bundle: "+err.Error())
		return nil
	}
	return b.put(name, data)
}
