package guest

import (
	"testing"
	"time"
)

func TestPolicyDecides(t *testing.T) {
	for name, c := range map[string]struct {
		r        Restart
		code     int32
		restarts int
		want     bool
	}{
		"no policy":                {Restart{}, 1, 0, false},
		"no":                       {Restart{Policy: PolicyNo}, 1, 0, false},
		"always, success":          {Restart{Policy: PolicyAlways}, 0, 1000, true},
		"unless-stopped":           {Restart{Policy: PolicyUnlessStopped}, 137, 5, true},
		"on-failure, success":      {Restart{Policy: PolicyOnFailure}, 0, 0, false},
		"on-failure without bound": {Restart{Policy: PolicyOnFailure}, 1, 1000, true},
		"on-failure:3, third":      {Restart{Policy: PolicyOnFailure, Max: 3}, 1, 2, true},
		"on-failure:3, exhausted":  {Restart{Policy: PolicyOnFailure, Max: 3}, 1, 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.r.Wants(c.code, c.restarts); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestPausesDoubleUntilARunLasts(t *testing.T) {
	var b Backoff
	for i, want := range []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond} {
		if got := b.Next(time.Second); got != want {
			t.Errorf("pause %d: %s", i, got)
		}
	}
	for range 20 {
		b.Next(time.Second)
	}
	if got := b.Next(0); got != time.Minute {
		t.Errorf("longest pause: %s", got)
	}
	if got := b.Next(10 * time.Second); got != 100*time.Millisecond {
		t.Errorf("after a run that lasted: %s", got)
	}
}
