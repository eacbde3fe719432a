package cli

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/precheck"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
)

func (a *app) createCommand() *cli.Command {
	return &cli.Command{Name: "create", Usage: "make a VCH and wait until it serves", Flags: flags(operation.CreateOptions()), Action: a.create}
}

// outcome is what create prints with --output json.
type outcome struct {
	Checks precheck.Report `json:"checks"`
	Plan   *vch.Outline    `json:"plan,omitempty"`
	VCH    *vch.Details    `json:"vch,omitempty"`
	Error  string          `json:"error,omitempty"`
}

func (a *app) create(c *cli.Context) error {
	v := given(c, operation.CreateOptions())
	if err := applyFile(v); err != nil {
		return err
	}
	in, err := operation.ReadCreate(v, operation.Local{Version: a.version})
	if err != nil {
		return err
	}
	js, err := textOrJSON(c, "output")
	if err != nil {
		return err
	}
	t, err := a.target(v)
	if err != nil {
		return err
	}
	ctx, cancel := operation.WithTimeout(c.Context, v.Duration("timeout"))
	defer cancel()
	m := &making{app: a, in: in, json: js, dry: c.Bool("dry-run"), check: !c.Bool("no-reach-check"), log: progress.New(a.out)}
	if js {
		m.log = progress.New(a.err)
	}
	err = operation.EndOf(ctx, m.run(ctx, t))
	if !js {
		return err
	}
	if err != nil {
		m.outcome.Error = err.Error()
	}
	return errors.Join(err, a.printJSON(m.outcome))
}

// making is one run of create.
type making struct {
	*app
	in               precheck.Input
	json, dry, check bool
	log              *progress.Log
	outcome          outcome
}

func (m *making) run(ctx context.Context, t session.Target) error {
	if m.in.Session, m.in.ConnectErr = session.Connect(ctx, t); m.in.Session != nil {
		defer m.in.Session.Close(ctx)
		m.tellForced(t, m.in.Session)
	}
	made, err := operation.Create(ctx, m.in, operation.CreateHow{DryRun: m.dry, Checked: m.checked}, m.log)
	if err != nil {
		return err
	}
	if m.dry {
		m.outcome.Plan = made.Plan
		return m.printOutline(*made.Plan)
	}
	if m.json {
		m.outcome.VCH, err = vch.Inspect(ctx, m.in.Session, vch.Query{ID: made.Ready.VM})
		return err
	}
	return m.welcome(ctx, m.in, made.Certs, made.Ready, m.check)
}

// checked shows the findings before anything is made.
func (m *making) checked(r precheck.Report) {
	if m.outcome.Checks = r; !m.json {
		r.Print(m.out)
	}
}

// printOutline prints the plan of --dry-run.
func (m *making) printOutline(o vch.Outline) error {
	if m.json {
		return nil
	}
	w := tabwriter.NewWriter(m.out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "\nThis would be made, in this order:\n")
	for _, x := range o.Objects {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", x.Kind, x.Name, x.Detail)
	}
	fmt.Fprintf(w, "\nThe account %s needs these privileges for it:\n", m.in.Session.Target.User)
	for _, n := range o.Account {
		fmt.Fprintf(w, "  %s\ton %s\t%s\n", n.ID, n.On, n.Calls)
	}
	user := m.in.Spec.Ops.User
	if user == "" {
		user = m.in.Session.Target.User
	}
	fmt.Fprintf(w, "\nThe endpoint uses the account %s, which needs:\n", user)
	for _, n := range o.Ops {
		fmt.Fprintf(w, "  %s\ton %s\t%s\n", n.ID, n.On, n.For)
	}
	fmt.Fprintf(w, "\nNothing was made: --dry-run.\n")
	return w.Flush()
}
