package errdef

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
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

func TestAReasonSurvivesTheWireInsideAnotherError(t *testing.T) {
	in := &Error{Class: ErrConflict, Reason: "PORT_TAKEN", Fields: map[string]string{"port": "80"}, Text: "port 80 is taken"}
	got := FromGRPC(ToGRPC(fmt.Errorf("container a: %w", in)))
	var e *Error
	if !errors.As(got, &e) || e.Reason != in.Reason || e.Fields["port"] != "80" || len(e.Fields) != 1 || e.Text != in.Text {
		t.Errorf("%+v", e)
	}
	if got.Error() != "container a: port 80 is taken" || !errors.Is(got, ErrConflict) || errors.Is(got, ErrInvalid) {
		t.Errorf("%v", got)
	}
}

func TestAReasonOutOfBoundsIsLeftOut(t *testing.T) {
	many := map[string]string{}
	for i := range 2 * maxFields {
		many[fmt.Sprint(i)] = "x"
	}
	for name, in := range map[string]*Error{
		"too many fields": {Class: ErrConflict, Reason: "R", Fields: many, Text: "text"},
		"a long reason":   {Class: ErrConflict, Reason: strings.Repeat("R", 2*maxFieldLen), Text: "text"},
		"not UTF-8":       {Class: ErrConflict, Reason: "R", Fields: map[string]string{"a": "\xff"}, Text: "text"},
	} {
		t.Run(name, func(t *testing.T) {
			got := FromGRPC(ToGRPC(in))
			var e *Error
			if errors.As(got, &e) || !errors.Is(got, ErrConflict) || got.Error() != "text" {
				t.Errorf("%+v, %v", e, got)
			}
		})
	}
	long := &Error{Class: ErrConflict, Reason: "R", Fields: map[string]string{"a": strings.Repeat("x", 2*maxFieldLen), "b": "1"}, Text: "text"}
	var e *Error
	if got := FromGRPC(ToGRPC(long)); !errors.As(got, &e) || len(e.Fields) != 1 || e.Fields["b"] != "1" {
		t.Errorf("%+v", e)
	}
}
