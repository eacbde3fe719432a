package plugin_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestAKilledPluginFailsItsCallsAndComesBack(t *testing.T) {
	h, _ := start(t, plugin.Options{Plugins: []config.Plugin{spec(t, "one", "memory = true\n")}})
	d, err := plugin.Driver(h, compute.Plugin(), "one")
	if err != nil {
		t.Fatal(err)
	}
	id, conn := running(t, d)
	defer conn.Close()
	inFlight := make(chan error, 3)
	ctx := context.Background()
	watching := make(chan struct{}, 1)
	go func() {
		inFlight <- d.Watch(ctx, func(compute.Event) error { watching <- struct{}{}; return nil })
	}()
	go func() {
		_, err := io.ReadAll(conn)
		inFlight <- err
	}()
	go func() {
		// The guest's one connection is in use: this call waits in the plugin.
		_, err := d.Connect(ctx, id)
		inFlight <- err
	}()
	<-watching
	before := until(t, h, "one", "up", is(plugin.StateUp))
	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range cap(inFlight) {
		select {
		case err := <-inFlight:
			wantError(t, "a call in flight", err, errdef.ErrPluginDown, "one")
		case <-time.After(2 * time.Minute):
			t.Fatal("a call in flight hangs")
		}
	}
	// The next call waits for the new process, which remembers nothing.
	vms, err := d.List(ctx)
	if err != nil || len(vms) != 0 {
		t.Errorf("List: %v, %v", vms, err)
	}
	after := until(t, h, "one", "up", is(plugin.StateUp))
	if after.PID == before.PID || after.Restarts != 1 {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func TestAnAnswerOfThePluginIsNotTakenForItsEnd(t *testing.T) {
	h, _ := start(t, plugin.Options{Plugins: []config.Plugin{spec(t, "one", "")}})
	d, err := plugin.Driver(h, compute.Plugin(), "one")
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Get(context.Background(), "none")
	wantError(t, "Get", err, errdef.ErrNotFound)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err = d.Watch(ctx, func(compute.Event) error { return nil })
	if errors.Is(err, errdef.ErrPluginDown) || err == nil {
		t.Errorf("a caller that gave up: %v", err)
	}
}

func TestALineThatPanicsGoPluginDoesNoHarm(t *testing.T) {
	long := strings.Repeat("x", 200<<10)
	h, l := start(t, plugin.Options{Plugins: []config.Plugin{
		spec(t, "one", "stderr = ['{\"@message\":1}', '{\"@level\":7,\"@message\":\"m\",\"@timestamp\":3}', '{', '"+long+"', 'the end']\n"),
	}})
	until(t, h, "one", "up", is(plugin.StateUp))
	eventually(t, func() string {
		if !strings.Contains(l.String(), `line="the end"`) {
			return fmt.Sprintf("the last line did not come:\n%.2000s", l)
		}
		return ""
	})
	if !strings.Contains(l.String(), `line="{\"@message\":1}"`) {
		t.Errorf("the line is not in the log")
	}
}

func TestAPluginThatPanicsIsToldInTheStatus(t *testing.T) {
	h, _ := start(t, plugin.Options{Plugins: []config.Plugin{spec(t, "one", "fail = \"panic\"\n")}})
	st := until(t, h, "one", "down", is(plugin.StateDown))
	if !strings.Contains(st.LastError, "panic: runtime error: invalid memory address") {
		t.Errorf("status %+v", st)
	}
}

func TestAProgramThatIsNoPluginIsToldInTheStatus(t *testing.T) {
	s := spec(t, "one", "")
	if err := os.WriteFile(s.Path, []byte("#!/bin/sh\necho 'this is a shell script' >&2\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.SHA256 = "ac84b1b35b2f9a1f8e9e0ae3ac5e1d4a2b3f0d5e6c7b8a990123456789abcdef"
	h, _ := start(t, plugin.Options{Plugins: []config.Plugin{s}})
	st := until(t, h, "one", "refused", is(plugin.StateRefused))
	s.SHA256 = st.SHA256
	h, _ = start(t, plugin.Options{Plugins: []config.Plugin{s}})
	st = until(t, h, "one", "down", is(plugin.StateDown))
	if !strings.Contains(st.LastError, "does not start as a plugin") || !strings.Contains(st.LastError, "this is a shell script") {
		t.Errorf("status %+v", st)
	}
}

func TestAPluginOfAnotherProtocolIsRefusedWithBothVersions(t *testing.T) {
	s := spec(t, "one", "")
	// The line is go-plugin's handshake: its own version, that of the protocol, where it listens.
	script := []byte("#!/bin/sh\necho '1|7|unix|'$PLUGIN_UNIX_SOCKET_DIR'/s|grpc|'\nread line <&3\n")
	if err := os.WriteFile(s.Path, script, 0o755); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(script)
	s.SHA256 = hex.EncodeToString(sum[:])
	h, _ := start(t, plugin.Options{Plugins: []config.Plugin{s}})
	st := until(t, h, "one", "refused", is(plugin.StateRefused))
	for _, want := range []string{s.File, s.Path, "speaks version 7 of the plugin protocol and this host version 1"} {
		if !strings.Contains(st.LastError, want) {
			t.Errorf("%q does not say %q", st.LastError, want)
		}
	}
}

// TestHostProcess is not a test: it is the host that TestAKilledHostTakesItsPluginsAlong kills.
func TestHostProcess(t *testing.T) {
	path := os.Getenv("VIC_TEST_HOST_PLUGIN")
	if path == "" {
		t.Skip("runs as the child of another test")
	}
	s := config.Plugin{Name: "one", Path: path, SHA256: os.Getenv("VIC_TEST_HOST_SHA")}
	h, err := plugin.New(plugin.Options{
		Plugins: []config.Plugin{s}, RunDir: os.Getenv("VIC_TEST_HOST_DIR"),
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		st := until(t, h, "one", "up", is(plugin.StateUp))
		_, _ = os.Stdout.WriteString("pid " + itoa(st.PID) + "\n")
	}()
	if err := h.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestAKilledHostTakesItsPluginsAlong(t *testing.T) {
	s := spec(t, "one", "")
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestHostProcess$")
		cmd.Env = append(os.Environ(), "VIC_TEST_HOST_PLUGIN="+s.Path, "VIC_TEST_HOST_SHA="+s.SHA256, "VIC_TEST_HOST_DIR="+t.TempDir())
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		pid := 0
		for r := bufio.NewScanner(out); pid == 0 && r.Scan(); {
			if rest, ok := strings.CutPrefix(r.Text(), "pid "); ok {
				pid, _ = strconv.Atoi(rest)
			}
		}
		_ = cmd.Process.Signal(sig)
		if pid == 0 {
			t.Fatal("the host did not start its plugin")
		}
		t.Cleanup(func() {
			if alive(pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		})
		eventually(t, func() string {
			if alive(pid) {
				return fmt.Sprintf("after %s of the host its plugin is still there", sig)
			}
			return ""
		})
		_ = cmd.Wait()
	}
}

// alive is false for a zombie that nobody has reaped.
func alive(pid int) bool {
	b, err := os.ReadFile("/proc/" + itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(after, "Z")
}
