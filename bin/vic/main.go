// Command vic shows and restarts the plugins of a running virtual container host, and runs commands
// in its endpoint VM. "vic hub" works with a hub.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/openvic/vic/core/admin/cli"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(cli.Main(ctx, version, os.Args, cli.Standard()))
}
