package service

import (
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxAddresses bounds what failures remembers; who has that many addresses is not kept out by this.
const maxAddresses = 10000

// failures slows down who guesses passwords: an address with too many failed logins has to wait.
type failures struct {
	mu    sync.Mutex // guards of
	most  int
	reset time.Duration
	now   func() time.Time
	of    map[string]*failed
}

type failed struct {
	n     int
	since time.Time
}

func newFailures(most int, reset time.Duration) *failures {
	return &failures{most: most, reset: reset, now: time.Now, of: map[string]*failed{}}
}

// host is who asks. What proxies say of others is not believed.
func host(r *http.Request) string {
	h, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return h
}

// check refuses who has failed too often.
func (f *failures) check(r *http.Request) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.of[host(r)]
	if x == nil || x.n < f.most {
		return nil
	}
	left := f.reset - f.now().Sub(x.since)
	if left <= 0 {
		delete(f.of, host(r))
		return nil
	}
	return problemError{Problem{Type: "too-many-failed-logins", Status: http.StatusTooManyRequests, RetryAfter: int(left/time.Second) + 1,
		Detail: "too many failed logins from your address", Advice: "wait, then try again with the right user and password"}}
}

// add remembers a failed login.
func (f *failures) add(r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.of) >= maxAddresses {
		clear(f.of)
	}
	x := f.of[host(r)]
	if x == nil || f.now().Sub(x.since) > f.reset {
		x = &failed{since: f.now()}
		f.of[host(r)] = x
	}
	x.n++
}

func itoa(n int) string { return strconv.Itoa(n) }
