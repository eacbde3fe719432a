package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"strings"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/sdk/errdef"
)

// classes maps fault types to error classes. The first entry that matches decides.
func classes() []struct {
	class  error
	faults []types.BaseMethodFault
} {
	type f = []types.BaseMethodFault
	return []struct {
		class  error
		faults []types.BaseMethodFault
	}{
		{errdef.ErrNotFound, f{&types.ManagedObjectNotFound{}, &types.NotFound{}, &types.FileNotFound{}}},
		{errdef.ErrExists, f{&types.DuplicateName{}, &types.AlreadyExists{}, &types.FileAlreadyExists{}}},
		{errdef.ErrConflict, f{&types.InvalidPowerState{}, &types.InvalidState{}, &types.FileLocked{}, &types.ResourceInUse{},
			&types.ConcurrentAccess{}, &types.TaskInProgress{}}},
		{errdef.ErrDenied, f{&types.NoPermission{}, &types.InvalidLogin{}, &types.RestrictedVersion{}}},
		{errdef.ErrUnavailable, f{&types.NotAuthenticated{}, &types.HostNotConnected{}, &types.HostCommunication{},
			&types.HostNotReachable{}, &types.Timedout{}}},
		{errdef.ErrExhausted, f{&types.NoDiskSpace{}, &types.InsufficientResourcesFault{}, &types.InsufficientCpuResourcesFault{},
			&types.InsufficientMemoryResourcesFault{}, &types.InsufficientHostCapacityFault{}, &types.InsufficientFailoverResourcesFault{}}},
		{errdef.ErrUnsupported, f{&types.ToolsUnavailable{}, &types.NotSupported{}, &types.NotImplemented{}, &types.MethodNotFound{}}},
		{errdef.ErrInvalid, f{&types.InvalidArgument{}, &types.InvalidDeviceSpec{}, &types.InvalidVmConfig{}, &types.InvalidName{},
			&types.InvalidDatastorePath{}, &types.InvalidDatastore{}}},
	}
}

// Error gives err, which came from the API, an error class and a text that says what was tried and
// what the platform said. nil stays nil; an error that has a class keeps it.
func Error(what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || hasClass(err) {
		return fmt.Errorf("%s: %w", what, err)
	}
	name, text := describe(err)
	if name == "" {
		if isNetwork(err) {
			return fmt.Errorf("%s: %w: %w", what, errdef.ErrUnavailable, err)
		}
		return fmt.Errorf("%s: %w: %w", what, errdef.ErrInternal, err)
	}
	class := classOf(err)
	if class == nil {
		class = errdef.ErrInternal
	}
	if f, ok := Find[*types.NoPermission](err); ok && name == "NoPermission" {
		text = Denied(missing(f))
	}
	return &apiError{text: what + ": " + text + " (" + name + ")", class: class, err: err}
}

// Classify gives err, which came from the API, the class of the fault that it carries, for callers who
// say themselves what was tried. An error that has a class, or none that is known, stays as it is.
func Classify(err error) error {
	if err == nil || hasClass(err) {
		return err
	}
	if class := classOf(err); class != nil {
		return fmt.Errorf("%w: %w", class, err)
	}
	return err
}

// classOf returns the class of the fault that err carries, or nil.
func classOf(err error) error {
	for _, c := range classes() {
		if anyFault(err, c.faults) {
			return c.class
		}
	}
	return nil
}

// missing lists the privileges that a fault names, each with its object: "X on VirtualMachine vm-7".
func missing(f *types.NoPermission) string {
	var l []string
	for _, m := range f.MissingPrivileges {
		l = append(l, strings.Join(m.PrivilegeIds, ", ")+" on "+m.Entity.Type+" "+m.Entity.Value)
	}
	if len(l) == 0 && f.PrivilegeId != "" { // before vSphere 7.0 U3
		l = []string{f.PrivilegeId}
		if f.Object != nil {
			l[0] += " on " + f.Object.Type + " " + f.Object.Value
		}
	}
	return strings.Join(l, "; ")
}

// lacks begins what Denied says.
const lacks = "the vSphere account of this VCH lacks "

