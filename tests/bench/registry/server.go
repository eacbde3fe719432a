package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/sirupsen/logrus"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/hub"
)

const (
	plain = "distribution"
	ours  = "hub"
)

// server serves until its standard input ends, and prints its address first.
func server(kind, dir, database string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h, ended, err := handler(ctx, kind, dir, database)
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
	if err := http.Serve(l, profiled(h)); !errors.Is(err, net.ErrClosed) {
		return err
	}
	cancel()
	return ended()
}

// profiled serves h and two paths more: what the processor does from POST /bench/profile/begin?file= on until .../end goes into
// the file.
func profiled(h http.Handler) http.Handler {
	var mu sync.Mutex
	var file *os.File
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.HandleFunc("POST /bench/profile/begin", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		var err error
		if file, err = os.Create(r.URL.Query().Get("file")); err == nil {
			err = pprof.StartCPUProfile(file)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("POST /bench/profile/end", func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		pprof.StopCPUProfile()
		_ = file.Close()
	})
	return mux
}

// handler is what a server serves. ended waits until it has ended with ctx.
func handler(ctx context.Context, kind, dir, database string) (_ http.Handler, ended func() error, err error) {
	if kind == plain {
		logrus.SetOutput(io.Discard)
		logrus.SetLevel(logrus.PanicLevel)
		c := &configuration.Configuration{Storage: configuration.Storage{
			"filesystem":  {"rootdirectory": filepath.Join(dir, kind)},
			"delete":      {"enabled": true},
			"cache":       {"blobdescriptor": "inmemory"},
			"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
		}}
		c.HTTP.Secret = "bench"
		return handlers.NewApp(ctx, c), func() error { return nil }, nil
	}
	cfg, err := configure(dir, database)
	if err != nil {
		return nil, nil, err
	}
	h, err := hub.New(ctx, cfg, "bench", slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return nil, nil, err
	}
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	mux := http.NewServeMux()
	mux.Handle("/", h.Handler())
	mux.HandleFunc("POST /bench/collect", func(w http.ResponseWriter, r *http.Request) {
		did, err := h.Collect(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(did) // the client has gone
	})
	mux.HandleFunc("GET /bench/trips", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, h.RoundTrips()) })
	return mux, func() error { return <-done }, nil
}

// configure writes a hub's configuration into dir: users in a file, and everything else as it comes.
func configure(dir, database string) (config.Hub, error) {
	program := filepath.Join(dir, "vic-auth-local")
	if _, err := os.Stat(program); err != nil {
		build := exec.Command("go", "build", "-o", program, "github.com/openvic/vic/plugins/auth-local")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return config.Hub{}, fmt.Errorf("plugin of local users: %w", err)
		}
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		return config.Hub{}, err
	}
	plugins := filepath.Join(dir, "plugins.d")
	if err := os.MkdirAll(plugins, 0o755); err != nil {
		return config.Hub{}, err
	}
	local := filepath.Join(dir, "local.toml")
	for path, text := range map[string]string{
		local:                                fmt.Sprintf("file = %q\n", filepath.Join(dir, "people", "users.json")),
		filepath.Join(plugins, "local.toml"): fmt.Sprintf("name = 'local'\npath = %q\nsha256 = '%x'\nconfig = %q\n", program, sha256.Sum256(binary), local),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return config.Hub{}, err
		}
	}
	return config.ParseHub("hub.toml", fmt.Sprintf("listen = 'tcp://127.0.0.1:0'\ndata = %q\n[plugins]\ndir = %q\n[roles]\nauth = 'local'\n[database]\nurl = %q\n",
		dir, plugins, cmp.Or(database, "sqlite:"+filepath.Join(dir, "hub.db"))))
}

// process is a server in a process of its own, so that its memory and its garbage are its own.
type process struct {
	kind, url string
	dir       string
	cmd       *exec.Cmd
	lifeline  io.Closer
	ready     time.Duration // from its start until it answers
}

func start(kind, dir, database string) (*process, error) {
	p := &process{kind: kind, dir: dir, cmd: exec.Command(os.Args[0], "-serve", kind, "-dir", dir, "-database", database)}
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
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("%s did not start: %w", kind, err)
	}
	p.url = "http://" + strings.TrimSpace(line)
	for kind == ours {
		res, err := http.Get(p.url + "/readyz")
		if err != nil {
			p.stop()
			return nil, err
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			break
		}
		if time.Since(began) > time.Minute {
			p.stop()
			return nil, errors.New("the hub is not ready after a minute")
		}
		time.Sleep(5 * time.Millisecond)
	}
	p.ready = time.Since(began)
	return p, nil
}

func (p *process) stop() {
	_ = p.lifeline.Close()
	_ = p.cmd.Wait()
}

// profile has the server write what its processor does until the function that it returns is called.
func (p *process) profile(file string) (end func(), err error) {
	post := func(path string) error {
		res, err := http.Post(p.url+path, "", nil)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("profile: %s", res.Status)
		}
		return nil
	}
	if err := post("/bench/profile/begin?file=" + file); err != nil {
		return nil, err
	}
	return func() { _ = post("/bench/profile/end") }, nil
}

// spent is what a server has used up.
type spent struct {
	cpu   time.Duration // its processes', and its database's
	trips int64         // how often it waited for its database
}

func (s spent) minus(o spent) spent { return spent{s.cpu - o.cpu, s.trips - o.trips} }

// spent reads it. database is the parent of the processes of its database; 0: it has none.
func (p *process) spent(database int) (s spent, err error) {
	if p.kind == ours {
		res, err := http.Get(p.url + "/bench/trips")
		if err != nil {
			return s, err
		}
		defer res.Body.Close()
		if _, err := fmt.Fscan(res.Body, &s.trips); err != nil {
			return s, err
		}
	}
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		number, rest, _ := strings.Cut(string(b), " ")
		f := strings.Fields(rest[strings.LastIndexByte(rest, ')')+1:]) // from the state on
		pid, _ := strconv.Atoi(number)
		parent, _ := strconv.Atoi(f[1])
		if me := p.cmd.Process.Pid; pid != me && parent != me && (database == 0 || pid != database && parent != database) {
			continue
		}
		for _, ticks := range f[11:13] { // user and system, in hundredths of a second
			n, _ := strconv.Atoi(ticks)
			s.cpu += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return s, nil
}

// memory is what the process and its plugins have resident now, and had at most, in bytes.
func (p *process) memory() (now, peak int64) {
	all, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		fields := map[string]int64{}
		for line := range strings.SplitSeq(string(b), "\n") {
			if f := strings.Fields(line); len(f) >= 2 {
				fields[f[0]], _ = strconv.ParseInt(f[1], 10, 64)
			}
		}
		if pid := int64(p.cmd.Process.Pid); fields["Pid:"] == pid || fields["PPid:"] == pid {
			now += fields["VmRSS:"] << 10
			peak += fields["VmHWM:"] << 10
		}
	}
	return now, peak
}
