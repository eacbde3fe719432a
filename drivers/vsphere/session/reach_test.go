package session

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

func TestCallsFailAtOnceUntilVCenterAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answers atomic.Bool
		var probes atomic.Int32
		r := &reach{host: "vc:443", log: slog.New(slog.DiscardHandler), probe: func(context.Context) error {
			probes.Add(1)
			if answers.Load() {
				return nil
			}
			return errors.New("still away")
		}}
		if err := r.away(); err != nil {
			t.Fatal(err)
		}
		why := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ETIMEDOUT}
		r.lost(t.Context(), why)
		r.lost(t.Context(), errors.New("another call"))
		time.Sleep(time.Minute)
		err := r.away()
		if !errors.Is(err, errdef.ErrUnavailable) || !errors.Is(err, syscall.ETIMEDOUT) ||
			!strings.HasPrefix(err.Error(), "vCenter vc:443 does not answer, since 2000-01-01 00:00:00 UTC (dial tcp") {
			t.Errorf("away: %v", err)
		}
		if n := probes.Load(); n < 30 || n > 31 {
			t.Errorf("%d probes in a minute", n)
		}
		answers.Store(true)
		time.Sleep(probeEvery)
		synctest.Wait()
		if err := r.away(); err != nil {
			t.Errorf("it answers: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		answers.Store(false)
		r.lost(ctx, why) // its prober ends with ctx, else the bubble would complain
		cancel()
	})
}
