package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

const (
	codeNotExecutable = 126
	codeNoCommand     = 127
	// maxExecs is how many ended execs of one container can still be inspected.
	maxExecs = 64
)

// ExecRequest describes a further process in a container.
type ExecRequest struct {
	Process               guest.Process
	Stdin, Stdout, Stderr bool // which streams will be attached
	DetachKeys            []byte
}

// Exec is a view of an exec.
type Exec struct {
	ID          string
	ContainerID string
	Request     ExecRequest
	Running     bool
	Started     bool
	ExitCode    *int
	Pid         int
}

// exec is one further process; its fields are guarded by its container's mu. It outlives the client that has
// started it: awaitExec sees it to its end, or to that of its run.
type exec struct {
	Exec      // but Running and Started, which view fills in
	container *container
	life      execLife
	run       *run // in which it was started
}

// move applies an occurrence; false if it does not apply. Called with the container's mu held.
func (x *exec) move(o execOccurrence) bool {
	to, ok := execTable[x.life][o]
	if ok {
		x.life = to
	}
	return ok
}

// end notes an exec's exit code; false if it has ended before.
func (x *exec) end(code int) (ended bool) {
	x.container.update(func() {
		if ended = x.move(onExecEnds); ended {
			x.ExitCode, x.Pid = &code, 0
		}
	})
	return ended
}

// CreateExec prepares a process in a running container.
func (e *Engine) CreateExec(ref string, req ExecRequest) (string, error) {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return "", err
	}
	if _, err := c.activeRun(); err != nil {
		return "", err
	}
	if err := c.takesExec(); err != nil {
		return "", err
	}
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("exec ID: %w", err)
	}
	x := &exec{container: c, Exec: Exec{ID: hex.EncodeToString(b), ContainerID: c.id, Request: req}}
	if !e.registry.addExec(x) { // the container went meanwhile
		return "", errNoContainer(ref)
	}
	var dropped string
	c.update(func() {
		c.execs = append(c.execs, x.ID)
		if len(c.execs) > maxExecs {
			dropped, c.execs = c.execs[0], c.execs[1:]
		}
	})
	e.dropEnded(dropped)
	e.emit(c, "exec_create: "+commandLine(req.Process.Args), "execID", x.ID)
	return x.ID, nil
}

// commandLine is a command as Docker's events show it: a program without arguments is followed by a
// space too.
func commandLine(args []string) string {
	text := strings.Join(args, " ")
	if len(args) == 1 {
		text += " "
	}
	return text
}

// takesExec says why a running container cannot have a further process now.
func (c *container) takesExec() error {
	switch c.view().State.Status {
	case StatusPaused:
		return fail(errdef.ErrConflict, "Container %s is paused, unpause the container before exec", c.id)
	case StatusRestarting:
		return errRestarting(c.id)
	}
	return nil
}

// dropEnded forgets an exec that does not run; nothing to do for an ID that is none.
func (e *Engine) dropEnded(id string) {
	if x, err := e.registry.exec(id); err == nil && !x.view().Running {
		e.registry.dropExec(id)
	}
}

func (x *exec) view() Exec {
	x.container.mu.Lock()
	defer x.container.mu.Unlock()
	v := x.Exec
	v.Started, v.Running = x.life != execCreated, x.life == execStarting || x.life == execRunning
	return v
}

// GetExec returns an exec.
func (e *Engine) GetExec(id string) (Exec, error) {
	x, err := e.registry.exec(id)
	if err != nil {
		return Exec{}, err
	}
	return x.view(), nil
}

// CheckExec says whether an exec can be started: ErrNotFound, or ErrConflict if its container does
// not run.
func (e *Engine) CheckExec(id string) error {
	x, err := e.registry.exec(id)
	if err != nil {
		return err
	}
	if _, err = x.container.activeRun(); err != nil {
		return err
	}
	return x.container.takesExec()
}

