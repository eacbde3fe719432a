package task

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/outlog"
	"github.com/openvic/vic/tether/output"
	"github.com/openvic/vic/tether/spawn"
	"golang.org/x/sys/unix"
)

// nobody is a process ID that no process has.
const nobody = 1 << 30

var unixEpoch = time.Unix(1, 0)

// process is a process whose far side is the test: its ends of the pipes, and its end.
type process struct {
	spawn.Process
	stdin          *os.File
	stdout, stderr *os.File
	ended          chan unix.WaitStatus
}

func newProcess(t *testing.T) *process {
	t.Helper()
	pipe := func() (r, w *os.File) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(); w.Close() })
		return r, w
	}
	p := &process{ended: make(chan unix.WaitStatus, 1)}
	p.PID, p.Ended = nobody, p.ended
	p.stdin, p.Stdin = pipe()
	p.Stdout, p.stdout = pipe()
	p.Stderr, p.stderr = pipe()
	return p
}

// exit ends the process: it closes what it held, and is reaped.
func (p *process) exit(code int) { p.end(unix.WaitStatus(code << 8)) }

func (p *process) end(status unix.WaitStatus) {
	p.stdout.Close()
	p.stderr.Close()
	p.ended <- status
}

// read reads a task's output to its end.
func read(t *testing.T, b *output.Buffer) string {
	t.Helper()
	r, err := b.NewReader(output.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var s strings.Builder
	for {
		rec, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return s.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		if rec.Stream == outlog.Stderr {
			s.WriteString("!")
		}
		s.Write(rec.Data)
	}
}

func TestWhatATaskAnswersInEachState(t *testing.T) {
	over := func(task *Task) error { _, err := task.Wait(t.Context()); return err }
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]func(*Task) error{
		"signal":     func(x *Task) error { return x.Signal(canceled, 10) },
		"signal 0":   func(x *Task) error { return x.Signal(canceled, 0) },
		"signal 65":  func(x *Task) error { return x.Signal(canceled, 65) },
		"stdin":      func(x *Task) error { _, err := x.WriteStdin(canceled, 0, nil, false); return err },
		"stdin, gap": func(x *Task) error { _, err := x.WriteStdin(canceled, 9, nil, false); return err },
		"resize":     func(x *Task) error { return x.Resize(80, 25) },
		"started":    func(x *Task) error { return x.Started(canceled) },
		"wait":       func(x *Task) error { _, err := x.Wait(canceled); return err },
	}
	for _, state := range []struct {
		name string
		make func(t *testing.T) *Task
		want map[string]error // nil: none; calls that are not named are canceled, as what they wait for does not come
	}{
		{"not started", func(*testing.T) *Task { return New(output.NewMemory(), true) },
			map[string]error{"signal 0": errdef.ErrInvalid, "signal 65": errdef.ErrInvalid, "resize": nil}},
		{"could not be started", func(*testing.T) *Task {
			x := New(output.NewMemory(), true)
			x.Fail(errors.New("no"))
			return x
		}, map[string]error{"signal": errdef.ErrConflict, "signal 0": errdef.ErrInvalid, "signal 65": errdef.ErrInvalid, "stdin": errdef.ErrConflict,
			"stdin, gap": errdef.ErrConflict, "resize": nil, "started": nil, "wait": nil}},
		{"runs", func(t *testing.T) *Task {
			x := New(output.NewMemory(), true)
			p := newProcess(t)
			x.Run(&p.Process, nil)
			t.Cleanup(func() { p.exit(0); over(x) })
			return x
		}, map[string]error{"signal": errdef.ErrConflict /* nobody */, "signal 0": errdef.ErrInvalid, "signal 65": errdef.ErrInvalid, "stdin": nil,
			"stdin, gap": &GapError{At: 0, Got: 9}, "resize": errdef.ErrConflict, "started": nil}},
		{"runs without input", func(t *testing.T) *Task {
			x := New(nil, false)
			p := newProcess(t)
			p.Stdin = nil
			x.Run(&p.Process, nil)
			t.Cleanup(func() { p.exit(0); over(x) })
			return x
		}, map[string]error{"signal": errdef.ErrConflict, "signal 0": errdef.ErrInvalid, "signal 65": errdef.ErrInvalid, "stdin": errdef.ErrConflict,
			"stdin, gap": errdef.ErrConflict, "resize": errdef.ErrConflict, "started": nil}},
		{"has ended", func(t *testing.T) *Task {
			x := New(output.NewMemory(), true)
			p := newProcess(t)
			x.Run(&p.Process, nil)
			p.exit(3)
			if err := over(x); err != nil {
				t.Fatal(err)
			}
			return x
		}, map[string]error{"signal": errdef.ErrConflict, "signal 0": errdef.ErrInvalid, "signal 65": errdef.ErrInvalid, "stdin": errdef.ErrConflict,
			"stdin, gap": errdef.ErrConflict, "resize": errdef.ErrConflict, "started": nil, "wait": nil}},
	} {
		for name, call := range calls {
			t.Run(state.name+"/"+name, func(t *testing.T) {
				want, named := state.want[name]
				if !named {
					want = context.Canceled
				}
				err := call(state.make(t))
				var gap, wanted *GapError
				if errors.As(want, &wanted) {
					if !errors.As(err, &gap) || *gap != *wanted {
						t.Errorf("got %v, want %v", err, want)
					}
				} else if !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			})
		}
	}
}

