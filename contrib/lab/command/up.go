package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/contrib/lab"
)

// readyEnv names the file descriptor on which the daemon reports: nothing and end of file mean
// that it serves, else what went wrong.
const readyEnv = "VIC_LAB_READY_FD"

func upCommand(dir cli.Flag) *cli.Command {
	return &cli.Command{
		Name:  "up",
		Usage: "start the lab, or say that it runs",
		Flags: []cli.Flag{dir,
			&cli.StringFlag{Name: "listen", Value: "127.0.0.1:8989", Usage: "address of vCenter"},
			&cli.StringFlag{Name: "registry", Value: "127.0.0.1:5000", Usage: "address of the OCI registry; \"off\" for none"},
			&cli.StringFlag{Name: "registry-root", Value: "build/registry", Usage: "folder of the registry's files"},
			&cli.StringFlag{Name: "images", Value: "build/images",
				Usage: "folder of built images; its subfolder registry is served when --registry-root is not given and it exists"},
			&cli.BoolFlag{Name: "esx", Usage: "be an ESXi host that no vCenter manages"},
			&cli.StringFlag{Name: "user", DefaultText: lab.DefaultUser + "; " + lab.DefaultESXUser + " with --esx", Usage: "vCenter's administrator"},
			&cli.StringFlag{Name: "password", Value: lab.DefaultPassword, Usage: "and the password"},
			&cli.StringSliceFlag{Name: "datastore-size", Usage: "limit a datastore, `NAME=MiB`; the datastore \"tiny\" has 64"},
			&cli.StringFlag{Name: "cpu", Usage: "QEMU's CPU model"},
			&cli.StringFlag{Name: "accel", Usage: "tcg or kvm; default by what the CPU offers"},
			&cli.BoolFlag{Name: "foreground", Usage: "do not become a daemon; log to standard error"},
			&cli.BoolFlag{Name: "debug", Usage: "log more"},
			&cli.IntFlag{Name: "until", Usage: "go down when the process of this `ID` ends, for tests: a lab is a daemon and would outlive them"},
			&cli.BoolFlag{Name: "hosts", Value: true, Usage: "when root, put the lab's names into /etc/hosts"},
		},
		Action: up,
	}
}

func up(c *cli.Context) error {
	if s, err := client(c).Status(c.Context); err == nil && !c.Bool("foreground") {
		fmt.Fprintln(c.App.Writer, "the lab is up already")
		return s.Print(c.App.Writer)
	}
	if c.Bool("hosts") {
		if line := hostsLine(hostsFile); line != "" {
			fmt.Fprintf(c.App.ErrWriter, "vic-lab: add this line to %s (as root) to use the lab's names:\n%s\n", hostsFile, line)
		}
	}
	if c.Bool("foreground") {
		return foreground(c)
	}
	if err := daemon(c); err != nil {
		return err
	}
	return status(c)
}

// daemon starts this program again in the background and waits until it serves.
func daemon(c *cli.Context) error {
	dir := c.String("dir")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	log, err := os.OpenFile(logFile(dir), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, append(os.Args[1:], "--foreground", "--hosts=false")...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{w}
	cmd.Env = append(os.Environ(), readyEnv+"=3")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		return err
	}
	msg, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if len(msg) != 0 {
		return errors.New(strings.TrimSpace(string(msg)))
	}
	// End of file also comes when the daemon dies before it could say why.
	if _, err := client(c).Status(c.Context); err != nil {
		return fmt.Errorf("the lab did not start (%w); its log is %s", err, logFile(dir))
	}
	return cmd.Process.Release()
}

// report tells the parent how the start went.
func report(err error) {
	fd, perr := strconv.Atoi(os.Getenv(readyEnv))
	if perr != nil {
		return
	}
	f := os.NewFile(uintptr(fd), "ready")
	if err != nil {
		_, _ = fmt.Fprintln(f, err)
	}
	_ = f.Close()
}

func foreground(c *cli.Context) error {
	ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
	defer stop()
	signal.Ignore(syscall.SIGHUP)
	ended, err := processEnd(c.Int("until"))
	if err != nil {
		report(err)
		return err
	}
	cfg, err := config(c)
	var l *lab.Lab
	var ln net.Listener
	if err == nil {
		l, err = lab.Start(ctx, cfg)
	}
	if err == nil {
		ln, err = l.ListenControl()
	}
	if err != nil {
		report(err)
		return err
	}
	served := make(chan error, 1)
	go func() { served <- l.ServeControl(context.WithoutCancel(ctx), ln) }()
	report(nil)
	select {
	case <-ctx.Done():
	case <-ended:
		cfg.Log.Info("the process that this lab was for has ended", "pid", c.Int("until"))
	case <-l.Done():
		err = <-served
	case err = <-served:
	}
	return errors.Join(err, l.Stop(context.WithoutCancel(ctx)))
}

func config(c *cli.Context) (lab.Config, error) {
	level := slog.LevelInfo
	if c.Bool("debug") {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	quiet(log)
	cfg := lab.Config{ESX: c.Bool("esx"), Dir: c.String("dir"), Listen: c.String("listen"), Registry: c.String("registry"),
		RegistryRoot: registryRoot(c), User: c.String("user"), Password: c.String("password"), CPU: c.String("cpu"),
		Accel: c.String("accel"), DatastoreSizes: map[string]int64{}, Log: log}
	for _, s := range c.StringSlice("datastore-size") {
		name, mib, ok := strings.Cut(s, "=")
		n, err := strconv.ParseInt(mib, 10, 32)
		if !ok || err != nil || n <= 0 {
			return cfg, fmt.Errorf("--datastore-size %q: want NAME=MiB", s)
		}
		cfg.DatastoreSizes[name] = n << 20
	}
	return cfg, nil
}

func registryRoot(c *cli.Context) string {
	in := filepath.Join(c.String("images"), "registry")
	if st, err := os.Stat(in); err == nil && st.IsDir() && !c.IsSet("registry-root") {
		return in
	}
	return c.String("registry-root")
}

// quiet sends what the libraries log where our own debug log goes.
func quiet(log *slog.Logger) {
	slog.SetLogLoggerLevel(slog.LevelDebug)
	slog.SetDefault(log)
	logrus.SetOutput(io.Discard)
}
