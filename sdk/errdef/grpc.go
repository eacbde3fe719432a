package errdef

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
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

// reasonDomain marks the reasons of this project's kinds in a status (google.rpc.ErrorInfo).
const reasonDomain = "openvic.github.com"

// ToGRPC makes a status error of err: its class becomes the code, its text the message, its reason a
// detail.
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
			return withReason(status.New(c.code, err.Error()), err).Err()
		}
	}
	return status.Error(codes.Unknown, err.Error())
}

// withReason adds the reason of err to a status, if it has one.
func withReason(s *status.Status, err error) *status.Status {
	var e *Error
	if !errors.As(err, &e) || e.Reason == "" {
		return s
	}
	with, err := s.WithDetails(&errdetails.ErrorInfo{Domain: reasonDomain, Reason: e.Reason, Metadata: e.toFields()})
	if err != nil { // a text that is not UTF-8: the class and the message must do
		return s
	}
	return with
}

// reasonOf reads what withReason added; nil if there is nothing.
func reasonOf(s *status.Status, class error) *Error {
	for _, d := range s.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == reasonDomain {
			return fromFields(class, info.GetReason(), info.GetMetadata())
		}
	}
	return nil
}

// remote is an error that came over gRPC: its text is the other side's, its class ours.
type remote struct {
	class  error
	text   string
	reason *Error // of the same class; nil if the other side gave none
}

func (r *remote) Error() string { return r.text }

func (r *remote) Unwrap() error {
	if r.reason != nil {
		return r.reason
	}
	return r.class
}

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
			return &remote{class: c.err, text: s.Message(), reason: reasonOf(s, c.err)}
		}
	}
	return &remote{class: ErrInternal, text: fmt.Sprintf("%s: %s", s.Code(), s.Message())}
}
