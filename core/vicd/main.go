// Package vicd puts the daemon together: the host (configuration, certificates, plugins, metrics, admin
// API) and, where the engine's roles are named, image service, engine and Docker API, each started as
// soon as what it needs is there.
package vicd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"syscall"

	"github.com/openvic/vic/core/admin"
	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/dockerapi"
)

// Main runs the daemon until SIGTERM or SIGINT and returns its exit code. Containers go on.
func Main(version string, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("vicd", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("config", "/etc/vic/vicd.toml", "configuration `file`")
	debug := flags.Bool("debug", false, "log what is of use to developers too")
	show := flags.Bool("version", false, "print the version and exit")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *show {
		fmt.Fprintln(stdout, "vicd", version)
		return 0
	}
	level := slog.LevelInfo
	if *debug {
		level = slog.LevelDebug
	}
	logs := admin.NewRing(logKept)
	log := slog.New(slog.NewTextHandler(io.MultiWriter(stderr, logs), &slog.HandlerOptions{Level: level}))
	dockerapi.AdoptLogs(log)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := start(ctx, version, *path, log, level, logs); err != nil {
		fmt.Fprintln(stderr, "vicd:", err)
		return 1
	}
	return 0
}

func start(ctx context.Context, version, path string, log *slog.Logger, level slog.Level, logs *admin.Ring) error {
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	if files, err := config.DropIns(config.DropInDir(path)); err == nil && len(files) > 0 {
		log.Info("drop-ins count over vicd.toml", "files", files)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d, err := newDaemon(ctx, cfg, version, log.With("vch", cfg.Name), level)
	if err != nil {
		return err
	}
	d.path = path
	served, err := d.serveAdmin(ctx, logs)
	if err != nil {
		d.close()
		return err
	}
	d.reloadOnHangup(ctx, path, cancel)
	err = d.run(ctx, cancel)
	cancel()
	return errors.Join(err, <-served)
}
