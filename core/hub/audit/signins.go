package audit

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/openvic/vic/core/access"
)

// SignIn is somebody who came with a password, a secret or a redirect, and whether that was taken.
type SignIn struct {
	Name   string // who they said they are
	Method access.Method
	// Address is where they came from; Agent is what their program calls itself.
	Address, Agent string
	Outcome        int    // an HTTP status
	Detail         string // the way
}

// Bounds of the lines of sign-ins. Whoever guesses passwords, and programs that sign in with each request, must not fill the
// log.
const (
	signInAgain   = time.Hour   // after which the same success is told again
	failureWindow = time.Minute // for which failures are counted
	failuresFrom  = 5           // lines of failures from one address in a window
	failuresAll   = 60          // lines of failures from all addresses in a window
	maxRemembered = 10_000      // successes and addresses
)

// SignIns writes lines of sign-ins, not more than is of use. It may be used by several goroutines.
type SignIns struct {
	log *Log
	// known says whether there is an account of a name. What else is typed as a name may be a password.
	known func(ctx context.Context, name string) bool

	mu       sync.Mutex
	told     map[SignIn]time.Time // successes, by when they were told
	window   time.Time            // when the window of failures began
	failures map[string]int       // in it, by address
	lines    int                  // of failures, in it
	left     int                  // failures that were left out, in it
}

// NewSignIns makes one over a log.
func NewSignIns(l *Log, known func(ctx context.Context, name string) bool) *SignIns {
	return &SignIns{log: l, known: known, told: map[SignIn]time.Time{}, failures: map[string]int{}}
}

// Keep writes a line about a sign-in, or counts it among those that are left out.
func (s *SignIns) Keep(ctx context.Context, x SignIn) {
	tell, left := s.decide(x)
	if left > 0 {
		s.log.Keep(ctx, Line{Caller: access.Caller{Method: access.Anonymous}, Operation: "sign-in", Type: "session", Outcome: http.StatusUnauthorized,
			Detail: fmt.Sprintf("%d more failed sign-ins have no line of their own", left)})
	}
	if !tell {
		return
	}
	line := Line{Caller: access.Caller{Name: x.Name, Method: x.Method, Address: x.Address}, Agent: x.Agent, Operation: "sign-in", Type: "session",
		Outcome: x.Outcome, Detail: x.Detail}
	if x.Outcome >= http.StatusBadRequest { // who it was is not known: the name is what was tried
		line.Caller.Name, line.Caller.Method = "", access.Anonymous
		if x.Name != "" && s.known(ctx, x.Name) {
			line.Resource = x.Name
		} else {
			line.Resource = "(a name that is none here)"
		}
	}
	s.log.Keep(ctx, line)
}

// decide says whether a sign-in has a line, and how many of the window before had none.
func (s *SignIns) decide(x SignIn) (tell bool, left int) {
	now := s.log.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := now.Sub(s.window); d >= failureWindow || d < 0 {
		left = s.left
		s.window, s.lines, s.left = now, 0, 0
		clear(s.failures)
	}
	if x.Outcome >= http.StatusBadRequest {
		if s.lines >= failuresAll || s.failures[x.Address] >= failuresFrom {
			s.left++
			return false, left
		}
		s.lines++
		s.failures[x.Address]++
		return true, left
	}
	if x.Method == access.BySession { // people at a browser
		return true, left
	}
	key := x
	key.Agent = ""
	if d := now.Sub(s.told[key]); d >= 0 && d < signInAgain {
		return false, left
	}
	if len(s.told) >= maxRemembered {
		clear(s.told)
	}
	s.told[key] = now
	return true, left
}
