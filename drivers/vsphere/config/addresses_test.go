package config

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/openvic/vic/sdk/errdef"
)

func TestRangesAreReadAsPeopleWriteThem(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.5.0/25": "10.0.5.0-10.0.5.127", "10.0.5.77/25": "10.0.5.0-10.0.5.127", "10.0.5.10-10.0.5.99": "10.0.5.10-10.0.5.99",
		" 10.0.5.10 - 10.0.5.99": "10.0.5.10-10.0.5.99", "10.0.5.10-99": "10.0.5.10-10.0.5.99", "10.0.5.7": "10.0.5.7-10.0.5.7",
		"fd00::/126": "fd00::-fd00::3", "fd00::1-fd00::9": "fd00::1-fd00::9",
	} {
		got, err := ParseRange(in)
		if err != nil || got.String() != want {
			t.Errorf("%q: %s, %v", in, got, err)
			continue
		}
		if again, err := ParseRange(got.String()); err != nil || again != got {
			t.Errorf("%q read again: %s, %v", got, again, err)
		}
	}
	for _, in := range []string{"", "-", "10.0.5.99-10.0.5.10", "10.0.5.10-fd00::1", "10.0.5.10-", "x-9", "10.0.5.0/33", "10.0.5.10-300"} {
		if got, err := ParseRange(in); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%q: %s, %v", in, got, err)
		}
	}
}

func TestARangeContainsItsEndsAndNoOtherFamily(t *testing.T) {
	r := Range{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.4")}
	for in, want := range map[string]bool{"10.0.0.1": false, "10.0.0.2": true, "10.0.0.4": true, "10.0.0.5": false, "::ffff:10.0.0.3": false} {
		if r.Contains(netip.MustParseAddr(in)) != want {
			t.Errorf("%s", in)
		}
	}
}
