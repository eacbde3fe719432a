package computetest

import (
	"errors"
	"testing"

	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
)

// capacity leaves a driver free not to know; what it tells must be able to hold a VM.
func capacity(t *testing.T, s *suite) {
	r, ok := s.Driver.(compute.Reporter)
	if !ok {
		t.Skip("the driver does not tell its capacity")
	}
	c, err := r.Capacity(s.ctx(t))
	switch {
	case errors.Is(err, errdef.ErrUnsupported):
		t.Skip("the driver does not know its capacity")
	case err != nil:
		t.Fatalf("Capacity: %v", err)
	case c.CPUs < 0 || c.CPUMHz < 0 || c.MemoryMB < 0:
		t.Errorf("a number below zero: %+v", c)
	case c.MemoryMB != 0 && c.MemoryMB < s.MemoryMB:
		t.Errorf("%d MB cannot hold a VM of %d MB", c.MemoryMB, s.MemoryMB)
	}
}
