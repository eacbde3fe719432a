// vic-scan-osv is the plugin that scans images with the data of osv.dev, by itself: it needs no other scanner.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/google/osv-scalibr/log"

	"github.com/openvic/vic/plugins/scan-osv/layers"
	"github.com/openvic/vic/sdk/kind"
	"github.com/openvic/vic/sdk/scan"
	"github.com/openvic/vic/sdk/serve"
)

//go:embed README.md
var readme string

// version is set by the linker.
var version = "0.1.0"

func main() {
	log.SetLogger(quiet{})
	if len(os.Args) == 3 && os.Args[1] == layers.ReadRPMArgument {
		if err := layers.ReadRPM(os.Args[2], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	serve.Main(serve.Plugin[Config]{
		Name: "osv", Version: version, Example: example(), Defaults: defaults(),
		Components: []kind.Component{scan.Plugin().Component("osv", scan.Capabilities()...)},
		Configure: func(_ context.Context, c Config) (serve.Instance, error) {
			d, err := open(c)
			if err != nil {
				return serve.Instance{}, err
			}
			return serve.Instance{Drivers: []kind.Driver{scan.Plugin().Serve(d)}, Close: d.Close}, nil
		},
	})
}

// example is the configuration in the README.
func example() string {
	_, rest, _ := strings.Cut(readme, "```toml\n")
	text, _, _ := strings.Cut(rest, "```")
	return text
}

// quiet takes what osv-scalibr logs of files in images: it matters to whoever looks for a mistake there, and to nobody else.
type quiet struct{}

func (quiet) Errorf(format string, args ...any) {
	slog.Debug("osv-scalibr", "says", fmt.Sprintf(format, args...))
}
func (q quiet) Error(args ...any)                 { q.Errorf("%s", fmt.Sprint(args...)) }
func (q quiet) Warnf(format string, args ...any)  { q.Errorf(format, args...) }
func (q quiet) Warn(args ...any)                  { q.Error(args...) }
func (q quiet) Infof(format string, args ...any)  { q.Errorf(format, args...) }
func (q quiet) Info(args ...any)                  { q.Error(args...) }
func (q quiet) Debugf(format string, args ...any) { q.Errorf(format, args...) }
func (q quiet) Debug(args ...any)                 { q.Error(args...) }
