package dockerapi

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/moby/term"

	"github.com/openvic/vic/core/engine"
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