func TestATaskTellsHowItEnded(t *testing.T) {
	for name, c := range map[string]struct {
		status unix.WaitStatus
		oom    func() bool
		want   guest.Exit
	}{
		"with an exit code":    {3 << 8, nil, guest.Exit{Code: 3}},
		"by a signal":          {9, func() bool { return false }, guest.Exit{Code: 137}},
		"because memory ended": {9, func() bool { return true }, guest.Exit{Code: 137, OOM: true}},
	} {
		t.Run(name, func(t *testing.T) {
			x, p := New(output.NewMemory(), true), newProcess(t)
			if running, pid, exit, ended := x.State(); running || ended || pid != 0 || exit != (guest.Exit{}) {
				t.Errorf("before the start: %v %v %v %v", running, pid, exit, ended)
			}
			x.Run(&p.Process, c.oom)
			if running, pid, exit, ended := x.State(); !running || ended || pid != nobody || exit.Started.IsZero() || !exit.Finished.IsZero() {
				t.Errorf("while it runs: %v %v %v %v", running, pid, exit, ended)
			}
			p.end(c.status)
			exit, err := x.Wait(t.Context())
			if err != nil || exit.Started.IsZero() || exit.Finished.Before(exit.Started) {
				t.Fatal(exit, err)
			}
			if running, pid, again, ended := x.State(); running || !ended || pid != 0 || again != exit {
				t.Errorf("afterwards: %v %v %v %v", running, pid, again, ended)
			}
			if exit.Started, exit.Finished = c.want.Started, c.want.Finished; exit != c.want {
				t.Errorf("got %+v, want %+v", exit, c.want)
			}
		})
	}
}

func TestAProcessThatCannotBeStartedTellsWhyInDockersWords(t *testing.T) {
	for err, want := range map[error]guest.Exit{
		errors.New("a disk is missing"):                                       {Code: spawn.CodeTether, Error: "a disk is missing"},
		error(&spawn.Failure{Code: spawn.CodeNotFound, Text: "not in $PATH"}): {Code: spawn.CodeNotFound, Error: "not in $PATH"},
	} {
		x := New(output.NewMemory(), true)
		x.Fail(err)
		exit, werr := x.Wait(t.Context())
		if werr != nil || exit.Finished.IsZero() || exit.Code != want.Code || exit.Error != want.Error {
			t.Errorf("%+v, %v", exit, werr)
		}
	}
}

