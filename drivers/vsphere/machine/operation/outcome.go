// Package operation is what vic-machine does, from options to result: the command line and the service
// both call it, and only read options and show results themselves.
package operation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/precheck"
	"github.com/openvic/vic/sdk/errdef"
)

// ErrInterrupted is the cause for which work is ended early that somebody has stopped.
var ErrInterrupted = fmt.Errorf("%w: interrupted", errdef.ErrCanceled)

// ChecksError says that checks stand in the way, and what was not done because of them.
type ChecksError struct {
	Report precheck.Report
	Undone string // "made", "changed"
}

func (e ChecksError) Error() string {
	return fmt.Sprintf("%d of the checks failed; nothing was %s", e.Report.Count(precheck.Error), e.Undone)
}

// TimeoutError is the end of --timeout.
type TimeoutError struct{ After time.Duration }

func (e TimeoutError) Error() string { return fmt.Sprintf("no success within %s (--timeout)", e.After) }

// Outcome is how an operation ended, as exit codes and HTTP statuses tell it.
type Outcome string

// The outcomes.
const (
	Done        Outcome = "done"
	Failed      Outcome = "failed"
	Invalid     Outcome = "invalid"       // wrong options
	Checks      Outcome = "checks-failed" // nothing was made or changed
	NotFound    Outcome = "not-found"     // there is no such VCH
	Refused     Outcome = "refused"       // something stands in the way: containers run
	TimedOut    Outcome = "timed-out"
	Interrupted Outcome = "interrupted"
)

// OutcomeOf tells how an operation with that error ended.
func OutcomeOf(err error) Outcome {
	var timeout TimeoutError
	var checks ChecksError
	switch {
	case err == nil:
		return Done
	case errors.Is(err, ErrInterrupted):
		return Interrupted
	case errors.As(err, &timeout):
		return TimedOut
	case errors.As(err, &checks):
		return Checks
	case errors.Is(err, errdef.ErrNotFound):
		return NotFound
	case errors.Is(err, errdef.ErrInvalid):
		return Invalid
	case errors.Is(err, errdef.ErrConflict):
		return Refused
	}
	return Failed
}

// WithTimeout bounds an operation; the cause of the end is a TimeoutError.
func WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, TimeoutError{d})
}

const longer = "give a longer --timeout, and look at the steps above for what takes so long"

// EndOf makes sure that an error that the end of ctx caused says so.
func EndOf(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if err == nil || cause == nil {
		return err
	}
	if !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	var timeout TimeoutError
	if errors.As(err, &timeout) && advice.Of(err) == "" {
		return advice.Wrap(err, longer)
	}
	return err
}
