package site

import (
	"sync"
	"time"
)

// How many logins may fail in a window: from one address, and from all together, so that many
// addresses do not help to guess.
const (
	limitWindow  = time.Minute
	perAddress   = 5
	perSite      = 60
	maxAddresses = 10_000
)

// limiter counts failed logins. A try counts from its begin, so that many at once do not slip
// through, and is taken back when it succeeds.
type limiter struct {
	now func() time.Time
	mu  sync.Mutex
	// tries are the times of what has not been taken back.
	tries map[string][]time.Time
	all   []time.Time
}

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, tries: map[string][]time.Time{}}
}

// recent drops what is older than the window.
func recent(l []time.Time, now time.Time) []time.Time {
	for len(l) > 0 && now.Sub(l[0]) >= limitWindow {
		l = l[1:]
	}
	return l
}

// take counts a try. It returns how long to wait when there were too many.
func (l *limiter) take(from string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if len(l.tries) >= maxAddresses {
		for a, t := range l.tries {
			if len(recent(t, now)) == 0 {
				delete(l.tries, a)
			}
		}
	}
	l.tries[from], l.all = recent(l.tries[from], now), recent(l.all, now)
	switch mine := l.tries[from]; {
	case len(mine) >= perAddress:
		return limitWindow - now.Sub(mine[0])
	case len(l.all) >= perSite:
		return limitWindow - now.Sub(l.all[0])
	}
	l.tries[from], l.all = append(l.tries[from], now), append(l.all, now)
	return 0
}

// forgive takes the last try back.
func (l *limiter) forgive(from string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.tries[from]; len(t) > 0 {
		l.tries[from] = t[:len(t)-1]
	}
	if len(l.all) > 0 {
		l.all = l.all[:len(l.all)-1]
	}
}
