package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/handover"
	"github.com/openvic/vic/sdk/serve"
)

// handle is a connection that outlives the processes at its other end: each call takes the one of
// the moment.
type handle struct{ s *supervisor }

var _ grpc.ClientConnInterface = (*handle)(nil)

// Invoke makes a unary call.
func (h *handle) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) (err error) {
	begun := time.Now()
	defer func() { h.s.host.opts.Observe(h.s.spec.Name, method, false, time.Since(begun), err) }()
	p, err := h.s.current(ctx)
	if err != nil {
		return err
	}
	return p.Invoke(ctx, method, args, reply, opts...)
}

// NewStream begins a streaming call.
func (h *handle) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (_ grpc.ClientStream, err error) {
	begun := time.Now()
	defer func() { h.s.host.opts.Observe(h.s.spec.Name, method, true, time.Since(begun), err) }()
	p, err := h.s.current(ctx)
	if err != nil {
		return nil, err
	}
	return p.NewStream(ctx, desc, method, opts...)
}

var _ grpc.ClientConnInterface = (*process)(nil)

// Invoke makes a unary call to this process.
func (p *process) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	var trailer metadata.MD
	err := p.conn.Invoke(ctx, method, args, reply, append(opts, grpc.Trailer(&trailer))...)
	return p.explain(ctx, err, trailer)
}

// NewStream begins a streaming call to this process.
func (p *process) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := p.conn.NewStream(handover.Bind(ctx, opts, p.handover), desc, method, opts...)
	if err != nil {
		return nil, p.explain(ctx, err, nil)
	}
	return &stream{ClientStream: s, p: p, caller: ctx}, nil
}

// stream explains the errors of a gRPC stream.
type stream struct {
	grpc.ClientStream
	p *process
	// caller's context: the stream's own ends with the stream.
	caller context.Context
}

func (s *stream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return s.p.explain(s.caller, err, s.Trailer())
}

func (s *stream) SendMsg(m any) error {
	err := s.ClientStream.SendMsg(m)
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return s.p.explain(s.caller, err, nil)
}

// noticed is how long after a broken call the end of the process is known at the latest.
const noticed = time.Second

// explain tells an error that the plugin answered, which passes, from one that gRPC made because the
// process is gone, which becomes errdef.ErrPluginDown. It returns that only when the supervisor knows
// too, so that the caller's next call waits for the next process.
func (p *process) explain(ctx context.Context, err error, trailer metadata.MD) error {
	if err == nil || len(trailer.Get(serve.AnswerKey)) > 0 || errors.Is(err, errdef.ErrPluginDown) {
		return err
	}
	switch status.Code(err) {
	case codes.Unavailable:
	case codes.Canceled, codes.DeadlineExceeded:
		// Also what a caller gets who gave up.
		if ctx.Err() != nil || p.life.Err() == nil {
			return err
		}
	default:
		if p.life.Err() == nil {
			return err
		}
	}
	timer := time.NewTimer(noticed)
	defer timer.Stop()
	select {
	case <-p.life.Done():
		return fmt.Errorf("plugin %s: its process ended during the call: %w", p.name, errdef.ErrPluginDown)
	case <-timer.C:
	case <-ctx.Done():
	}
	return err
}
