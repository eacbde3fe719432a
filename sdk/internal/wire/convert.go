// Package wire holds what the adapters of all plugin kinds share: conversions of small values,
// byte streams over gRPC messages, and the connection's settings. All functions that convert are
// pure.
package wire

import (
	"fmt"
	"net/netip"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/openvic/vic/sdk/errdef"
)

// Map converts each element; an empty slice becomes nil.
func Map[A, B any](in []A, f func(A) B) []B {
	if len(in) == 0 {
		return nil
	}
	out := make([]B, 0, len(in))
	for _, v := range in {
		out = append(out, f(v))
	}
	return out
}

// MapErr is Map for conversions that fail.
func MapErr[A, B any](in []A, f func(A) (B, error)) ([]B, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make([]B, 0, len(in))
	for _, v := range in {
		b, err := f(v)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// FromTime makes the wire's form; the zero time is absent.
func FromTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// ToTime is the way back.
func ToTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// FromAddr makes the wire's form; the zero address is empty.
func FromAddr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// ToAddr is the way back.
func ToAddr(s string) (netip.Addr, error) {
	if s == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("address %q: %w", s, errdef.ErrInvalid)
	}
	return a, nil
}

// FromPrefix makes the wire's form; the zero prefix is empty.
func FromPrefix(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

// ToPrefix is the way back.
func ToPrefix(s string) (netip.Prefix, error) {
	if s == "" {
		return netip.Prefix{}, nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("subnet %q: %w", s, errdef.ErrInvalid)
	}
	return p, nil
}
