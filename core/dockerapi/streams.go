package dockerapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/daemon/logger"
	"github.com/docker/docker/errdefs"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/moby/term"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/sdk/guest"
)

// defaultDetachKeys are Docker's: ctrl-p, ctrl-q.
func defaultDetachKeys() []byte { return []byte{16, 17} }

func detachKeys(keys string) ([]byte, error) {
	if keys == "" {
		return defaultDetachKeys(), nil
	}
	b, err := term.ToBytes(keys)
	if err != nil {
		return nil, invalid("Invalid detach keys (%s) provided", keys)
	}
	return b, nil
}

// escaped watches a terminal's input for the detach keys.
type escaped struct{ r io.Reader }

func newEscaped(r io.Reader, keys []byte) io.Reader { return escaped{term.NewEscapeProxy(r, keys)} }

func (e escaped) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	var esc term.EscapeError
	if errors.As(err, &esc) {
		err = engine.ErrDetached
	}
	return n, err
}

// ContainerAttach connects a client with a container's streams.
func (b *containers) ContainerAttach(name string, req *backend.ContainerAttachConfig) error {
	keys, err := detachKeys(req.DetachKeys)
	if err != nil {
		return err
	}
	s, err := b.opts.Engine.OpenSession(name)
	if err != nil {
		return wrap(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	mux := !s.TTY && req.MuxStreams
	in, out, errOut, err := req.GetStreams(mux, cancel)
	if err != nil {
		return err
	}
	defer in.Close()
	if mux {
		out, errOut = stdcopy.NewStdWriter(out, stdcopy.Stdout), stdcopy.NewStdWriter(errOut, stdcopy.Stderr)
	}
	st := engine.Streams{Logs: req.Logs, Stream: req.Stream}
	if req.UseStdin {
		st.Stdin = in
		if s.TTY {
			st.Stdin = newEscaped(in, keys)
		}
	}
	if req.UseStdout {
		st.Stdout = out
	}
	if req.UseStderr {
		st.Stderr = errOut
	}
	if err := s.Run(ctx, st); err != nil && ctx.Err() == nil {
		_, _ = fmt.Fprintln(out, "Error attaching:", err) // as Docker does: the status is sent already
	}
	return nil
}

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
	p := guest.Process{Args: o.Cmd, Env: execEnv(c.Process, o), Dir: or(o.WorkingDir, c.Process.Dir), User: or(o.User, c.Process.User), TTY: o.Tty, Privileged: o.Privileged}
	if o.User == "" {
		p.Groups = c.Process.Groups
	}
	if s := o.ConsoleSize; s != nil {
		p.Height, p.Width = uint16(s[0]), uint16(s[1])
	}
	id, err := b.opts.Engine.CreateExec(c.ID, engine.ExecRequest{Process: p, Stdin: o.AttachStdin, Stdout: o.AttachStdout, Stderr: o.AttachStderr, DetachKeys: keys})
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

// ContainerLogs streams what a container wrote.
func (b *containers) ContainerLogs(ctx context.Context, name string, o *container.LogsOptions) (<-chan *backend.LogMessage, bool, error) {
	c, err := b.opts.Engine.Get(name)
	if err != nil {
		return nil, false, wrap(err)
	}
	if b.definition(&c).HostConfig.LogConfig.Type == noLogDriver {
		return nil, false, logger.ErrReadLogsNotSupported{}
	}
	lo, err := logQuery(o)
	if err != nil {
		return nil, false, err
	}
	var attrs []backend.LogAttr
	if o.Details {
		attrs = b.detailsOf(&c)
	}
	out := make(chan *backend.LogMessage, 64)
	go func() {
		defer close(out)
		err := b.opts.Engine.Logs(ctx, c.ID, lo, func(l engine.LogLine) error {
			return send(ctx, out, &backend.LogMessage{Line: l.Data, Source: sourceOf(l), Timestamp: l.Time, Attrs: attrs})
		})
		if err != nil && ctx.Err() == nil {
			_ = send(ctx, out, &backend.LogMessage{Err: err})
		}
	}()
	return out, c.Process.TTY, nil
}

func send(ctx context.Context, out chan<- *backend.LogMessage, m *backend.LogMessage) error {
	select {
	case out <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func sourceOf(l engine.LogLine) string {
	if l.Stderr {
		return "stderr"
	}
	return "stdout"
}

func logQuery(o *container.LogsOptions) (engine.LogOptions, error) {
	q := engine.LogOptions{Stdout: o.ShowStdout, Stderr: o.ShowStderr, Follow: o.Follow, Tail: -1}
	if n, err := strconv.Atoi(o.Tail); err == nil && n >= 0 {
		q.Tail = n
	}
	var err error
	if q.Since, err = parseTime(o.Since); err != nil {
		return q, invalid("invalid value for \"since\": %v", err)
	}
	if q.Until, err = parseTime(o.Until); err != nil {
		return q, invalid("invalid value for \"until\": %v", err)
	}
	return q, nil
}
