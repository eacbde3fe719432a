package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/core/hub/client"
	"github.com/openvic/vic/sdk/errdef"
)

// imageArgument is how an artifact is named on the command line.
const imageArgument = "PROJECT/NAME:TAG|@DIGEST"

// onImage runs a command about one artifact.
func (a *app) onImage(f func(c *cli.Context, h *client.Client, project, name, ref string) error) cli.ActionFunc {
	return a.with(func(c *cli.Context, h *client.Client) error {
		v, err := args(c, imageArgument)
		if err != nil {
			return err
		}
		project, name, ref, err := splitReference(v[0])
		if err != nil {
			return err
		}
		return f(c, h, project, name, ref)
	})
}

func (a *app) scanCommand() *cli.Command {
	return &cli.Command{Name: "scan", Usage: "what is wrong with images", Subcommands: []*cli.Command{
		{Name: "start", Usage: "scan an image", ArgsUsage: imageArgument,
			Action: a.onImage(func(c *cli.Context, h *client.Client, project, name, ref string) error {
				return a.did(h.Scan(c.Context, project, name, ref), "%s is being scanned", c.Args().First())
			})},
		{Name: "stop", Usage: "stop the scan of an image", ArgsUsage: imageArgument,
			Action: a.onImage(func(c *cli.Context, h *client.Client, project, name, ref string) error {
				return a.did(h.StopScan(c.Context, project, name, ref), "the scan of %s is stopped", c.Args().First())
			})},
		{Name: "all", Usage: "scan all images of a project, or without one of the hub", ArgsUsage: "[PROJECT]",
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				if c.NArg() > 1 {
					return fmt.Errorf("%s wants one PROJECT at most: %w", c.Command.HelpName, errdef.ErrInvalid)
				}
				return a.did(h.ScanProject(c.Context, c.Args().First()), "all images are being scanned")
			})},
		{Name: "status", Usage: "show how the last scan of an image ended", ArgsUsage: imageArgument, Flags: output(), Action: a.onImage(a.scanStatus)},
		{Name: "show", Usage: "list what the last scan of an image has found, the worst first", ArgsUsage: imageArgument, Flags: output(),
			Action: a.onImage(func(c *cli.Context, h *client.Client, project, name, ref string) error {
				list, err := h.Findings(c.Context, project, name, ref)
				if err != nil {
					return err
				}
				return show(a, c, each(list), "VULNERABILITY SEVERITY PACKAGE VERSION FIXED", func(f client.Finding) []any {
					return []any{f.ID, f.Severity, f.Package, f.Version, cmp.Or(f.Fix, "-")}
				})
			})},
	}}
}

func (a *app) scanStatus(c *cli.Context, h *client.Client, project, name, ref string) error {
	r, err := h.ScanReport(c.Context, project, name, ref)
	if err != nil {
		return err
	}
	if r == nil {
		return fmt.Errorf("%s was never scanned: vic hub scan start does it: %w", c.Args().First(), errdef.ErrNotFound)
	}
	found := "-"
	if r.Summary != nil {
		found = fmt.Sprintf("%d, of which %d can be fixed", r.Summary.Total, r.Summary.Fixable)
	}
	return a.one(c, r, "Status", r.Status, "Message", cmp.Or(r.Message, "-"), "Findings", found, "Worst", r.Severity, "Ended", cmp.Or(r.End, "-"),
		"Scanner", strings.TrimSpace(r.Scanner.Name+" "+r.Scanner.Version), "Data of", cmp.Or(r.Updated, "-"))
}

func (a *app) cveCommand() *cli.Command {
	return &cli.Command{Name: "cve", Usage: "which images have a vulnerability", Subcommands: []*cli.Command{
		{Name: "find", Usage: "list the images that have one, in the hub or in a project", ArgsUsage: "[CVE]", Flags: append(output(),
			&cli.StringFlag{Name: "project", Usage: "in this project alone"},
			&cli.StringFlag{Name: "package", Usage: "in packages whose names have this part"},
			&cli.StringFlag{Name: "severity", Usage: "Critical, High, Medium, Low, Negligible or Unknown"}),
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				var q []string
				for key, value := range map[string]string{"cve_id=": c.Args().First(), "package=~": c.String("package"), "severity=": c.String("severity")} {
					if value != "" {
						q = append(q, key+value)
					}
				}
				slices.Sort(q)
				return show(a, c, h.Find(c.Context, c.String("project"), strings.Join(q, ",")), "VULNERABILITY SEVERITY IMAGE TAGS PACKAGE VERSION FIXED",
					func(f client.Finding) []any {
						return []any{f.CVE, f.Severity, f.Repository + "@" + f.Digest, cmp.Or(strings.Join(f.Tags, " "), "-"), f.Package, f.Version, cmp.Or(f.Fixed, "-")}
					})
			})},
	}}
}

