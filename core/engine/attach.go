package engine

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/sdk/errdef"
)

// ErrDetached is what a client's input returns when the user typed the detach keys.
var ErrDetached = errors.New("detached")

// Streams are a client's ends. Nil ones are not wanted.
type Streams struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Logs asks for what was written before, Stream for what comes.
	Logs, Stream bool
}

// Session is one client attached to a container. It is registered when it is opened, so that no
// byte is lost between the open and Run, also when the container is started in between: newRun hands the run
// to the sessions that wait for one, and counts each as a reader, for which the VM waits before it goes off.
// Run and Close are one goroutine's; the fields that newRun looks at are guarded by the container's mu.
type Session struct {
	e       *Engine
	c       *container
	run     *run
	waiting chan *run // instead of run: for the next start
	whole   bool      // from the beginning of the run
	TTY     bool
}

// OpenSession attaches to a container that runs, or to its next run.
func (e *Engine) OpenSession(ref string) (*Session, error) {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return nil, err
	}
	s, err := e.register(c)
	if err == nil {
		e.emit(c, "attach")
	}
	return s, err
}

// register makes a session of the container's run, or of its next one.
func (e *Engine) register(c *container) (*Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Status == StatusPaused {
		return nil, fail(errdef.ErrConflict, "container %s is paused, unpause the container before attach", c.id)
	}
	if c.state.Status == StatusRestarting {
		return nil, fail(errdef.ErrConflict, "container %s is restarting, wait until the container is running", c.id)
	}
	s := &Session{e: e, c: c, TTY: c.def.Process.TTY}
	if c.life.active() {
		s.run, s.whole = c.run, c.run.contact == contactNone && c.run.origin != foundRunning
		c.run.readers++
		return s, nil
	}
	s.waiting, s.whole = make(chan *run, 1), true
	c.nextRun = append(c.nextRun, s.waiting)
	return s, nil
}

// Close ends the session.
func (s *Session) Close() {
	s.c.update(func() {
		if s.run == nil && s.waiting != nil {
			select {
			case s.run = <-s.waiting: // was handed over just now
			default:
				s.c.nextRun = without(s.c.nextRun, s.waiting)
			}
		}
		if s.run != nil {
			s.run.readers--
		}
		s.run, s.waiting = nil, nil
	})
}

func without(list []chan *run, x chan *run) []chan *run {
	var out []chan *run
	for _, c := range list {
		if c != x {
			out = append(out, c)
		}
	}
	return out
}

// Run copies until the process has ended and all of its output is written, the client detaches or
// goes, or ctx ends.
func (s *Session) Run(ctx context.Context, st Streams) error {
	if !st.Stream {
		if !st.Logs {
			return nil
		}
		return s.e.Logs(ctx, s.c.id, LogOptions{Stdout: st.Stdout != nil, Stderr: st.Stderr != nil, Tail: -1}, func(l LogLine) error {
			return writeTo(st, l.Stderr, l.Data)
		})
	}
	if err := s.awaitRun(ctx); err != nil {
		return err
	}
	p := s.c.definition().Process
	x := stdio{run: s.run, stdin: s.run.stdin, closeStdin: p.StdinOnce && !p.TTY}
	if !p.Stdin {
		st.Stdin = nil
	}
	req := s.outputRequest(st.Logs)
	x.next = &req.Offset
	err := x.copy(ctx, st, req)
	switch {
	case errors.Is(err, ErrDetached):
		s.e.emit(s.c, "detach")
		return nil
	case errors.Is(err, errVMGone):
		return s.rest(ctx, st, *x.next)
	}
	return err
}