func TestASignalReachesTheProcess(t *testing.T) {
	got := make(chan os.Signal, 1)
	signal.Notify(got, unix.SIGUSR2)
	defer signal.Stop(got)
	x, p := New(nil, false), newProcess(t)
	p.PID = os.Getpid()
	sent := make(chan error, 1)
	go func() { sent <- x.Signal(t.Context(), int(unix.SIGUSR2)) }() // waits for the start
	x.Run(&p.Process, nil)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != unix.SIGUSR2 {
		t.Errorf("got %v", s)
	}
	p.exit(0)
	<-x.Ended()
}

func TestOutputIsKeptByStreamAndInFull(t *testing.T) {
	b := output.NewMemory()
	x, p := New(b, true), newProcess(t)
	x.Run(&p.Process, nil)
	big := bytes.Repeat([]byte("0123456789abcdef"), 3*readSize/16)
	for _, w := range []struct {
		f    *os.File
		data []byte
	}{{p.stdout, []byte("out")}, {p.stdout, big}} {
		if _, err := w.f.Write(w.data); err != nil {
			t.Fatal(err)
		}
	}
	p.stdout.Close()
	p.exit(0)
	<-x.Ended()
	if got := read(t, b); got != "out"+string(big) {
		t.Errorf("%d bytes of %d", len(got), len(big)+3)
	}

	x, p = After(x), newProcess(t)
	if x.OutputStart() != b.End() {
		t.Errorf("the next run's output begins at %d, not at %d", x.OutputStart(), b.End())
	}
	x.Run(&p.Process, nil)
	if _, err := p.stderr.WriteString("oops"); err != nil {
		t.Fatal(err)
	}
	p.exit(1)
	<-x.Ended()
	if got := read(t, b); !strings.HasSuffix(got, "f!oops") {
		t.Errorf("the end is %q", got[max(0, len(got)-10):])
	}
}

