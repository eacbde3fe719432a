// Package task is one process of a container, the container's own or one of exec, as the host sees
// it: its state, input, output and end.
package task

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/outlog"
	"github.com/openvic/vic/tether/output"
	"github.com/openvic/vic/tether/spawn"
	"golang.org/x/sys/unix"
)

// readSize is how much of the output is taken at once.
const readSize = 128 << 10

// Task is a process. It is made before its process is started and stays after the process's end. Its
// methods may be called at the same time, all but Run and Fail: one of them is called, once, by who made
// the task.
//
// Run starts one goroutine for each stream of output, which alone reads that file, and one that waits for
// the end of the process, then for those, and then closes the files. Input is written by its callers, one
// after another. A lock is never held while another one is taken.
type Task struct {
	out   *output.Buffer // nil: the output is discarded
	main  bool
	begin int64 // offset of this run's first byte

	started chan struct{} // closed when the process runs, or has failed to
	ended   chan struct{} // closed when exit is set

	mu     sync.Mutex // guards what follows; not held over a read or a write
	proc   *spawn.Process
	exit   guest.Exit // Started with the start, the rest before ended is closed
	size   [2]uint16  // of the terminal, asked for before the start
	closed bool       // the process's files

	inMu   sync.Mutex // one writer of stdin at a time: held over a write, which may last
	inPos  int64      // bytes that the process was given, over restarts
	inDone bool       // stdin is closed
}

// New returns a task that has not started. main says that it is the container's own process.
func New(out *output.Buffer, main bool) *Task {
	t := &Task{out: out, main: main, started: make(chan struct{}), ended: make(chan struct{})}
	if out != nil {
		t.begin = out.End()
	}
	return t
}

// After returns the task of a container's next process: it goes on with the output and counts the
// input on.
func After(t *Task) *Task {
	n := New(t.out, t.main)
	t.inMu.Lock()
	defer t.inMu.Unlock()
	n.inPos = t.inPos
	return n
}

// Output is the task's output; nil if it is discarded.
func (t *Task) Output() *output.Buffer { return t.out }

// OutputStart is the offset of the first byte of this run.
func (t *Task) OutputStart() int64 { return t.begin }

// Run takes a process over. oom tells, after its end, whether memory ran out.
func (t *Task) Run(p *spawn.Process, oom func() bool) {
	t.mu.Lock()
	t.proc, t.exit.Started = p, time.Now()
	if t.size[0] > 0 && p.TTY != nil {
		_ = spawn.Resize(p.TTY, t.size[0], t.size[1]) // under the lock: a later Resize comes later
	}
	t.mu.Unlock()
	close(t.started)
	var pumps sync.WaitGroup
	for _, s := range []struct {
		f      *os.File
		stream outlog.Stream
	}{{p.TTY, outlog.Stdout}, {p.Stdout, outlog.Stdout}, {p.Stderr, outlog.Stderr}} {
		if s.f != nil {
			pumps.Go(func() { t.pump(s.f, s.stream) })
		}
	}
	go t.finish(p, &pumps, oom)
}

// Fail ends a task whose process could not be started.
func (t *Task) Fail(err error) {
	exit := guest.Exit{Code: spawn.CodeTether, Error: err.Error(), Finished: time.Now()}
	var f *spawn.Failure
	if errors.As(err, &f) {
		exit.Code = f.Code
	}
	t.mu.Lock()
	t.exit = exit
	t.mu.Unlock()
	t.endOutput()
	close(t.started)
	close(t.ended)
}

// endOutput ends those who follow. The output of the container's own process goes on if it is
// started again.
func (t *Task) endOutput() {
	switch {
	case t.out == nil:
	case t.main:
		t.out.Cut()
	default:
		t.out.Close()
	}
}

// finish waits for the end of the process and then of its output.
func (t *Task) finish(p *spawn.Process, pumps *sync.WaitGroup, oom func() bool) {
	ws := <-p.Ended
	finished := time.Now()
	if !t.main {
		spawn.EndOutput(p.TTY, p.Stdout, p.Stderr)
	}
	pumps.Wait()
	t.closeFiles(p)
	t.endOutput()
	t.mu.Lock()
	t.exit.Code, t.exit.Finished = spawn.ExitCode(ws), finished
	t.exit.OOM = oom != nil && oom()
	t.mu.Unlock()
	close(t.ended)
}

// closeFiles ends a write to stdin that is in progress.
func (t *Task) closeFiles(p *spawn.Process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, f := range []*os.File{p.TTY, p.Stdin, p.Stdout, p.Stderr} {
		if f != nil {
			f.Close()
		}
	}
}

