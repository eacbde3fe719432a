// Images builds the test images from Debian packages and pushes them into the storage folder of
// the lab's registry (or to a registry that runs). contrib/dev/cached.sh runs it when its sources change.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/openvic/vic/contrib/images/push"
)

func main() {
	root := flag.String("root", "build/registry", "storage folder of the registry")
	cache := flag.String("cache", "build/cache/images", "folder for the root file systems")
	to := flag.String("push", "", "push to the registry at this URL instead (http://127.0.0.1:5000)")
	tools := flag.String("tools", "build/tools", "folder of the programs that images hold")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *root, *cache, *tools, *to); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root, cache, tools, to string) error {
	start := time.Now()
	if to == "" {
		base, stop, err := push.Serve(ctx, root)
		if err != nil {
			return err
		}
		defer stop() //nolint:errcheck // all that was pushed is acknowledged by then
		to = base
	}
	work, err := os.MkdirTemp("", "vic-images-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b := &builder{cache: cache, work: work, tools: tools, client: push.New(to), start: start}
	return b.all(ctx)
}
