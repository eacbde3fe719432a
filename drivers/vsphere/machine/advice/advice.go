// Package advice lets an error carry what its reader can do about it.
package advice

import (
	"errors"
	"fmt"
)

// Error is an error and its remedy. Its text is the error's alone; a user interface prints the
// remedy on a line of its own.
type Error struct {
	Err    error
	Remedy string
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Wrap adds a remedy to err; nil stays nil.
func Wrap(err error, remedy string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Err: err, Remedy: fmt.Sprintf(remedy, args...)}
}

// Of returns the innermost remedy of err, which knows most about the cause, or "".
func Of(err error) string {
	remedy := ""
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			break
		}
		remedy, err = e.Remedy, e.Err
	}
	return remedy
}
