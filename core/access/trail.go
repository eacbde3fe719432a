package access

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Record is one thing that somebody did, or was refused.
type Record struct {
	Time   time.Time
	Caller Caller
	// Operation is what was asked, in the API's own words: an HTTP method, "push".
	Operation string
	// Resource is what it was asked of: a path without its query, a repository.
	Resource string
	// Status is the HTTP status of the answer; 101 when the connection was taken over.
	Status int
	Took   time.Duration
	// Agent is what the program calls itself, cut at 200 bytes.
	Agent string
}

// Trail keeps records. It must not block for long and must not fail: what cannot be kept is the trail's own to report.
type Trail interface {
	Keep(ctx context.Context, r Record)
}

// LogTrail keeps records in a log, one line each.
type LogTrail struct{ Log *slog.Logger }

// Keep implements Trail.
func (t LogTrail) Keep(ctx context.Context, r Record) {
	t.Log.InfoContext(ctx, "request", "caller", r.Caller.Name, "by", string(r.Caller.Method), "address", r.Caller.Address,
		"operation", r.Operation, "resource", r.Resource, "status", r.Status, "took", r.Took.Round(time.Millisecond), "agent", r.Agent)
}

// Audit puts the connection's own caller into each request's context and keeps a record of each that changes something
// or takes the connection over. Handlers behind it that know the caller better, by a session, say so with Name. Queries
// are not kept: they may hold what is secret.
func Audit(next http.Handler, trail Trail) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &audited{ResponseWriter: w, caller: Certified(r)}
		r = r.WithContext(context.WithValue(With(r.Context(), seen.caller), auditedKey{}, seen))
		if !changes(r) {
			next.ServeHTTP(w, r)
			return
		}
		agent := r.UserAgent()
		began, path := time.Now(), r.URL.Path
		defer func() {
			trail.Keep(context.WithoutCancel(r.Context()), Record{Time: began, Caller: seen.caller, Operation: r.Method, Resource: path,
				Status: seen.status(), Took: time.Since(began), Agent: agent[:min(len(agent), maxAgent)]})
		}()
		next.ServeHTTP(seen, r)
	})
}

// changes says that a request may change something, or takes the connection over.
func changes(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return r.Header.Get("Upgrade") != ""
	}
	return true
}

type auditedKey struct{}

// Name tells the record of this request, and all behind, who the caller is.
func Name(r *http.Request, c Caller) *http.Request {
	if a, ok := r.Context().Value(auditedKey{}).(*audited); ok {
		a.caller = c
	}
	return r.WithContext(With(r.Context(), c))
}

// audited remembers the status of an answer. One goroutine, the request's, uses it.
type audited struct {
	http.ResponseWriter
	caller   Caller
	code     int
	hijacked bool
}

func (a *audited) status() int {
	switch {
	case a.hijacked:
		return http.StatusSwitchingProtocols
	case a.code == 0:
		return http.StatusOK
	}
	return a.code
}

// WriteHeader implements http.ResponseWriter.
func (a *audited) WriteHeader(code int) {
	if a.code < 200 { // informational ones are followed by another
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController find the connection.
func (a *audited) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Hijack implements http.Hijacker, which Docker's handlers ask for by a type assertion.
func (a *audited) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(a.ResponseWriter).Hijack()
	a.hijacked = err == nil
	return conn, rw, err
}

// Flush implements http.Flusher, likewise.
func (a *audited) Flush() { _ = http.NewResponseController(a.ResponseWriter).Flush() }
