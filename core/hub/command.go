package hub

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/sdk/errdef"
)

const defaultConfig = "/etc/vic-hub/hub.toml"

// Exit codes of the commands for administrators.
const (
	exitWell    = 0
	exitWrong   = 1 // the command ran, and what it tells is not well
	exitUnknown = 2 // wrong arguments, or the command could not do its work
)

// command is one for administrators: it opens the database and the storage of a hub, which may run meanwhile.
type command struct {
	flags          *flag.FlagSet
	config, output string
	stdout, stderr io.Writer
}

func newCommand(name string, stdout, stderr io.Writer) *command {
	c := &command{flags: flag.NewFlagSet("vic-hub "+name, flag.ContinueOnError), stdout: stdout, stderr: stderr}
	c.flags.SetOutput(stderr)
	c.flags.StringVar(&c.config, "config", defaultConfig, "configuration `file`")
	c.flags.StringVar(&c.output, "output", "text", "text or json")
	return c
}

// report is what a command has found out.
type report struct {
	value any    // for JSON
	text  string // for people, with its line ends
	well  bool
}

// run reads the arguments, opens the hub and does the work. It returns the exit code.
func (c *command) run(args []string, work func(ctx context.Context, h *Hub) (report, error)) int {
	return c.do(args, func(ctx context.Context) (report, error) {
		h, err := open(ctx, c.config, c.log())
		if err != nil {
			return report{}, err
		}
		defer h.close()
		return work(ctx, h)
	})
}

func (c *command) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// do reads the arguments and does the work. It returns the exit code.
func (c *command) do(args []string, work func(ctx context.Context) (report, error)) int {
	if err := c.flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitWell
	} else if err != nil {
		return exitUnknown
	}
	if c.flags.NArg() > 0 {
		return c.fail(fmt.Errorf("%q is no option", c.flags.Arg(0)))
	}
	if c.output != "text" && c.output != "json" {
		return c.fail(fmt.Errorf("--output: %q is neither text nor json", c.output))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	r, err := work(ctx)
	if err != nil {
		return c.fail(err)
	}
	if c.output == "json" {
		e := json.NewEncoder(c.stdout)
		e.SetIndent("", "  ")
		err = e.Encode(r.value)
	} else {
		_, err = io.WriteString(c.stdout, r.text)
	}
	switch {
	case err != nil:
		return c.fail(err)
	case !r.well:
		return exitWrong
	}
	return exitWell
}

func (c *command) fail(err error) int {
	fmt.Fprintf(c.stderr, "%s: %v\n", c.flags.Name(), err)
	return exitUnknown
}

// open opens what commands need of a hub: no port, no plugin, no secret.
func open(ctx context.Context, path string, log *slog.Logger) (*Hub, error) {
	cfg, err := config.LoadHub(path)
	if err != nil {
		return nil, err
	}
	if file, ok := strings.CutPrefix(cfg.Database.URL, "sqlite:"); ok {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) { // which opening would make
			return nil, fmt.Errorf("there is no database at %s: start the hub once, or name its configuration by --config", file)
		}
	}
	h := &Hub{cfg: cfg, log: log}
	if err := h.openDatabase(ctx); err != nil {
		return nil, err
	}
	if err := h.openStore(ctx); err != nil {
		return nil, err
	}
	if err := h.openRegistry(ctx, closed{}); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// closed is the Authorizer of a registry that serves nobody.
type closed struct{}

// Authenticate implements registry.Authorizer.
func (closed) Authenticate(*http.Request) (registry.Caller, error) {
	return nil, fmt.Errorf("nothing is served here: %w", errdef.ErrDenied)
}

// Challenge implements registry.Authorizer.
func (closed) Challenge(*http.Request, []registry.Access) string { return "" }
