package service

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/precheck"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/sdk/errdef"
)

// Problem is an error as RFC 9457 has it. Detail and Advice are the texts that vic-machine prints.
type Problem struct {
	Type   string          `json:"type"` // problemPrefix and a word
	Title  string          `json:"title"`
	Status int             `json:"status"`
	Detail string          `json:"detail"`
	Advice string          `json:"advice,omitempty"`
	Checks precheck.Report `json:"checks,omitempty"` // all findings, if some of them stand in the way
	// RetryAfter is after how many seconds to try again.
	RetryAfter int `json:"retryAfter,omitempty"`
}

// problemPrefix makes a URI of a Problem's type.
const problemPrefix = "urn:openvic:problem:"

// problemError is an error that knows how it is told.
type problemError struct{ Problem }

func (e problemError) Error() string { return e.Detail }

// problemOf tells an error.
func problemOf(err error) Problem {
	p := classified(err)
	p.Detail = err.Error()
	if p.Advice == "" {
		p.Advice = advice.Of(err)
	}
	return p
}

func classified(err error) Problem {
	var own problemError
	var certificate session.CertificateError
	var checks operation.ChecksError
	switch {
	case errors.As(err, &own):
		return own.Problem
	case errors.Is(err, session.ErrCredentials):
		return Problem{Type: "credentials", Status: http.StatusUnauthorized}
	case errors.As(err, &certificate):
		return Problem{Type: "thumbprint", Status: http.StatusBadRequest}
	case errors.As(err, &checks):
		return Problem{Type: string(operation.Checks), Status: http.StatusUnprocessableEntity, Checks: checks.Report}
	}
	switch o := operation.OutcomeOf(err); o {
	case operation.Interrupted:
		return Problem{Type: string(o), Status: http.StatusServiceUnavailable}
	case operation.TimedOut:
		return Problem{Type: string(o), Status: http.StatusGatewayTimeout}
	case operation.NotFound:
		return Problem{Type: string(o), Status: http.StatusNotFound}
	case operation.Invalid:
		return Problem{Type: string(o), Status: http.StatusBadRequest}
	case operation.Refused:
		return Problem{Type: string(o), Status: http.StatusConflict}
	}
	switch {
	case errors.Is(err, errdef.ErrDenied):
		return Problem{Type: "denied", Status: http.StatusForbidden}
	case errors.Is(err, errdef.ErrExists):
		return Problem{Type: "exists", Status: http.StatusConflict}
	case errors.Is(err, errdef.ErrUnsupported):
		return Problem{Type: "unsupported", Status: http.StatusConflict}
	case errors.Is(err, errdef.ErrUnavailable):
		return Problem{Type: "unavailable", Status: http.StatusBadGateway}
	}
	return Problem{Type: string(operation.Failed), Status: http.StatusInternalServerError}
}

// full completes what follows from the rest.
func (p Problem) full() Problem {
	p.Title = http.StatusText(p.Status)
	p.Type = problemPrefix + p.Type
	return p
}

func writeProblem(w http.ResponseWriter, p Problem) {
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="vSphere", charset="UTF-8"`)
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	writeJSON(w, "application/problem+json", p.Status, p.full())
}

func writeJSON(w http.ResponseWriter, kind string, status int, v any) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // the client has gone
}
