package plugin_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/plugin"
)

// programs are the test plugins, each built once, in a directory that TestMain removes.
var programs = struct {
	sync.Mutex
	dir   string
	built map[string]error
}{built: map[string]error{}}

// program builds the test plugin of that folder of internal and returns its file.
func program(name string) (string, error) {
	programs.Lock()
	defer programs.Unlock()
	if programs.dir == "" {
		dir, err := os.MkdirTemp("", "vic-testplugin-")
		if err != nil {
			return "", err
		}
		programs.dir = dir
	}
	file := filepath.Join(programs.dir, name)
	err, ok := programs.built[name]
	if !ok {
		if out, berr := exec.Command("go", "build", "-o", file, "./internal/"+name).CombinedOutput(); berr != nil {
			err = fmt.Errorf("build of the test plugin %s: %w\n%s", name, berr, out)
		}
		programs.built[name] = err
	}
	return file, err
}

func TestMain(m *testing.M) {
	code := m.Run()
	if programs.dir != "" {
		_ = os.RemoveAll(programs.dir)
	}
	os.Exit(code)
}

// spec makes the entry for a plugin; its program is called name, because the test plugin behaves by
// its name.
func spec(t testing.TB, name, toml string) config.Plugin {
	t.Helper()
	return specOf(t, "testplugin", name, toml)
}

// specOf makes the entry for another program of internal.
func specOf(t testing.TB, what, name, toml string) config.Plugin {
	t.Helper()
	built, err := program(what)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, name)
	data, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, name+".conf.toml")
	if err := os.WriteFile(conf, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return config.Plugin{
		Name: name, Path: path, SHA256: hex.EncodeToString(sum[:]), Config: conf,
		File: filepath.Join(dir, name+".toml"),
	}
}

// logs is a log that a test reads.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// start runs a host until the test ends and then checks that it left nothing.
func start(t testing.TB, o plugin.Options) (*plugin.Host, *logs) {
	t.Helper()
	l := &logs{}
	o.Log = slog.New(slog.NewTextHandler(l, nil))
	// Short, because the path of a unix socket is.
	dir, err := os.MkdirTemp("", "vic-p-")
	if err != nil {
		t.Fatal(err)
	}
	o.RunDir = dir
	h, err := plugin.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("left in the run directory: %v", left)
		}
		_ = os.RemoveAll(dir)
		if t.Failed() {
			t.Logf("log:\n%s", l)
		}
	})
	return h, l
}

// until waits for a plugin's status.
func until(t testing.TB, h *plugin.Host, name, what string, ok func(plugin.Status) bool) plugin.Status {
	t.Helper()
	var st plugin.Status
	eventually(t, func() string {
		var err error
		if st, err = h.Get(name); err != nil {
			t.Fatal(err)
		}
		if !ok(st) {
			return fmt.Sprintf("plugin %s is not %s: %+v", name, what, st)
		}
		return ""
	})
	return st
}

// eventually waits until f says "". The limit ends tests that hang, on any machine.
func eventually(t testing.TB, f func() string) {
	t.Helper()
	look, end := time.NewTicker(5*time.Millisecond), time.After(2*time.Minute)
	defer look.Stop()
	for msg := f(); msg != ""; msg = f() {
		select {
		case <-look.C:
		case <-end:
			t.Fatal(msg)
		}
	}
}

func is(state plugin.State) func(plugin.Status) bool {
	return func(st plugin.Status) bool { return st.State == state }
}

func wantError(t testing.TB, call string, err, class error, texts ...string) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Errorf("%s: got %v, want %v", call, err, class)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %q does not say %q", call, err, text)
		}
	}
}
