package errdef

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// classes is ordered: the first class that errors.Is finds decides.
var classes = []struct {
	err  error
	code codes.Code
}{
	{ErrPluginDown, codes.Aborted},
	{ErrNotFound, codes.NotFound},
	{ErrExists, codes.AlreadyExists},
	{ErrInvalid, codes.InvalidArgument},
	{ErrConflict, codes.FailedPrecondition},
	{ErrDenied, codes.PermissionDenied},
	{ErrUnavailable, codes.Unavailable},
	{ErrExhausted, codes.ResourceExhausted},
	{ErrUnsupported, codes.Unimplemented},
	{ErrCanceled, codes.Canceled},
	{context.Canceled, codes.Canceled},
	{context.DeadlineExceeded, codes.DeadlineExceeded},
	{ErrInternal, codes.Internal},
}

// ToGRPC makes a status error of err: its class becomes the code, its text the message.
// An error of no class becomes codes.Unknown; nil and io.EOF stay as they are.
func ToGRPC(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if s, ok := status.FromError(err); ok && s.Code() != codes.Unknown {
		return err
	}
	for _, c := range classes {
		if errors.Is(err, c.err) {
			return status.Error(c.code, err.Error())
		}
	}
	return status.Error(codes.Unknown, err.Error())
}

// remote is an error that came over gRPC: its text is the other side's, its class ours.
type remote struct {
	class error
	text  string
}

func (r *remote) Error() string { return r.text }
func (r *remote) Unwrap() error { return r.class }

// Is lets a cancelled call be recognised as one that was made in the same process.
func (r *remote) Is(target error) bool {
	return target == context.Canceled && r.class == ErrCanceled
}

// FromGRPC is the way back: an error that errors.Is finds its class in and whose text is the
// message of the other side. nil and io.EOF stay as they are.
func FromGRPC(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	for _, c := range classes {
		if c.code == s.Code() {
			return &remote{class: c.err, text: s.Message()}
		}
	}
	return &remote{class: ErrInternal, text: fmt.Sprintf("%s: %s", s.Code(), s.Message())}
}
