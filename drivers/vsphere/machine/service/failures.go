package service

import (
	"net"
	"net/http"
	"time"

	"github.com/openvic/vic/core/access"
)

// window is how long a failed login counts.
const window = time.Minute

// newLimiter slows down who guesses: an address with so many failed logins within the window has to wait, for whatever
// account. An account that many addresses guess at is limited too, but not for those who have used it before.
func newLimiter(most int, now func() time.Time) *access.Limiter {
	return access.NewLimiter(access.LimitOptions{Window: window, PerPair: most, PerSource: most, Now: now})
}

// host is who asks. What proxies say of others is not believed.
func host(r *http.Request) string {
	h, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return h
}

// try begins a login, which counts until it is known how it went: many at once do not slip through. It refuses who has
// failed too often.
func (s *Service) try(r *http.Request, account string) (*access.Try, error) {
	t, wait := s.limiter.Take(r.Context(), account, host(r))
	if t == nil {
		return nil, problemError{Problem{Type: "too-many-failed-logins", Status: http.StatusTooManyRequests, RetryAfter: int(wait/time.Second) + 1,
			Detail: "too many failed logins from your address", Advice: "wait, then try again with the right user and password"}}
	}
	return t, nil
}
