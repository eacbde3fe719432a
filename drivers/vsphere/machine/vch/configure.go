package vch

import (
	"context"
	"errors"
	"slices"

	"github.com/openvic/vic/sdk/guest"
)

// Change is what configure changes: nothing that is not named in it.
type Change struct {
	Settings     Settings // as they shall be
	Options      map[string][]string
	VolumeStores []VolumeStore // that are new
	Ops          Login         // without a user: the one that is there
	GrantOps     bool          // give that account the privileges that it needs, or mend them
	RegistryCAs  [][]byte      // besides those that are there
}

// Configure puts a Change into effect; containers do not notice. It says whether anything changed.
func (e *Editor) Configure(ctx context.Context, ch Change) (bool, error) {
	r := e.ep.Record
	fresh := len(ch.VolumeStores) > 0 || slices.ContainsFunc(ch.Settings.ContainerNetworks, func(n ContainerNetwork) bool {
		return !slices.ContainsFunc(r.Settings.ContainerNetworks, func(had ContainerNetwork) bool { return had.Portgroup == n.Portgroup })
	})
	r.Settings, r.Options = ch.Settings, ch.Options
	group := r.VMGroup
	if ch.Settings.AffinityVMGroup && group == "" {
		if err := e.groupOn(ctx); err != nil {
			return false, errors.Join(err, e.ungroup(ctx))
		}
		fresh = true
	}
	if !ch.Settings.AffinityVMGroup {
		r.VMGroup = ""
	}
	for _, s := range ch.VolumeStores {
		if r.VolumeStores == nil {
			r.VolumeStores = map[string]string{}
		}
		r.VolumeStores[s.Label] = s.Location()
		if err := s.make(ctx, r, func() error { return r.writeMarker(ctx, e.files) }); err != nil {
			return false, err
		}
		e.log.Printf("the volume store %s is %s", s.Label, s.Location())
	}
	if ch.Ops.User != "" {
		e.ep.login = ch.Ops
	}
	// Whom create gave its privileges has them on what is new as well.
	if ch.GrantOps || fresh && len(r.Grants) > 0 && ch.Ops.User == "" {
		if err := e.grant(ctx, e.ep.login.User); err != nil {
			return false, err
		}
	}
	var all [][]byte
	for _, f := range e.ep.keep {
		if isRegistryCA(f) {
			all = append(all, f.Data)
		}
	}
	e.ep.keep = append(slices.DeleteFunc(e.ep.keep, isRegistryCA), registryCAs(append(all, ch.RegistryCAs...))...)
	changed, err := e.Apply(ctx)
	switch {
	case err != nil && group == "" && r.VMGroup != "":
		err = errors.Join(err, e.ungroup(ctx))
	case err == nil && group != "" && r.VMGroup == "":
		err = e.groupOff(ctx, group)
	}
	return changed, err
}

// ungroup removes a group that was made for a change that failed.
func (e *Editor) ungroup(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	r := &remover{sess: e.sess, log: e.log, datacenter: e.ep.Datacenter}
	r.group(ctx, e.ep.Record)
	return r.err()
}

func isRegistryCA(f guest.File) bool {
	return len(f.Path) > len(prefixRegistryCA) && f.Path[:len(prefixRegistryCA)] == prefixRegistryCA
}
