package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/core/admin/client"
	"github.com/openvic/vic/core/plugin"
)

func (a *app) list(c *cli.Context, remote *client.Client) error {
	all, err := remote.Plugins(c.Context)
	if err != nil {
		return err
	}
	if c.String("format") == "json" {
		return a.json(all)
	}
	w := tabwriter.NewWriter(a.Out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tKIND\tROLE\tVERSION\tSHA256\tPID\tSTATE\tHEALTH\tRESTARTS")
	for _, st := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", st.Name, orDash(strings.Join(st.Kinds(), ",")), orDash(roles(st)), orDash(st.Version),
			orDash(short(st.SHA256)), pid(st), state(st), health(st), st.Restarts)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, st := range all {
		if st.LastError != "" && st.State != plugin.StateUp {
			fmt.Fprintf(a.Out, "\n%s is %s: %s\n", st.Name, st.State, st.LastError)
		}
	}
	return nil
}

func (a *app) inspect(c *cli.Context, remote *client.Client) error {
	n, err := name(c)
	if err != nil {
		return err
	}
	st, err := remote.Plugin(c.Context, n)
	if err != nil {
		return err
	}
	if c.String("format") == "json" {
		return a.json(st)
	}
	w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	row := func(key, format string, args ...any) { fmt.Fprintf(w, "%s:\t%s\n", key, fmt.Sprintf(format, args...)) }
	row("Name", "%s", st.Name)
	row("State", "%s", state(st))
	row("Health", "%s", health(st))
	if st.Health != "" {
		row("Reason", "%s", st.Health)
	}
	if st.LastError != "" {
		row("Last error", "%s", st.LastError)
	}
	row("Role", "%s", orDash(roles(st)))
	row("Program", "%s %s", orDash(st.Program), st.Version)
	row("PID", "%s", pid(st))
	row("Restarts", "%d", st.Restarts)
	row("Path", "%s", orDash(st.Path))
	row("SHA256", "%s", orDash(st.SHA256))
	row("File", "%s", st.File)
	row("Config", "%s", orDash(st.Config))
	for _, comp := range st.Components {
		row("Component", "%s %s (%s)", comp.Kind, comp.Name, orDash(strings.Join(comp.Capabilities, " ")))
	}
	return w.Flush()
}

func (a *app) restart(c *cli.Context, remote *client.Client) error {
	n, err := name(c)
	if err != nil {
		return err
	}
	st, err := remote.Restart(c.Context, n)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Out, "%s is %s, pid %s\n", st.Name, st.State, pid(st))
	return nil
}

func (a *app) showVersion(c *cli.Context, remote *client.Client) error {
	v, err := remote.Version(c.Context)
	if c.String("format") == "json" {
		if err != nil {
			return err
		}
		return a.json(map[string]any{"client": a.version, "server": v})
	}
	fmt.Fprintf(a.Out, "vic   %s\n", a.version)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Out, "vicd  %s (VCH %s, %s, %s/%s)\n", v.Version, v.Name, v.Go, v.OS, v.Arch)
	return nil
}

func (a *app) json(v any) error {
	enc := json.NewEncoder(a.Out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// roles lists what a plugin does, with its place where several do the same.
func roles(st plugin.Status) string {
	var all []string
	for _, r := range st.Roles {
		all = append(all, r.String())
	}
	return strings.Join(all, ",")
}

func short(sum string) string { return sum[:min(12, len(sum))] }

func pid(st plugin.Status) string {
	if st.PID == 0 {
		return "-"
	}
	return fmt.Sprint(st.PID)
}

func state(st plugin.Status) string {
	if st.Since.IsZero() {
		return string(st.State)
	}
	return fmt.Sprintf("%s %s", st.State, time.Since(st.Since).Round(time.Second))
}

func health(st plugin.Status) string {
	switch {
	case st.State != plugin.StateUp:
		return "-"
	case st.Healthy:
		return "healthy"
	}
	return "sick"
}
