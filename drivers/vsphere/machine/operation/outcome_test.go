package operation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/precheck"
	"github.com/openvic/vic/sdk/errdef"
)

func TestTheOutcomeOfAnError(t *testing.T) {
	wrapped := func(err error) error { return errors.Join(fmt.Errorf("VCH vch1: %w", err), errors.New("more")) }
	for _, c := range []struct {
		err  error
		want Outcome
	}{
		{nil, Done},
		{wrapped(errors.New("anything")), Failed},
		{wrapped(errdef.ErrDenied), Failed},
		{wrapped(errdef.ErrUnavailable), Failed},
		{wrapped(errdef.ErrInvalid), Invalid},
		{wrapped(errdef.ErrNotFound), NotFound},
		{wrapped(errdef.ErrConflict), Refused},
		{wrapped(ChecksError{Undone: "made"}), Checks},
		{wrapped(TimeoutError{time.Second}), TimedOut},
		{wrapped(fmt.Errorf("%w: %w", ErrInterrupted, errdef.ErrNotFound)), Interrupted},
		{wrapped(fmt.Errorf("%w: %w", TimeoutError{time.Second}, errdef.ErrConflict)), TimedOut},
	} {
		if got := OutcomeOf(c.err); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
}

func TestAnErrorThatTheTimeoutCausedSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := WithTimeout(t.Context(), time.Minute)
		defer cancel()
		odd := errors.New("odd")
		if err := EndOf(ctx, odd); err != odd { //nolint:errorlint // it must be the same
			t.Errorf("before the end: %v", err)
		}
		<-ctx.Done()
		err := EndOf(ctx, odd)
		if !errors.Is(err, odd) || OutcomeOf(err) != TimedOut || !strings.Contains(err.Error(), "no success within 1m0s (--timeout)") ||
			!strings.Contains(advice.Of(err), "--timeout") {
			t.Errorf("%v; %q", err, advice.Of(err))
		}
		if again := EndOf(ctx, err); strings.Count(again.Error(), "--timeout") != 1 {
			t.Errorf("said twice: %v", again)
		}
		known := advice.Wrap(fmt.Errorf("%w: it refuses", context.Cause(ctx)), "give another password")
		if got := advice.Of(EndOf(ctx, known)); got != "give another password" {
			t.Errorf("the remedy of the cause is lost: %q", got)
		}
		if EndOf(ctx, nil) != nil {
			t.Error("a success became a timeout")
		}
	})
}

func TestFailedChecksAreCounted(t *testing.T) {
	err := ChecksError{Undone: "changed", Report: precheck.Report{{Level: precheck.Error}, {Level: precheck.Warning}, {Level: precheck.Error}}}
	if err.Error() != "2 of the checks failed; nothing was changed" {
		t.Error(err)
	}
}
