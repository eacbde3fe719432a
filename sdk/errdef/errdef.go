// Package errdef holds the error classes that cross the borders of this project: between the host
// and its plugins, between the host and the tether, and from the engine to the Docker API.
//
// A function wraps a class with %w and adds what happened; a caller asks with errors.Is and never
// looks at the text.
//
//	return fmt.Errorf("layer %s: %w", id, errdef.ErrNotFound)
package errdef

import "errors"

// The classes. Each maps to exactly one gRPC code (see ToGRPC) and one HTTP status
// (core/dockerapi).
var (
	ErrNotFound    = errors.New("not found")
	ErrExists      = errors.New("already exists")
	ErrInvalid     = errors.New("invalid argument")
	ErrConflict    = errors.New("conflict")
	ErrDenied      = errors.New("permission denied")
	ErrUnavailable = errors.New("unavailable")
	ErrExhausted   = errors.New("resource exhausted")
	ErrUnsupported = errors.New("unsupported")
	ErrCanceled    = errors.New("canceled")
	ErrInternal    = errors.New("internal error")
	// ErrPluginDown is what a call in flight returns when its plugin's process ends. Such a call
	// may or may not have taken effect; every plugin call is idempotent, so it can be made again.
	ErrPluginDown = errors.New("plugin is down")
)
