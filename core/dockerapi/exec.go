package dockerapi

import (
	"context"
	"fmt"
	"slices"

	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/errdefs"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/sdk/guest"
)

// ContainerExecCreate prepares a process.
func (b *containers) ContainerExecCreate(name string, o *container.ExecOptions) (string, error) {
	keys, err := detachKeys(o.DetachKeys)
	if err != nil {
		return "", invalid("Invalid escape keys (%s) provided", o.DetachKeys)
	}
	if o.DetachKeys == "" {
		keys = nil // inspect shows none
	}
	c, err := b.opts.Engine.Get(name)
	if err != nil {
		return "", wrap(err)
	}
	if c.State.Status == engine.StatusPaused {
		return "", errdefs.Conflict(fmt.Errorf("Container %s is paused, unpause the container before exec", name)) //nolint:staticcheck // Docker's text
	}
	p := guest.Process{Args: o.Cmd, Env: execEnv(c.Process, o), Dir: or(o.WorkingDir, c.Process.Dir), User: or(o.User, c.Process.User),
		TTY: o.Tty, Privileged: o.Privileged}
	if o.User == "" {
		p.Groups = c.Process.Groups
	}
	if s := o.ConsoleSize; s != nil {
		p.Height, p.Width = uint16(s[0]), uint16(s[1])
	}
	id, err := b.opts.Engine.CreateExec(c.ID, engine.ExecRequest{Process: p, Stdin: o.AttachStdin, Stdout: o.AttachStdout,
		Stderr: o.AttachStderr, DetachKeys: keys})
	return id, wrap(err)
}

func execEnv(p guest.Process, o *container.ExecOptions) []string {
	env := slices.DeleteFunc(slices.Clone(p.Env), func(e string) bool { return !o.Tty && e == "TERM=xterm" })
	if o.Tty && !p.TTY {
		env = setEnv(env, []string{"TERM=xterm"})
	}
	return setEnv(env, o.Env)
}

// ContainerExecStart starts a process and serves its streams.
func (b *containers) ContainerExecStart(ctx context.Context, id string, o backend.ExecStartConfig) error {
	x, err := b.opts.Engine.GetExec(id)
	if err != nil {
		return wrap(err)
	}
	var st *engine.Streams
	if o.Stdin != nil || o.Stdout != nil || o.Stderr != nil {
		st = execStreams(x.Request, o)
	}
	var width, height uint16
	if s := o.ConsoleSize; s != nil {
		height, width = uint16(s[0]), uint16(s[1])
	}
	return wrap(b.opts.Engine.StartExec(ctx, id, st, width, height))
}

func execStreams(req engine.ExecRequest, o backend.ExecStartConfig) *engine.Streams {
	st := &engine.Streams{Stream: true}
	if req.Stdin && o.Stdin != nil {
		st.Stdin = o.Stdin
		if req.Process.TTY {
			st.Stdin = newEscaped(o.Stdin, keysOf(req))
		}
	}
	if req.Stdout {
		st.Stdout = o.Stdout
	}
	if req.Stderr {
		st.Stderr = o.Stderr
	}
	return st
}

// keysOf are the detach keys of a further process.
func keysOf(req engine.ExecRequest) []byte {
	if len(req.DetachKeys) == 0 {
		return defaultDetachKeys()
	}
	return req.DetachKeys
}

// ContainerExecInspect describes a process.
func (b *containers) ContainerExecInspect(id string) (*backend.ExecInspect, error) {
	x, err := b.opts.Engine.GetExec(id)
	if err != nil {
		return nil, wrap(err)
	}
	p := x.Request.Process
	privileged := p.Privileged
	return &backend.ExecInspect{ID: x.ID, Running: x.Running, ExitCode: x.ExitCode, OpenStdin: x.Request.Stdin, OpenStdout: x.Request.Stdout,
		OpenStderr: x.Request.Stderr, ContainerID: x.ContainerID, DetachKeys: x.Request.DetachKeys, Pid: x.Pid, CanRemove: x.ExitCode != nil,
		ProcessConfig: &backend.ExecProcessConfig{Tty: p.TTY, Entrypoint: p.Args[0], Arguments: p.Args[1:], Privileged: &privileged, User: p.User}}, nil
}

// ContainerExecResize sets the terminal's size.
func (b *containers) ContainerExecResize(ctx context.Context, id string, height, width uint32) error {
	return wrap(b.opts.Engine.ResizeExec(ctx, id, width, height))
}

// ExecExists says whether a process can be started.
func (b *containers) ExecExists(id string) (bool, error) {
	err := b.opts.Engine.CheckExec(id)
	return err == nil, wrap(err)
}
