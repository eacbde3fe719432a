package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/sirupsen/logrus"

	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

const (
	plain = "distribution"
	ours  = "hub"
)

// server serves until its standard input ends, and prints its address first.
func server(kind, dir, database string) error {
	ctx := context.Background()
	h, err := handler(ctx, kind, dir, database)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = l.Close()
	}()
	if err := http.Serve(l, h); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func handler(ctx context.Context, kind, dir, database string) (http.Handler, error) {
	objects := filepath.Join(dir, kind)
	if kind == plain {
		logrus.SetOutput(io.Discard)
		logrus.SetLevel(logrus.PanicLevel)
		c := &configuration.Configuration{Storage: configuration.Storage{
			"filesystem":  {"rootdirectory": objects},
			"delete":      {"enabled": true},
			"cache":       {"blobdescriptor": "inmemory"},
			"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
		}}
		c.HTTP.Secret = "bench"
		return handlers.NewApp(ctx, c), nil
	}
	if database == "" {
		database = "sqlite:" + filepath.Join(dir, "hub.db")
	}
	s, err := store.Open(ctx, database, registry.Schema())
	if err != nil {
		return nil, err
	}
	d, err := registry.Filesystem(objects)
	if err != nil {
		return nil, err
	}
	g, err := registry.New(ctx, s, d, registry.Options{Authorizer: basic{}, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return nil, err
	}
	err = s.Tx(ctx, func(tx *store.Tx) error {
		_, err := g.CreateProject(tx, registry.Project{Name: "bench", Quota: 1 << 40, RepoQuota: 1000})
		return err
	})
	if errors.Is(err, errdef.ErrExists) {
		err = nil
	}
	return g, err
}

// basic lets in who signs in with the name "bench".
type basic struct{}

func (basic) Authenticate(r *http.Request) (registry.Caller, error) {
	name, password, ok := r.BasicAuth()
	if !ok || name != "bench" || password != "bench" {
		return nil, registry.ErrUnauthenticated
	}
	return caller{}, nil
}

func (basic) Challenge(*http.Request, []registry.Access) string { return `Basic realm="bench"` }

type caller struct{}

func (caller) Name() string                               { return "bench" }
func (caller) May(context.Context, registry.Access) error { return nil }

// process is a server in a process of its own, so that its memory and its garbage are its own.
type process struct {
	kind, url string
	cmd       *exec.Cmd
	lifeline  io.Closer
}

func start(kind, dir, database string) (*process, error) {
	p := &process{kind: kind, cmd: exec.Command(os.Args[0], "-serve", kind, "-dir", dir, "-database", database)}
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.lifeline = in
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("%s did not start: %w", kind, err)
	}
	p.url = "http://" + strings.TrimSpace(line)
	return p, nil
}

func (p *process) stop() {
	_ = p.lifeline.Close()
	_ = p.cmd.Wait()
}

// memory is what the process has resident now and had at most, in bytes.
func (p *process) memory() (now, peak int64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kb, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "VmRSS:":
			now = kb << 10
		case "VmHWM:":
			peak = kb << 10
		}
	}
	return now, peak
}
