package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/openvic/vic/core/hub/signin"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Error is an error as the client is told it, in Harbor's words.
type Error struct {
	Status  int
	Code    string
	Message string
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

var errSignIn = &Error{Status: http.StatusUnauthorized, Code: "UNAUTHORIZED", Message: "sign in first"}

func badRequest(format string, args ...any) error {
	return &Error{Status: http.StatusBadRequest, Code: "BAD_REQUEST", Message: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &Error{Status: http.StatusNotFound, Code: "NOT_FOUND", Message: fmt.Sprintf(format, args...)}
}

func noProject(name string) error { return notFound("project %s not found", name) }

// classes are the errors of the parts below, in the order in which they are looked for.
var classes = []struct {
	class  error
	status int
	code   string
}{
	{errdef.ErrNotFound, http.StatusNotFound, "NOT_FOUND"},
	{errdef.ErrInvalid, http.StatusBadRequest, "BAD_REQUEST"},
	{errdef.ErrExists, http.StatusConflict, "CONFLICT"},
	{errdef.ErrConflict, http.StatusConflict, "CONFLICT"},
	{errdef.ErrDenied, http.StatusForbidden, "FORBIDDEN"},
	{errdef.ErrExhausted, http.StatusForbidden, "DENIED"},
	{errdef.ErrUnsupported, http.StatusNotImplemented, "UNSUPPORTED"},
	{errdef.ErrUnavailable, http.StatusServiceUnavailable, "UNAVAILABLE"},
	{errdef.ErrPluginDown, http.StatusServiceUnavailable, "UNAVAILABLE"},
}

const notText = "a text in the request holds a NUL, or bytes that are no UTF-8"

// fail answers an error. What no client can mend is logged, and the client is told no more than that.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	var own *Error
	var limited *signin.LimitedError
	switch {
	case errors.As(err, &own):
		// A browser would ask for a password itself, over the page that asks for it.
		if own.Status == http.StatusUnauthorized && r.Header.Get("Sec-Fetch-Mode") == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="vic-hub"`)
		}
		writeError(w, own)
		return
	case errors.As(err, &limited):
		w.Header().Set("Retry-After", strconv.Itoa(int(limited.Wait/time.Second)+1))
		writeError(w, &Error{http.StatusTooManyRequests, "TOO_MANY_REQUEST", err.Error()})
		return
	case r.Context().Err() != nil:
		writeError(w, &Error{http.StatusServiceUnavailable, "UNAVAILABLE", "the request was given up"}) // nobody reads it but the audit log
		return
	case store.IsNotText(err):
		writeError(w, &Error{http.StatusBadRequest, "BAD_REQUEST", notText})
		return
	case store.IsFull(err):
		writeError(w, &Error{http.StatusInsufficientStorage, "UNKNOWN", "the hub's database has no room left"})
	case store.IsUnavailable(err):
		writeError(w, &Error{http.StatusServiceUnavailable, "UNAVAILABLE", "the hub's database does not answer; try again"})
	default:
		e := &Error{http.StatusInternalServerError, "UNKNOWN", "internal server error"}
		for _, c := range classes {
			if errors.Is(err, c.class) {
				e = &Error{c.status, c.code, err.Error()}
				break
			}
		}
		writeError(w, e)
		if e.Status < http.StatusInternalServerError {
			return
		}
	}
	a.Log.Error("API request failed", "method", r.Method, "path", r.URL.Path, "err", err)
}

// writeError writes an error in Harbor's form.
func writeError(w http.ResponseWriter, err error) {
	e := &Error{Status: http.StatusInternalServerError, Code: "UNKNOWN", Message: "internal server error"}
	errors.As(err, &e)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(failure{[]failureItem{{e.Code, e.Message}}}) // the client has gone
}
