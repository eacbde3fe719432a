package hub

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/sshd"
)

const usage = `vic-hub is the registry and portal beside the virtual container hosts.

  vic-hub serve [--config FILE] [--debug]   run it
  vic-hub version                           print the version
  vic-hub ovf                               make an OVF environment the configuration of the hub's VM, as the OVA does
  vic-hub ssh [--config FILE]               the SSH server of vic-machine hub debug, in the hub's VM

Commands for administrators, also while the hub runs:

  vic-hub fsck [--hash]                     compare the database with the storage; --hash reads all content
  vic-hub gc [--dry-run] [--delete-untagged] give back the storage that nothing needs any more
  vic-hub backup --to FOLDER|FILE.tar|-     copy database and content, also while the hub serves
  vic-hub restore --from FOLDER|FILE.tar|-  fill an empty hub from a backup; it must not run
  vic-hub move --to NEW.toml                copy the hub to another database and storage
  vic-hub adopt [--from FOLDER]             take over the storage of a plain registry, or of a Harbor
  vic-hub audit verify                      look whether a line of the audit log was changed or removed

They take --config FILE and --output text|json. Their exit codes: 0 all is well, 1 it is not, 2 it could not be found out.
`

// Main runs a command of vic-hub and returns its exit code: 2 for wrong arguments.
func Main(version string, args []string, stdout, stderr io.Writer) int {
	name := ""
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch name {
	case "serve":
		return serve(version, args, stderr)
	case "ovf":
		return ovfConfig(os.Stdin, stdout, stderr)
	case "ssh":
		return sshd.Main("vic-hub ssh", args, stderr)
	case "fsck":
		return fsck(args, stdout, stderr)
	case "gc":
		return collect(args, stdout, stderr)
	case "adopt":
		return takeOver(args, stdout, stderr)
	case "backup":
		return backup(version, args, stdout, stderr)
	case "restore":
		return restore(args, stdout, stderr)
	case "move":
		return move(version, args, stdout, stderr)
	case "audit":
		if len(args) > 0 && args[0] == "verify" {
			return verify(args[1:], stdout, stderr)
		}
		name = strings.Join(append([]string{name}, args...), " ")
	case "version":
		fmt.Fprintln(stdout, "vic-hub", version)
		return 0
	case "help", "-h", "--help":
		fmt.Fprint(stdout, usage)
		return 0
	}
	if name != "" {
		fmt.Fprintf(stderr, "vic-hub: %.100q is no command\n\n", name)
	}
	fmt.Fprint(stderr, usage)
	return 2
}

func serve(version string, args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("vic-hub serve", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("config", defaultConfig, "configuration `file`")
	debug := flags.Bool("debug", false, "log what is of use to developers too")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "vic-hub serve: %q is no option\n", flags.Arg(0))
		return 2
	}
	level := slog.LevelInfo
	if *debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *path, version, log); err != nil {
		fmt.Fprintln(stderr, "vic-hub:", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, path, version string, log *slog.Logger) error {
	cfg, err := config.LoadHub(path)
	if err != nil {
		return err
	}
	h, err := New(ctx, cfg, version, log.With("hub", cfg.Name))
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	go func() {
		for {
			select {
			case <-hangup:
				if err := h.Reload(); err != nil {
					log.Error("certificate is not read again", "err", err)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return h.Run(ctx)
}
