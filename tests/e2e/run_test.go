package e2e

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/openvic/vic/tests/harness"
)

func TestRunPrintsOutput(t *testing.T) {
	beside(t)
	start := time.Now()
	if got := docker(t, "run", "--rm", "busybox", "echo", "hello"); got != "hello\n" {
		t.Fatalf("got %q", got)
	}
	progress("docker run --rm busybox echo hello: %.2f s with pull", time.Since(start).Seconds())
	start = time.Now()
	docker(t, "run", "--rm", "busybox", "echo", "hello")
	progress("docker run --rm busybox echo hello: %.2f s without pull", time.Since(start).Seconds())
}

func TestRunExitCode(t *testing.T) {
	beside(t)
	if r := dockerRun(t.Context(), nil, "run", "--rm", "busybox", "sh", "-c", "exit 7"); r.Code != 7 {
		t.Fatalf("exit %d, want 7: %s", r.Code, r.Stderr)
	}
}

func TestRunUsesAKernelOfItsOwn(t *testing.T) {
	beside(t)
	var host syscall.Utsname
	if err := syscall.Uname(&host); err != nil {
		t.Fatal(err)
	}
	var h []byte
	for _, c := range host.Release {
		if c == 0 {
			break
		}
		h = append(h, byte(c))
	}
	got := strings.TrimSpace(docker(t, "run", "--rm", "busybox", "uname", "-r"))
	if got == string(h) || !strings.Contains(got, "cloud") {
		t.Fatalf("kernel %q, host has %q", got, h)
	}
}

func TestRunReadsStdin(t *testing.T) {
	beside(t)
	r := dockerRun(t.Context(), []byte("hi\n"), "run", "-i", "--rm", "busybox", "cat")
	if r.Code != 0 || r.Stdout != "hi\n" {
		t.Fatalf("exit %d, stdout %q, stderr %q", r.Code, r.Stdout, r.Stderr)
	}
}

func TestRunStdinOfOneMegabyte(t *testing.T) {
	beside(t)
	in := bytes.Repeat([]byte("0123456789abcdef\n"), 1<<20/17)
	r := dockerRun(t.Context(), in, "run", "-i", "--rm", "busybox", "cat")
	if r.Code != 0 || r.Stdout != string(in) {
		t.Fatalf("exit %d, %d bytes of %d came back, stderr %q", r.Code, len(r.Stdout), len(in), r.Stderr)
	}
}

func TestRunOptionsReachTheProcess(t *testing.T) {
	beside(t)
	got := docker(t, "run", "--rm", "-e", "A=1", "-w", "/etc", "-u", "nobody", "-h", "box", "--entrypoint", "sh",
		"-m", "128m", "--cpus", "1", "busybox", "-c", `echo $A $(pwd) $(id -un) $(hostname) $$`)
	if got != "1 /etc nobody box 1\n" {
		t.Fatalf("got %q", got)
	}
}

func TestRunStderrAndStdoutAreApart(t *testing.T) {
	beside(t)
	r := dockerRun(t.Context(), nil, "run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
	if r.Stdout != "out\n" || r.Stderr != "err\n" {
		t.Fatalf("stdout %q, stderr %q", r.Stdout, r.Stderr)
	}
}

func TestRunUnknownCommandIs127(t *testing.T) {
	beside(t)
	r := dockerRun(t.Context(), nil, "run", "--rm", "busybox", "nosuchcommand")
	if r.Code != 127 || !strings.Contains(r.Stderr, "nosuchcommand") {
		t.Fatalf("exit %d, stderr %q", r.Code, r.Stderr)
	}
}

// terminal is the docker CLI on a pseudo terminal of ours.
type terminal struct {
	t   *testing.T
	f   *os.File
	cmd *exec.Cmd
	out chan []byte
	buf strings.Builder
}

func onTerminal(t *testing.T, rows, cols uint16, args ...string) *terminal {
	t.Helper()
	cmd := theLab.DockerCmd(t.Context(), args...)
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: rows, Cols: cols})
	if err != nil {
		t.Fatal(err)
	}
	x := &terminal{t: t, f: f, cmd: cmd, out: make(chan []byte, 16)}
	go func() {
		defer close(x.out)
		for {
			b := make([]byte, 4096)
			n, err := f.Read(b)
			if n > 0 {
				x.out <- b[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { f.Close() })
	return x
}

// expect reads until the text has come.
func (x *terminal) expect(text string) {
	x.t.Helper()
	deadline := time.After(harness.Patience)
	for !strings.Contains(x.buf.String(), text) {
		select {
		case b, ok := <-x.out:
			if !ok {
				x.t.Fatalf("the terminal closed before %q; got %q", text, x.buf.String())
			}
			x.buf.Write(b)
		case <-deadline:
			x.t.Fatalf("no %q; got %q", text, x.buf.String())
		}
	}
	x.buf.Reset()
}

func (x *terminal) send(s string) {
	x.t.Helper()
	if _, err := io.WriteString(x.f, s); err != nil {
		x.t.Fatal(err)
	}
}

func TestTerminalResizeAndInterrupt(t *testing.T) {
	beside(t)
	x := onTerminal(t, 30, 100, "run", "-it", "--rm", "busybox", "sh")
	x.expect("# ")
	x.send("stty size\n")
	x.expect("30 100")
	if err := pty.Setsize(x.f, &pty.Winsize{Rows: 41, Cols: 132}); err != nil {
		t.Fatal(err)
	}
	// The CLI hears of the new size by a signal and passes it on; the shell looks until it has come.
	x.send("until [ \"$(stty size)\" = '41 132' ]; do usleep 100000; done; echo is-\"resized\"\n")
	x.expect("is-resized")
	x.send("sh -c 'echo sl\"ee\"ping; exec sleep 36000'\n")
	x.expect("sleeping")
	x.send("\x03")
	x.send("echo after-\"interrupt\" $?\n")
	x.expect("after-interrupt 130")
	x.send("exit 3\n")
	err := x.cmd.Wait()
	if x.cmd.ProcessState.ExitCode() != 3 {
		t.Fatalf("exit %v, want 3", err)
	}
}

func TestInterruptReachesTheProcess(t *testing.T) {
	beside(t)
	cmd := theLab.DockerCmd(t.Context(), "run", "--rm", "busybox", "sh", "-c", "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done")
	var out syncBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, func() string {
		if strings.Contains(out.String(), "ready") {
			return ""
		}
		return "no 'ready' yet: " + out.String()
	})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if cmd.ProcessState.ExitCode() != 9 || !strings.Contains(out.String(), "caught") {
		t.Fatalf("exit %d, output %q", cmd.ProcessState.ExitCode(), out.String())
	}
}
