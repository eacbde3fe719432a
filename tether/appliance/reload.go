package appliance

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// revisionInterval is how often the host's configuration is looked at. It is one small key; the
// backdoor knows no events.
const revisionInterval = 2 * time.Second

// catchUp reads the configuration again if it has ever been changed: the revision that belongs to it
// has to be read first.
func (m *Machine) catchUp(ctx context.Context) {
	rev, err := m.Keys.Get(ctx, guest.KeyRevision)
	if err != nil {
		return // made once and not changed since
	}
	var c guest.Config
	if err := m.Keys.GetJSON(ctx, guest.KeyConfig, &c); err == nil && c.Appliance != nil {
		m.config, m.revision = c, rev
	}
}

// follow puts every new revision of the configuration into effect until ctx ends.
func (m *Machine) follow(ctx context.Context) {
	tick := time.NewTicker(revisionInterval)
	defer tick.Stop()
	d := m.newDebugger(ctx)
	defer d.end()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		d.look(ctx)
		rev, err := m.Keys.Get(ctx, guest.KeyRevision)
		if errors.Is(err, errdef.ErrNotFound) || rev == m.revision {
			continue
		}
		if err == nil {
			err = m.reload(ctx)
		}
		if err != nil {
			m.Log.Warn("the new configuration could not be read", "err", err)
			continue
		}
		m.Log.Info("new configuration", "revision", rev)
		m.revision = rev
		m.board.revise(rev)
	}
}

// reload reads the configuration and applies what can be applied to a running machine: files,
// services, name servers and the syslog server. Disks and networks change with the next boot.
func (m *Machine) reload(ctx context.Context) error {
	var c guest.Config
	if err := m.Keys.GetJSON(ctx, guest.KeyConfig, &c); err != nil {
		return err
	}
	if c.Appliance == nil {
		return errdef.ErrInvalid
	}
	changed, err := replaceFiles("/", m.config.Appliance.Files, c.Appliance.Files)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.config.DNS, m.config.Appliance = c.DNS, c.Appliance
	m.mu.Unlock()
	if err := m.resolv(); err != nil {
		return err
	}
	m.syslog.send(c.Appliance.Syslog)
	for _, v := range m.services {
		for _, to := range c.Appliance.Services {
			if to.Name == v.service.Name {
				v.change(to, changed)
			}
		}
	}
	return nil
}

// replaceFiles writes the files that are new or other than before and removes those that are gone;
// it says whether there was one. Each file is replaced at once: a reader sees the old or the new.
func replaceFiles(root string, before, after []guest.File) (changed bool, err error) {
	same := func(a, b guest.File) bool { return a.Path == b.Path && a.Mode == b.Mode && bytes.Equal(a.Data, b.Data) }
	for _, f := range after {
		if slices.ContainsFunc(before, func(b guest.File) bool { return same(f, b) }) {
			continue
		}
		changed = true
		final := f.Path
		f.Path += ".new"
		if err := writeFiles(root, []guest.File{f}); err != nil {
			return changed, err
		}
		if err := os.Rename(filepath.Join(root, f.Path), filepath.Join(root, final)); err != nil {
			return changed, err
		}
	}
	for _, f := range before {
		if slices.ContainsFunc(after, func(a guest.File) bool { return a.Path == f.Path }) {
			continue
		}
		changed = true
		if err := os.Remove(filepath.Join(root, f.Path)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return changed, err
		}
	}
	return changed, nil
}
