package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/machine/advice"
	"github.com/openvic/vic/machine/precheck"
	"github.com/openvic/vic/machine/progress"
	"github.com/openvic/vic/machine/session"
	"github.com/openvic/vic/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
)

// changeFlags are the options of create that configure has too.
func changeFlags() []cli.Flag {
	var all []cli.Flag
	for _, f := range [][]cli.Flag{limitFlags(), {volumeStoreFlag(), flagNamed(storageFlags(), "default-volume-size"), dnsFlag()},
		containerNetworkFlags(), imageFlags(), logFlags(), {flagNamed(createOtherFlags(), "container-name-convention")}} {
		all = append(all, f...)
	}
	return all
}

func (a *app) configureCommand() *cli.Command {
	flags := append(targetFlags(), idFlags()...)
	flags = append(flags, changeFlags()...)
	for _, name := range []string{"ops-user", "ops-password", "ops-grant-perms"} {
		flags = append(flags, flagNamed(opsFlags(), name))
	}
	return &cli.Command{Name: "configure", Usage: "change a VCH; what is not named stays, and containers do not notice", Action: a.configure,
		Description: "Options that may be repeated add to what is there; --remove takes something away.",
		Flags: append(flags,
			many(groupOther, "remove", "", "`option=value` that shall not be any more, such as insecure-registry=reg.example.com"),
			toggle(groupOther, "force", "f", "trust any certificate of the target, take some errors of the checks as warnings"))}
}

func (a *app) configure(c *cli.Context) error {
	return a.editing(c, func(ctx context.Context, s *session.Session, e *vch.Editor, log *progress.Log) error {
		r := e.Record()
		current, err := vch.Options(ctx, s, vch.Query{ID: e.ID()}) // somebody may have changed limits in vSphere
		if err != nil {
			return err
		}
		options := recorded(current)
		changed, err := options.change(c, changeFlags())
		if err != nil {
			return err
		}
		ops := vch.Login{User: c.String("ops-user"), Password: c.String("ops-password")}
		if (ops.User == "") != (ops.Password == "") {
			return wrongOption("ops-user", ops.User, "the account and its password belong together", "give --ops-user and --ops-password")
		}
		if ops.User != "" {
			options["ops-user"] = []string{ops.User}
			changed = append(changed, "ops-user")
		}
		grant := c.Bool("ops-grant-perms")
		if grant {
			if options.String("ops-user") == "" {
				return wrongOption("ops-grant-perms", "true", "the VCH has no operations user", "name one with --ops-user and --ops-password")
			}
			options["ops-grant-perms"] = []string{"true"}
			changed = append(changed, "ops-grant-perms")
		}
		if len(changed) == 0 {
			log.Printf("nothing to change")
			return nil
		}
		ch := vch.Change{Options: options, Ops: ops, GrantOps: grant}
		var fresh []string
		for _, f := range options["registry-ca"] {
			if !slices.Contains(r.Options["registry-ca"], f) {
				fresh = append(fresh, f)
			}
		}
		if ch.RegistryCAs, err = registryCAs(fresh); err != nil {
			return err
		}
		if err := a.resolve(ctx, s, r, options, &ch, c.Bool("force")); err != nil {
			return err
		}
		log.Printf("changing VCH %s: %s", r.Name, strings.Join(changed, ", "))
		if _, err := e.Configure(ctx, ch); err != nil {
			return fmt.Errorf("VCH %s could not be changed: %w", r.Name, err)
		}
		log.Printf("VCH %s is changed", r.Name)
		return nil
	})
}

// resolve makes settings of options, by the code that create uses, and looks up what is new.
func (a *app) resolve(ctx context.Context, s *session.Session, r *vch.Record, options recorded, ch *vch.Change, force bool) error {
	if err := readSettings(options, &ch.Settings); err != nil {
		return err
	}
	networks, err := containerNetworks(options)
	if err != nil {
		return err
	}
	in := precheck.Input{Session: s, Containers: networks, Force: force, Spec: vch.Spec{Name: r.Name, Settings: ch.Settings}}
	for _, v := range options["volume-store"] {
		if !slices.Contains(r.Options["volume-store"], v) {
			in.VolumeStores = append(in.VolumeStores, v)
		}
	}
	out := precheck.RunChange(ctx, in, r)
	for _, x := range out.Report {
		if x.Level == precheck.Error {
			out.Report.Print(a.out)
			return checksError{out.Report.Count(precheck.Error), "changed"}
		}
	}
	for _, v := range out.Resources.VolumeStores {
		if at, there := r.VolumeStores[v.Label]; there {
			return advice.Wrap(fmt.Errorf("there is a volume store %s already, %s: %w", v.Label, at, errdef.ErrInvalid), "give the new one another label")
		}
	}
	ch.VolumeStores, ch.Settings.ContainerNetworks = out.Resources.VolumeStores, out.Resources.Containers
	return nil
}

// editing runs f with a VCH that is to be changed.
func (a *app) editing(c *cli.Context, f func(context.Context, *session.Session, *vch.Editor, *progress.Log) error) error {
	return a.connected(c, func(ctx context.Context, s *session.Session) error {
		log := progress.New(a.out)
		e, err := vch.Open(ctx, s, query(c), log)
		if err != nil {
			return err
		}
		return f(ctx, s, e, log)
	})
}
