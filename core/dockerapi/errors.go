package dockerapi

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/docker/docker/errdefs"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/sdk/errdef"
)

// wrap gives an error of ours the class that Docker's server makes an HTTP status of, and dockerd's words
// where it has a reason.
func wrap(err error) error {
	if err == nil {
		return nil
	}
	err = inDockersWords(err)
	switch {
	case errors.Is(err, engine.ErrNotModified):
		return errdefs.NotModified(err)
	case errors.Is(err, errdef.ErrPluginDown), errors.Is(err, errdef.ErrUnavailable):
		return errdefs.Unavailable(err)
	case errors.Is(err, errdef.ErrExhausted):
		return errdefs.Unavailable(err) // there may be room later
	case errors.Is(err, errdef.ErrNotFound):
		return errdefs.NotFound(err)
	case errors.Is(err, errdef.ErrConflict), errors.Is(err, errdef.ErrExists):
		return errdefs.Conflict(worded{err, errdef.ErrConflict})
	case errors.Is(err, errdef.ErrInvalid):
		return errdefs.InvalidParameter(worded{err, errdef.ErrInvalid})
	case errors.Is(err, errdef.ErrDenied):
		return errdefs.Forbidden(err)
	case errors.Is(err, errdef.ErrUnsupported):
		return errdefs.NotImplemented(err)
	case errors.Is(err, context.Canceled), errors.Is(err, errdef.ErrCanceled):
		return errdefs.Cancelled(err)
	case errors.Is(err, context.DeadlineExceeded):
		return errdefs.Deadline(err)
	}
	return err
}

// worded is an error without its class's words at the end, which the status tells already.
type worded struct{ err, class error }

func (w worded) Error() string { return strings.TrimSuffix(w.err.Error(), ": "+w.class.Error()) }
func (w worded) Unwrap() error { return w.err }

// unsupported is the answer to what is not there (yet): 501 and a text that says so.
func unsupported(what string) error {
	return errdefs.NotImplemented(fmt.Errorf("%s is not supported by this version of the virtual container host", what))
}

// refused is unsupported with the reason, for what does not fit a host whose containers are VMs.
func refused(what, why string) error {
	return errdefs.NotImplemented(fmt.Errorf("%s is not supported by this version of the virtual container host: %s", what, why))
}

func invalid(format string, args ...any) error {
	return errdefs.InvalidParameter(fmt.Errorf(format, args...))
}

func notFound(ref string) error {
	return fmt.Errorf("No such container: %s%w", ref, hidden{errdef.ErrNotFound}) //nolint:staticcheck // Docker's text
}

// hidden is a class without a text.
type hidden struct{ class error }

func (hidden) Error() string   { return "" }
func (h hidden) Unwrap() error { return h.class }
