package plugin

import (
	"testing"
	"time"
)

func TestPauses(t *testing.T) {
	var b backoff
	for i, step := range []struct{ up, want time.Duration }{
		{0, time.Second}, {time.Second, 2 * time.Second}, {0, 4 * time.Second}, {0, 8 * time.Second},
		{0, 16 * time.Second}, {0, 32 * time.Second}, {0, time.Minute}, {0, time.Minute},
		{time.Hour, 0}, {0, time.Second}, {11 * time.Second, 0}, {11 * time.Second, 0}, {0, time.Second},
	} {
		if got := b.pause(step.up); got != step.want {
			t.Errorf("pause %d after %s: %s, want %s", i, step.up, got, step.want)
		}
	}
	b.most()
	if got := b.pause(0); got != maxPause {
		t.Errorf("the longest pause is %s", got)
	}
}
