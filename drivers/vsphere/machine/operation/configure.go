package operation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/drivers/vsphere/machine/precheck"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
)

// Configure changes what c names and nothing else. It returns the options that changed.
func Configure(ctx context.Context, s *session.Session, q vch.Query, c option.Values, l Local, log *progress.Log) ([]string, error) {
	log.Step("checks")
	e, err := vch.Open(ctx, s, q, log)
	if err != nil {
		return nil, err
	}
	r := e.Record()
	options, err := vch.Options(ctx, s, vch.Query{ID: e.ID()}) // somebody may have changed limits in vSphere
	if err != nil {
		return nil, err
	}
	changed, err := change(options, c)
	if err != nil {
		return nil, err
	}
	ch := vch.Change{Options: options}
	more, err := changeOps(c, &ch)
	if err != nil {
		return nil, err
	}
	if changed = append(changed, more...); len(changed) == 0 {
		log.Printf("nothing to change")
		return nil, nil
	}
	if err := sameVersion(r, l.Version); err != nil {
		return nil, err
	}
	var fresh []string
	for _, f := range options["registry-ca"] {
		if !slices.Contains(r.Options["registry-ca"], f) {
			fresh = append(fresh, f)
		}
	}
	if ch.RegistryCAs, err = registryCAs(l.Files, fresh); err != nil {
		return nil, err
	}
	if err := resolve(ctx, s, r, &ch, c.Bool("force")); err != nil {
		return nil, err
	}
	log.Step("change")
	log.Printf("changing VCH %s: %s", r.Name, strings.Join(changed, ", "))
	if _, err := e.Configure(ctx, ch); err != nil {
		return changed, fmt.Errorf("VCH %s could not be changed: %w", r.Name, err)
	}
	log.Printf("VCH %s is changed", r.Name)
	return changed, nil
}

// sameVersion refuses to write the configuration of an endpoint of another version: an older one refuses keys that it does not know, and
// a newer one would lose those that this vic-machine does not know.
func sameVersion(r *vch.Record, version string) error {
	if version == "" || r.Version == version {
		return nil
	}
	return advice.Wrap(fmt.Errorf("VCH %s has the version %s, and this is vic-machine %s: %w", r.Name, r.Version, version, errdef.ErrConflict),
		"upgrade it first (vic-machine upgrade --name %s), or use the vic-machine of its version", r.Name)
}

// changeOps reads the options of the operations user.
func changeOps(c option.Values, ch *vch.Change) (changed []string, err error) {
	ch.Ops = vch.Login{User: c.String("ops-user"), Password: c.String("ops-password")}
	if (ch.Ops.User == "") != (ch.Ops.Password == "") {
		return nil, wrongOption("ops-user", ch.Ops.User, "the account and its password belong together", "give --ops-user and --ops-password")
	}
	if ch.Ops.User != "" {
		ch.Options["ops-user"] = []string{ch.Ops.User}
		changed = append(changed, "ops-user")
	}
	if ch.GrantOps = c.Bool("ops-grant-perms"); ch.GrantOps {
		if len(ch.Options["ops-user"]) == 0 {
			return nil, wrongOption("ops-grant-perms", "true", "the VCH has no operations user", "name one with --ops-user and --ops-password")
		}
		ch.Options["ops-grant-perms"] = []string{"true"}
		changed = append(changed, "ops-grant-perms")
	}
	return changed, nil
}

// resolve makes settings of options, by the code that create uses, and looks up what is new.
func resolve(ctx context.Context, s *session.Session, r *vch.Record, ch *vch.Change, force bool) error {
	options := option.Of(CreateOptions(), ch.Options)
	if err := readSettings(options, &ch.Settings); err != nil {
		return err
	}
	networks, err := containerNetworks(options)
	if err != nil {
		return err
	}
	in := precheck.Input{Session: s, Containers: networks, Force: force, Spec: vch.Spec{Name: r.Name, Settings: ch.Settings, Ops: ch.Ops, GrantOps: ch.GrantOps}}
	for _, v := range ch.Options["volume-store"] {
		if !slices.Contains(r.Options["volume-store"], v) {
			in.VolumeStores = append(in.VolumeStores, v)
		}
	}
	out := precheck.RunChange(ctx, in, r)
	if out.Report.Count(precheck.Error) > 0 {
		return ChecksError{Report: out.Report, Undone: "changed"}
	}
	for _, v := range out.Resources.VolumeStores {
		if at, there := r.VolumeStores[v.Label]; there {
			return advice.Wrap(fmt.Errorf("there is a volume store %s already, %s: %w", v.Label, at, errdef.ErrInvalid), "give the new one another label")
		}
		for label, at := range r.VolumeStores {
			if at == v.Location() {
				return advice.Wrap(fmt.Errorf("%s is the volume store %s already: %w", at, label, errdef.ErrInvalid), "give the new one another place")
			}
		}
	}
	ch.VolumeStores, ch.Settings.ContainerNetworks = out.Resources.VolumeStores, out.Resources.Containers
	return nil
}
