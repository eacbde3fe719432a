package cli

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/drivers/vsphere/machine/service"
)

func serveOptions() []option.Option {
	return append([]option.Option{
		option.Str(groupOther, "listen", "", "`address:port` to listen on").WithDefault("127.0.0.1:8443"),
		option.Str(groupOther, "cert", "", "`file` of the service's certificate, PEM, with its chain; else one is made for this run, and its thumbprint printed"),
		option.Str(groupOther, "key", "", "`file` of its key"),
		option.Flag(groupOther, "plain-http", "", "no TLS; on a loopback address alone, for a proxy on this machine that has it"),
		option.Many(groupOther, "allow-target", "", "`host[:port]` of a vCenter or ESXi host that requests may name in their path; without it any"),
		option.Span(groupOther, "drain", 0, "`time` that running tasks may go on when the service is to end, before they are interrupted"),
		option.Span(groupOther, "keep-tasks", time.Hour, "`time` that a task can be read after its end"),
	}, option.Pick(operation.CreateOptions(), "appliance-iso", "bootstrap-iso")...)
}

func (a *app) serveCommand() *cli.Command {
	return &cli.Command{Name: "serve", Usage: "offer the other commands over HTTPS, with an OpenAPI document at /openapi.json", Action: a.serve,
		Flags: flags(serveOptions()),
		Description: "Each request brings its own vSphere account; none is stored. Ctrl-C interrupts what runs, which removes\nwhat it made, and then ends " +
			"the service."}
}

func (a *app) serve(c *cli.Context) error {
	v := given(c, serveOptions())
	s := service.New(context.WithoutCancel(c.Context), service.Config{Version: a.version,
		ApplianceISO: v.String("appliance-iso"), BootstrapISO: v.String("bootstrap-iso"), AllowTargets: v.Trimmed("allow-target"),
		KeepTasks: v.Duration("keep-tasks"), Log: slog.New(slog.NewTextHandler(a.err, nil))})
	return s.Run(c.Context, service.Listen{Address: v.String("listen"), Cert: v.String("cert"), Key: v.String("key"),
		Plain: v.Bool("plain-http"), Drain: v.Duration("drain")}, a.out)
}

// document prints the OpenAPI document.
func document(w io.Writer, _ *cli.App) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(service.Document())
}