// The container's own process goes on being followed after a restart; an exec's output has an end.
func TestTheOutputOfAnExecEndsWithIt(t *testing.T) {
	for _, main := range []bool{true, false} {
		b := output.NewMemory()
		x, p := New(b, main), newProcess(t)
		x.Run(&p.Process, nil)
		p.exit(0)
		<-x.Ended()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r, err := b.NewReader(output.Options{Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		want := io.EOF
		if main {
			want = context.Canceled
		}
		if _, err := r.Next(ctx); !errors.Is(err, want) {
			t.Errorf("main %v: a late follower sees %v", main, err)
		}
		r.Close()
	}
}

// Children of an exec may hold its output for ever: what was written is kept, and the exec ends. The
// container's own process is over when its output is.
func TestWhoHoldsTheOutputOpenHoldsUpTheContainerAlone(t *testing.T) {
	b := output.NewMemory()
	x, p := New(b, false), newProcess(t)
	x.Run(&p.Process, nil)
	if _, err := p.stdout.WriteString("said"); err != nil {
		t.Fatal(err)
	}
	p.ended <- 0 // stdout stays open in another process
	<-x.Ended()
	if got := read(t, b); got != "said" {
		t.Errorf("kept %q", got)
	}

	x, p = New(output.NewMemory(), true), newProcess(t)
	x.Run(&p.Process, nil)
	p.ended <- 0
	if _, err := p.stdout.WriteString("later"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-x.Ended():
		t.Error("it has ended before its output")
	default:
	}
	p.stdout.Close()
	p.stderr.Close()
	<-x.Ended()
	if got := read(t, x.Output()); got != "later" {
		t.Errorf("kept %q", got)
	}
}

// What an exec wrote before its end is kept, however slow who takes it is.
func TestWhatIsInThePipeAtTheEndIsTaken(t *testing.T) {
	b := output.NewMemory()
	x, p := New(b, false), newProcess(t)
	if _, err := p.stdout.WriteString("in the pipe"); err != nil {
		t.Fatal(err)
	}
	if err := p.Stdout.SetReadDeadline(unixEpoch); err != nil { // as if the time had passed meanwhile
		t.Fatal(err)
	}
	x.Run(&p.Process, nil)
	p.ended <- 0
	<-x.Ended()
	if got := read(t, b); got != "in the pipe" {
		t.Errorf("kept %q", got)
	}
}

func TestInputIsCountedOverRestarts(t *testing.T) {
	x, p := New(output.NewMemory(), true), newProcess(t)
	x.Run(&p.Process, nil)
	if at, err := x.WriteStdin(t.Context(), 0, []byte("first"), true); at != 5 || err != nil {
		t.Fatal(at, err)
	}
	if got, err := io.ReadAll(p.stdin); string(got) != "first" || err != nil {
		t.Fatalf("read %q, %v", got, err)
	}
	p.exit(0)
	<-x.Ended()
	x, p = After(x), newProcess(t)
	x.Run(&p.Process, nil)
	if at, err := x.WriteStdin(t.Context(), 3, []byte("st second"), true); at != 12 || err != nil {
		t.Fatal(at, err)
	}
	if got, err := io.ReadAll(p.stdin); string(got) != " second" || err != nil {
		t.Fatalf("read %q, %v", got, err)
	}
	p.exit(0)
	<-x.Ended()
}

func TestInputThatNobodyReadsIsRefused(t *testing.T) {
	x, p := New(output.NewMemory(), true), newProcess(t)
	x.Run(&p.Process, nil)
	p.stdin.Close()
	for range 2 {
		if at, err := x.WriteStdin(t.Context(), 0, []byte("x"), false); at != 0 || !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("%d, %v", at, err)
		}
	}
	p.exit(0)
	<-x.Ended()
}

// A write that waits for the process to read ends with its caller, and with the process.
func TestAWriteThatWaitsCanBeEnded(t *testing.T) {
	x, p := New(output.NewMemory(), true), newProcess(t)
	x.Run(&p.Process, nil)
	type result struct {
		at  int64
		err error
	}
	done := make(chan result, 1)
	write := func(ctx context.Context, offset int64) {
		at, err := x.WriteStdin(ctx, offset, make([]byte, 1<<20), false)
		done <- result{at, err}
	}
	ctx, cancel := context.WithCancel(t.Context())
	go write(ctx, 0)
	one := make([]byte, 1)
	if _, err := io.ReadFull(p.stdin, one); err != nil { // it is under way
		t.Fatal(err)
	}
	cancel()
	r := <-done
	if !errors.Is(r.err, context.Canceled) || r.at <= 0 || r.at >= 1<<20 {
		t.Fatalf("%d, %v", r.at, r.err)
	}
	go write(t.Context(), r.at)
	if _, err := io.ReadFull(p.stdin, make([]byte, r.at)); err != nil { // all of the first and one of the second
		t.Fatal(err)
	}
	p.exit(0)
	if r := <-done; !errors.Is(r.err, errdef.ErrConflict) {
		t.Errorf("after the end: %v", r.err)
	}
}

func TestTheTerminalHasTheSizeThatWasAskedForBeforeTheStart(t *testing.T) {
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	x := New(output.NewMemory(), true)
	if err := x.Resize(91, 17); err != nil {
		t.Fatal(err)
	}
	ended := make(chan unix.WaitStatus, 1)
	x.Run(&spawn.Process{PID: nobody, TTY: tty, Ended: ended}, nil)
	for _, want := range [][2]uint16{{91, 17}, {80, 25}} {
		if want[0] == 80 {
			if err := x.Resize(80, 25); err != nil {
				t.Fatal(err)
			}
		}
		size, err := unix.IoctlGetWinsize(int(tty.Fd()), unix.TIOCGWINSZ)
		if err != nil || size.Col != want[0] || size.Row != want[1] {
			t.Errorf("%+v, %v", size, err)
		}
	}
	if _, err := x.WriteStdin(t.Context(), 0, nil, true); err != nil { // an end of input is the terminal's to tell
		t.Errorf("end of input: %v", err)
	}
	ended <- 0
	tty.Close()
	<-x.Ended()
	if err := x.Resize(80, 25); err != nil {
		t.Errorf("after the end: %v", err)
	}
}