func (a *app) scannerCommand() *cli.Command {
	named := func(f func(c *cli.Context, h *client.Client, name string) error) cli.ActionFunc {
		return a.with(func(c *cli.Context, h *client.Client) error {
			v, err := args(c, "NAME")
			if err != nil {
				return err
			}
			return f(c, h, v[0])
		})
	}
	return &cli.Command{Name: "scanner", Usage: "the plugins that scan", Subcommands: []*cli.Command{
		{Name: "ls", Usage: "list them", Flags: output(), Action: a.with(func(c *cli.Context, h *client.Client) error {
			return show(a, c, h.Scanners(c.Context), "NAME DEFAULT HEALTH SCANNER VERSION", func(s client.Scanner) []any {
				return []any{s.Name, s.Default, s.Health, s.Adapter, s.Version}
			})
		})},
		{Name: "data", Usage: "show how old the data of one are", ArgsUsage: "NAME", Flags: output(),
			Action: named(func(c *cli.Context, h *client.Client, name string) error {
				d, err := h.ScannerDatabase(c.Context, name)
				if err != nil {
					return err
				}
				records := int64(0)
				for _, e := range d.Ecosystems {
					records += e.Records
				}
				return a.one(c, d, "Version", cmp.Or(d.Version, "none"), "Updated", cmp.Or(d.Updated, "-"), "Ecosystems", len(d.Ecosystems), "Records", records,
					"Problem", cmp.Or(d.Problem, "-"))
			})},
		{Name: "update", Usage: "have one fetch new data", ArgsUsage: "NAME", Action: named(func(c *cli.Context, h *client.Client, name string) error {
			return a.did(h.UpdateScanner(c.Context, name), "scanner %s fetches new data", name)
		})},
		{Name: "default", Usage: "make one the scanner of all projects that have chosen none", ArgsUsage: "NAME",
			Action: named(func(c *cli.Context, h *client.Client, name string) error {
				return a.did(h.SetDefaultScanner(c.Context, name), "scanner %s is the default", name)
			})},
	}}
}

// policyFlags are the flags of policy set, by the names of the project's metadata.
var policyFlags = [][3]string{
	{"auto-scan", "auto_scan", "true or false: scan each pushed image"},
	{"prevent", "prevent_vul", "true or false: refuse pulls of images with findings of the severity or above"},
	{"severity", "severity", "none, low, medium, high or critical"},
	{"unscanned", "unscanned_images", "refuse or allow images that were never scanned with success"},
	{"grace-days", "grace_days", "for how many days a finding that is new is no reason to refuse"},
	{"hub-allowlist", "reuse_sys_cve_allowlist", "true or false: the hub's CVE allowlist counts, not the project's"},
}

func (a *app) policyCommand() *cli.Command {
	var flags []cli.Flag
	for _, f := range policyFlags {
		flags = append(flags, &cli.StringFlag{Name: f[0], Usage: f[2]})
	}
	return &cli.Command{Name: "policy", Usage: "which images a project takes", Subcommands: []*cli.Command{
		{Name: "show", Usage: "show what is set of a project; where nothing is, the hub's settings count", ArgsUsage: "PROJECT", Flags: output(),
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				v, err := args(c, "PROJECT")
				if err != nil {
					return err
				}
				m, err := h.Metadata(c.Context, v[0])
				if err != nil {
					return err
				}
				var fields []any
				for _, f := range policyFlags {
					fields = append(fields, f[0], cmp.Or(m[f[1]], "-"))
				}
				return a.one(c, m, fields...)
			})},
		{Name: "set", Usage: "set some of it", ArgsUsage: "PROJECT", Flags: flags, Action: a.with(a.setPolicy)},
	}}
}

func (a *app) setPolicy(c *cli.Context, h *client.Client) error {
	v, err := args(c, "PROJECT")
	if err != nil {
		return err
	}
	n := 0
	for _, f := range policyFlags {
		if !c.IsSet(f[0]) {
			continue
		}
		n++
		if err := h.SetMetadata(c.Context, v[0], f[1], c.String(f[0])); err != nil {
			return err
		}
	}
	if n == 0 {
		return fmt.Errorf("%s: give one of its flags at least: %w", c.Command.HelpName, errdef.ErrInvalid)
	}
	return a.did(nil, "%d settings of project %s are changed", n, v[0])
}
