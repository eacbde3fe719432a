package errdef

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestEveryClassSurvivesTheWire(t *testing.T) {
	for _, class := range []error{ErrNotFound, ErrExists, ErrInvalid, ErrConflict, ErrDenied, ErrUnavailable,
		ErrExhausted, ErrUnsupported, ErrCanceled, ErrInternal, ErrPluginDown, context.DeadlineExceeded} {
		sent := fmt.Errorf("layer 7: %w", class)
		got := FromGRPC(ToGRPC(sent))
		if !errors.Is(got, class) {
			t.Errorf("%v arrived as %v", class, got)
		}
		if got.Error() != sent.Error() {
			t.Errorf("text %q arrived as %q", sent, got)
		}
		for _, other := range []error{ErrNotFound, ErrInternal} {
			if other != class && errors.Is(got, other) {
				t.Errorf("%v arrived as %v too", class, other)
			}
		}
	}
}

func TestErrorsWithoutAClass(t *testing.T) {
	for _, c := range []struct {
		name string
		in   error
		want codes.Code
	}{
		{"plain", errors.New("oops"), codes.Unknown},
		{"already a status", status.Error(codes.DataLoss, "lost"), codes.DataLoss},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := status.Code(ToGRPC(c.in)); got != c.want {
				t.Fatalf("code %v, want %v", got, c.want)
			}
			if !errors.Is(FromGRPC(ToGRPC(c.in)), ErrInternal) {
				t.Fatal("not an internal error on the other side")
			}
		})
	}
	if ToGRPC(nil) != nil || FromGRPC(nil) != nil || FromGRPC(io.EOF) != io.EOF {
		t.Fatal("nil and io.EOF must stay as they are")
	}
}