// StartExec starts an exec. With streams it returns when the process has ended, without (detached)
// when it has started.
func (e *Engine) StartExec(ctx context.Context, id string, st *Streams, width, height uint16) error {
	x, err := e.registry.exec(id)
	if err != nil {
		return err
	}
	if err := x.container.takesExec(); err != nil {
		return err
	}
	r, err := x.claim()
	if err != nil {
		return err
	}
	req := x.Request
	e.emit(x.container, "exec_start: "+commandLine(req.Process.Args), "execID", id)
	p := req.Process
	p.Stdin = req.Stdin && st != nil && st.Stdin != nil
	if width > 0 && height > 0 {
		p.Width, p.Height = width, height
	}
	pid, err := x.launch(ctx, r, link.Exec{ID: id, Process: p, DiscardOutput: st == nil})
	if err != nil {
		x.failed(err)
		return fmt.Errorf("exec failed: %w", err)
	}
	if pid == 0 {
		if err := x.notStarted(ctx, r); err != nil {
			go e.awaitExec(e.ctx, x, r)
			return err
		}
	}
	x.container.update(func() {
		if x.move(onExecRuns) {
			x.Pid = pid
		}
	})
	if st == nil {
		go e.awaitExec(e.ctx, x, r)
		return nil
	}
	io := stdio{run: r, stdin: r.link.Stdin(id, true), closeStdin: true}
	err = io.copy(ctx, *st, link.OutputRequest{ExecID: id, Follow: true, Attached: true})
	if errors.Is(err, ErrDetached) {
		go e.awaitExec(e.ctx, x, r)
		e.emit(x.container, "exec_detach", "execID", id)
		return nil
	}
	if err != nil { // the client has gone; the process goes on
		go e.awaitExec(e.ctx, x, r)
		return err
	}
	e.awaitExec(ctx, x, r)
	return nil
}

// claim makes the caller the one who starts an exec; ErrConflict if another has.
func (x *exec) claim() (*run, error) {
	r, err := x.container.activeRun()
	if err != nil {
		return nil, err
	}
	x.container.mu.Lock()
	defer x.container.mu.Unlock()
	switch {
	case x.move(onExecStart):
		x.run = r
		return r, nil
	case x.life == execEnded:
		return nil, fail(errdef.ErrConflict, "exec command %s has already run", x.ID)
	}
	return nil, fail(errdef.ErrConflict, "exec command %s is already running", x.ID)
}

func (x *exec) launch(ctx context.Context, r *run, req link.Exec) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, logPatience)
	defer cancel()
	stop := context.AfterFunc(r.ctx, cancel)
	defer stop()
	return r.link.Exec(ctx, req)
}

// notStarted returns why the tether could not start an exec; nil if it could and it has ended.
func (x *exec) notStarted(ctx context.Context, r *run) error {
	exit, err := r.link.Wait(ctx, x.ID)
	if err != nil || exit.Error == "" {
		return err
	}
	x.end(int(exit.Code))
	return fail(errdef.ErrInvalid, "exec failed: unable to start the process: %s", exit.Error)
}

// failed records an exec that could not be started, with the codes that a shell would give.
func (x *exec) failed(err error) {
	code := codeNotExecutable
	if t := err.Error(); strings.Contains(t, "not found") || strings.Contains(t, "no such file") {
		code = codeNoCommand
	}
	x.end(code)
}

// awaitExec records the end of an exec's process.
func (e *Engine) awaitExec(ctx context.Context, x *exec, r *run) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(r.ctx, cancel)
	defer stop()
	exit, err := r.link.Wait(ctx, x.ID)
	if err != nil && r.ctx.Err() == nil && ctx.Err() != nil && e.ctx.Err() == nil {
		go e.awaitExec(e.ctx, x, r) // the client has left before the end
		return
	}
	code := int(exit.Code)
	if err != nil {
		code = codeKilled
	}
	if x.end(code) {
		e.emit(x.container, "exec_die", "execID", x.ID, "exitCode", itoa(code))
	}
}