// rest gives the client what it has not seen when the VM went off, from the log on its disk.
func (s *Session) rest(ctx context.Context, st Streams, offset int64) error {
	if offset < 0 {
		return nil // it asked for what comes, and nothing came
	}
	r := s.run
	r.c.update(func() { r.c.diskReaders++ }) // a container of --rm stays until this is read
	defer r.c.update(func() { r.c.diskReaders-- })
	s.Close() // the VM's disk is free only when nobody reads through the tether
	err := s.e.outputs.from(ctx, r.c, offset, func(c link.Chunk) error {
		return writeTo(st, c.Stream == link.Stderr, c.Data)
	})
	if isNotFound(err) || errors.Is(err, errdef.ErrConflict) {
		return nil // removed or started again meanwhile, or never started: whoever did that tells of it
	}
	return err
}

// awaitRun waits for the container's start and its tether.
func (s *Session) awaitRun(ctx context.Context) error {
	if s.run == nil {
		select {
		case s.run = <-s.waiting:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.c.await(ctx, func() bool { return s.run.answered() })
}

// outputRequest says where this client's output begins.
func (s *Session) outputRequest(logs bool) link.OutputRequest {
	req := link.OutputRequest{Follow: true, Attached: true}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	switch {
	case logs:
	case !s.whole:
		req.Offset = -1
	default:
		req.Offset = s.run.hello.OutputStart // what earlier runs wrote is not wanted
	}
	return req
}

// stdio copies between a client and one process.
type stdio struct {
	run        *run
	stdin      *link.Stdin
	closeStdin bool   // the client's end of input is the process's
	next       *int64 // if set: the offset after the last byte that was written
}

// errVMGone ends a copy whose VM went off before all output was read.
var errVMGone = errors.New("the VM is off")

// copy returns when the output has ended, or the client.
func (x stdio) copy(ctx context.Context, st Streams, req link.OutputRequest) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(x.run.ctx, func() { cancel(nil) })
	defer stop()
	err := x.run.link.Place(ctx, &req) // before the first input, or its answer would come before the place that is read from
	if err == nil {
		if st.Stdin != nil {
			go x.copyIn(ctx, st.Stdin, cancel)
		}
		err = x.run.link.Output(ctx, req, func(c link.Chunk) error {
			x.run.delivered.Add(1)
			err := writeTo(st, c.Stream == link.Stderr, c.Data)
			if err == nil && x.next != nil {
				*x.next = c.Next
			}
			return err
		})
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, ErrDetached):
		return ErrDetached
	case errors.Is(cause, errInputEnd):
		return nil
	case x.run.ctx.Err() != nil && err != nil && x.next != nil:
		return errVMGone
	case x.run.ctx.Err() != nil:
		return nil
	}
	return err
}

// errInputEnd ends a client whose input has ended and whose process goes on without it.
var errInputEnd = errors.New("end of the client's input")

// copyIn hands a client's input on. While one write is under way the next bytes are collected, so
// that the distance to the tether does not bound the rate.
func (x stdio) copyIn(ctx context.Context, in io.Reader, cancel context.CancelCauseFunc) {
	q := newInput()
	stop := context.AfterFunc(ctx, q.quit)
	defer stop()
	go q.fill(in)
	for {
		p, err := q.take()
		if len(p) > 0 {
			if werr := x.stdin.Write(ctx, p); werr != nil {
				q.quit()
				return // the process reads no more; its output goes on
			}
			continue
		}
		switch {
		case errors.Is(err, errQuit):
		case errors.Is(err, ErrDetached):
			cancel(ErrDetached)
		case x.closeStdin:
			_ = x.stdin.Close(ctx)
		default:
			cancel(errInputEnd)
		}
		return
	}
}

func writeTo(st Streams, stderr bool, p []byte) error {
	w := st.Stdout
	if stderr {
		w = st.Stderr
	}
	if w == nil {
		return nil
	}
	_, err := w.Write(p)
	return err
}

// reader registers one who reads a run's output, so that the VM waits for it; false if the run is
// over.
func (c *container) reader() (*run, func(), bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.run
	if r == nil || r.readersShut {
		return nil, nil, false
	}
	r.readers++
	return r, func() { c.update(func() { r.readers-- }) }, true
}

// awaitLink waits a while for the tether of a run.
func (r *run) awaitLink(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return r.c.await(ctx, func() bool { return r.answered() })
}