// Denied says which privileges the driver's account lacks and how it gets them.
func Denied(privileges string) string {
	if privileges == "" {
		privileges = "a privilege"
	}
	return lacks + privileges +
		"; an administrator can grant it, or all that is needed with vic-machine and --ops-grant-perms"
}

// apiError keeps the fault inside for callers that look for one, but prints it only once.
type apiError struct {
	text  string
	class error
	err   error
}

func (e *apiError) Error() string   { return e.text }
func (e *apiError) Unwrap() []error { return []error{e.err, e.class} }

func hasClass(err error) bool {
	for _, c := range []error{errdef.ErrNotFound, errdef.ErrExists, errdef.ErrInvalid, errdef.ErrConflict, errdef.ErrDenied,
		errdef.ErrUnavailable, errdef.ErrExhausted, errdef.ErrUnsupported, errdef.ErrInternal} {
		if errors.Is(err, c) {
			return true
		}
	}
	return false
}

// Is reports whether err carries a fault of the type of want.
func Is(err error, want types.BaseMethodFault) bool {
	return anyFault(err, []types.BaseMethodFault{want})
}

// Find returns the fault of type T that err carries.
func Find[T types.BaseMethodFault](err error) (T, bool) {
	var t T
	if err == nil {
		return t, false
	}
	if _, ok := fault.As(err, &t); ok {
		return t, true
	}
	// fault.As looks at the first alone of several errors that one wraps; that may be the class.
	switch x := err.(type) { //nolint:errorlint // this is a walk
	case interface{ Unwrap() []error }:
		for _, e := range x.Unwrap() {
			if t, ok := Find[T](e); ok {
				return t, true
			}
		}
	case interface{ Unwrap() error }:
		return Find[T](x.Unwrap())
	}
	return t, false
}

func anyFault(err error, wants []types.BaseMethodFault) bool {
	for _, f := range causes(err) {
		for _, w := range wants {
			if reflect.TypeOf(f) == reflect.TypeOf(w) {
				return true
			}
		}
	}
	return false
}

// causes returns the fault that err carries and the chain of its causes.
func causes(err error) []types.BaseMethodFault {
	var fs []types.BaseMethodFault
	f, ok := Find[types.BaseMethodFault](err)
	for ok && f != nil && f.GetMethodFault() != nil {
		fs = append(fs, f)
		c := f.GetMethodFault().FaultCause
		if c == nil || c.Fault == nil {
			break
		}
		f = c.Fault
	}
	return fs
}

// describe returns the type of the fault that err carries and the best text for it; "" if it
// carries none.
func describe(err error) (name, text string) {
	fs := causes(err)
	if len(fs) == 0 {
		return "", ""
	}
	name = reflect.TypeOf(fs[0]).Elem().Name()
	text = strings.TrimPrefix(err.Error(), "ServerFaultCode: ")
	var more []string
	for _, f := range fs {
		if c := f.GetMethodFault().FaultCause; c != nil && c.LocalizedMessage != "" {
			more = append(more, c.LocalizedMessage)
		}
		for _, m := range f.GetMethodFault().FaultMessage {
			more = append(more, m.Message)
		}
		more = append(more, detail(f)...)
	}
	for _, m := range more {
		if m != "" && !strings.Contains(text, m) {
			text += ": " + m
		}
	}
	return name, strings.TrimPrefix(text, ": ")
}

// detail returns what a fault says in fields of its own.
func detail(f types.BaseMethodFault) []string {
	v := reflect.ValueOf(f).Elem()
	var out []string
	for _, name := range []string{"Reason", "File", "Name", "Property", "InvalidProperty", "Datastore", "ExistingState", "PrivilegeId"} {
		if x := v.FieldByName(name); x.IsValid() && x.Kind() == reflect.String && x.Len() > 0 {
			out = append(out, name+" "+x.String())
		}
	}
	return out
}

// isNetwork says that the API could not be reached or the connection broke.
func isNetwork(err error) bool {
	var ue *url.Error
	var ne net.Error
	return errors.As(err, &ue) || errors.As(err, &ne) || temporary(err)
}

func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// isDial says that the request was never sent.
func isDial(err error) bool {
	var oe *net.OpError
	return errors.As(err, &oe) && oe.Op == "dial"
}