// pump moves output from the process to the buffer.
func (t *Task) pump(f *os.File, s outlog.Stream) {
	buf := make([]byte, readSize)
	for {
		n, err := f.Read(buf)
		if n > 0 && t.out != nil {
			if n >= readSize/2 {
				t.out.Append(s, buf[:n])
				buf = make([]byte, readSize)
			} else {
				t.out.Append(s, append([]byte(nil), buf[:n]...))
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && t.out != nil {
			spawn.Drain(f, func(rest []byte) { t.out.Append(s, rest) })
		}
		if err != nil {
			return
		}
	}
}

// State tells whether the process runs, and how it ended if it has.
func (t *Task) State() (running bool, pid int, exit guest.Exit, ended bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.ended:
		return false, 0, t.exit, true
	default:
	}
	if t.proc == nil {
		return false, 0, t.exit, false
	}
	return true, t.proc.PID, t.exit, false
}

// Ended is closed when the task is over.
func (t *Task) Ended() <-chan struct{} { return t.ended }

// Wait returns how the process ended; the cause of ctx's end if that comes first.
func (t *Task) Wait(ctx context.Context) (guest.Exit, error) {
	if err := await(ctx, t.ended); err != nil {
		return guest.Exit{}, err
	}
	_, _, exit, _ := t.State()
	return exit, nil
}

// await waits until c is closed. If it is, that counts, and not that ctx has ended as well.
func await(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	default:
	}
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Started returns when the process runs, or has failed to start.
func (t *Task) Started(ctx context.Context) error { return await(ctx, t.started) }

// process returns the running process; it waits for the start.
func (t *Task) process(ctx context.Context) (*spawn.Process, error) {
	if err := t.Started(ctx); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.ended:
		return nil, fmt.Errorf("the process has ended: %w", errdef.ErrConflict)
	default:
	}
	if t.proc == nil {
		return nil, fmt.Errorf("the process does not run: %w", errdef.ErrConflict)
	}
	return t.proc, nil
}

// Signal sends a signal to the process, which it waits for. ErrInvalid for what is no signal, ErrConflict if
// the process has ended.
func (t *Task) Signal(ctx context.Context, n int) error {
	if n < 1 || n > 64 {
		return fmt.Errorf("signal %d: %w", n, errdef.ErrInvalid)
	}
	p, err := t.process(ctx)
	if err != nil {
		return err
	}
	err = unix.Kill(p.PID, unix.Signal(n))
	if errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("the process has ended: %w", errdef.ErrConflict)
	}
	return err
}

// Resize sets the terminal's size in characters, now or when the process starts. ErrConflict if the process
// has no terminal. It does nothing to one that is closed.
func (t *Task) Resize(width, height uint16) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.proc == nil {
		t.size = [2]uint16{width, height}
		return nil
	}
	if t.proc.TTY == nil {
		return fmt.Errorf("the process has no terminal: %w", errdef.ErrConflict)
	}
	if t.closed {
		return nil
	}
	return spawn.Resize(t.proc.TTY, width, height)
}

// WriteStdin gives bytes to the process; offset is the position of data[0] in the whole input. It
// returns the position after what was taken, also when it fails: GapError if bytes before data are missing,
// ErrConflict if the process takes none (any more).
func (t *Task) WriteStdin(ctx context.Context, offset int64, data []byte, end bool) (int64, error) {
	p, err := t.process(ctx)
	if err != nil {
		return 0, err
	}
	in := p.Stdin
	if p.TTY != nil {
		in = p.TTY
	}
	if in == nil {
		return 0, fmt.Errorf("the process has no input: %w", errdef.ErrConflict)
	}
	t.inMu.Lock()
	defer t.inMu.Unlock()
	if offset > t.inPos {
		return t.inPos, &GapError{At: t.inPos, Got: offset}
	}
	data = data[min(t.inPos-offset, int64(len(data))):]
	if len(data) > 0 && t.inDone {
		return t.inPos, fmt.Errorf("the process's input is closed: %w", errdef.ErrConflict)
	}
	err = t.writeStdin(ctx, in, data)
	if err == nil && end && p.TTY == nil && !t.inDone {
		t.inDone = true
		in.Close()
	}
	return t.inPos, err
}

// GapError says that input before an offset is missing.
type GapError struct{ At, Got int64 }

func (e *GapError) Error() string {
	return fmt.Sprintf("input at offset %d, but the position is %d", e.Got, e.At)
}

func (t *Task) writeStdin(ctx context.Context, in *os.File, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	canceled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(canceled)
		in.SetWriteDeadline(time.Unix(1, 0))
	})
	defer func() {
		if !stop() {
			<-canceled
			in.SetWriteDeadline(time.Time{})
		}
	}()
	n, err := io.Writer(in).Write(data)
	t.inPos += int64(n)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return context.Cause(ctx)
	case errors.Is(err, unix.EPIPE), errors.Is(err, os.ErrClosed), errors.Is(err, unix.EIO):
		// Nobody reads: the bytes are gone as they would be in a local pipe's reader.
		t.inDone = true
		return fmt.Errorf("the process does not read its input any more: %w", errdef.ErrConflict)
	}
	return err
}
