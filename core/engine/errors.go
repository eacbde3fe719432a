package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/openvic/vic/sdk/errdef"
)

// ErrNotModified says that a container already is in the state that was asked for.
var ErrNotModified = errors.New("not modified")

// Error is an error for the user: a class and a text that stands alone.
type Error struct {
	Class error
	Text  string
	// Cause is what the text holds already; nil if there is nothing. errors.As finds its reason
	// (errdef.Error), errors.Is not its class.
	Cause error
}

func (e *Error) Error() string { return e.Text }
func (e *Error) Unwrap() error { return e.Class }

// As finds what is in the cause.
func (e *Error) As(target any) bool { return e.Cause != nil && errors.As(e.Cause, target) }

func fail(class error, format string, args ...any) error {
	return &Error{Class: class, Text: fmt.Sprintf(format, args...)}
}

func errNoContainer(ref string) error {
	return fail(errdef.ErrNotFound, "No such container: %s", ref)
}

func errNotRunning(id string) error {
	return fail(errdef.ErrConflict, "container %s is not running", id)
}

func errRestarting(id string) error {
	return fail(errdef.ErrConflict, "Container %s is restarting, wait until the container is running", id)
}

func errNameInUse(name, id string) error {
	return fail(errdef.ErrConflict, "Conflict. The container name %q is already in use by container %q. "+
		"You have to remove (or rename) that container to be able to reuse that name.", "/"+name, id)
}

func errRemoving(ref string) error {
	return fail(errdef.ErrConflict, "removal of container %s is already in progress", ref)
}

func errMarked() error {
	return fail(errdef.ErrConflict, "container is marked for removal and cannot be started")
}

func isNotFound(err error) bool { return errors.Is(err, errdef.ErrNotFound) }

func canceled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errdef.ErrCanceled)
}

// class is the class of an error of sdk/errdef, internal for others.
func class(err error) error {
	for _, c := range []error{errdef.ErrUnavailable, errdef.ErrConflict, errdef.ErrNotFound, errdef.ErrUnsupported, errdef.ErrCanceled} {
		if errors.Is(err, c) {
			return c
		}
	}
	return errdef.ErrInternal
}
