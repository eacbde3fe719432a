package access

import (
	"cmp"
	"context"
	"sync"
	"time"
)

// LimitOptions say how many tries may fail within Window. Zero values mean the defaults that are noted.
type LimitOptions struct {
	Window    time.Duration // 1 min
	PerPair   int           // for one account from one source, 5
	PerSource int           // from one source for all accounts, 20
	// PerAccount is for one account from all sources that it has not signed in from, 30: many addresses do not help to
	// guess, and whoever guesses does not keep out the person, whose own address is known.
	PerAccount int
	Now        func() time.Time
}

// Limiter slows down who guesses passwords. A try counts from its begin, so that many at once do not slip through, and
// is taken back when it succeeds or when nobody's guess was looked at. Who comes while only tries that are not decided stand
// in the way waits for those: a program that signs in many times at once with the right password is not slowed down as one
// that guesses. It never locks an account, and nobody uses up the tries of another source. All methods may be called at
// once; mu guards all.
type Limiter struct {
	o  LimitOptions
	mu sync.Mutex
	// tries that count, by what they count for; times in order.
	tries map[limitKey][]time.Time
	// open is how many of them are not decided; decided is closed when the next one is.
	open    map[limitKey]int
	decided chan struct{}
	// good are the pairs that have signed in, with the last time.
	good map[limitKey]time.Time
}

// limitKey names an account, a source, or both.
type limitKey struct{ account, source string }

// Bounds of what is remembered. Beyond them the oldest is forgotten first.
const (
	maxLimitKeys = 30_000
	maxGood      = 10_000
	goodFor      = 30 * 24 * time.Hour
)

// How long a try waits for others to be decided, and what one is told that has waited in vain.
const (
	turnPatience = 10 * time.Second
	comeAgain    = time.Second
)

// NewLimiter makes a limiter that has seen nothing.
func NewLimiter(o LimitOptions) *Limiter {
	o.Window, o.PerPair = cmp.Or(o.Window, time.Minute), cmp.Or(o.PerPair, 5)
	o.PerSource, o.PerAccount = cmp.Or(o.PerSource, 20), cmp.Or(o.PerAccount, 30)
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Limiter{o: o, tries: map[limitKey][]time.Time{}, open: map[limitKey]int{}, decided: make(chan struct{}),
		good: map[limitKey]time.Time{}}
}

// Try is one try that counts until it is taken back. Whoever has one calls Done in the end. It is for one goroutine.
type Try struct {
	l        *Limiter
	pair     limitKey
	at       time.Time
	counters []limitKey
	over     bool
}

// Take begins a try of an account from an address. If too many have failed it returns nil and how long to wait. If others
// are under way that may yet succeed it waits for them, until ctx ends and for ten seconds at most.
func (l *Limiter) Take(ctx context.Context, account, address string) (*Try, time.Duration) {
	from := source(address)
	pair := limitKey{account, from}
	late := time.NewTimer(turnPatience)
	defer late.Stop()
	for {
		t, wait, turn := l.take(pair)
		if turn == nil {
			return t, wait
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return nil, comeAgain
		case <-late.C:
			return nil, comeAgain
		}
	}
}

// take begins a try, or says how long to wait, or returns a channel that is closed when one that stands in the way is decided.
func (l *Limiter) take(pair limitKey) (_ *Try, _ time.Duration, turn <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.o.Now()
	l.shrink(now)
	limits := map[limitKey]int{pair: l.o.PerPair, {source: pair.source}: l.o.PerSource}
	if seen, ok := l.good[pair]; !ok || now.Sub(seen) > goodFor {
		limits[limitKey{account: pair.account}] = l.o.PerAccount
	}
	var wait time.Duration
	for key, most := range limits {
		l.tries[key] = l.recent(l.tries[key], now)
		switch t := l.tries[key]; {
		case len(t) < most:
		case len(t)-l.open[key] < most:
			turn = l.decided
		default:
			wait = max(wait, l.o.Window-now.Sub(t[len(t)-most]))
		}
	}
	if wait > 0 {
		return nil, wait, nil
	}
	if turn != nil {
		return nil, 0, turn
	}
	t := &Try{l: l, pair: pair, at: now}
	for key := range limits {
		l.tries[key] = append(l.tries[key], now)
		l.open[key]++
		t.counters = append(t.counters, key)
	}
	return t, 0, nil
}

// decide notes that it is known how a try went. The caller holds mu.
func (t *Try) decide() {
	if t.over {
		return
	}
	t.over = true
	for _, key := range t.counters {
		if t.l.open[key]--; t.l.open[key] <= 0 {
			delete(t.l.open, key)
		}
	}
	close(t.l.decided)
	t.l.decided = make(chan struct{})
}

// Done ends a try. If it was neither taken back nor successful it has failed, and counts.
func (t *Try) Done() {
	t.l.mu.Lock()
	defer t.l.mu.Unlock()
	t.decide()
}

// Succeeded takes the try back and remembers that the account signs in from there.
func (t *Try) Succeeded() {
	t.TakeBack()
	l := t.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.good) >= maxGood {
		oldest, at := limitKey{}, time.Time{}
		for k, seen := range l.good {
			if at.IsZero() || seen.Before(at) {
				oldest, at = k, seen
			}
		}
		delete(l.good, oldest)
	}
	l.good[t.pair] = l.o.Now()
}

// TakeBack makes the try not count: it could not be checked.
func (t *Try) TakeBack() {
	t.l.mu.Lock()
	defer t.l.mu.Unlock()
	t.decide()
	for _, key := range t.counters {
		times := t.l.tries[key]
		for i, at := range times {
			if at.Equal(t.at) {
				t.l.tries[key] = append(times[:i:i], times[i+1:]...)
				break
			}
		}
	}
	t.counters = nil
}

// recent drops what is older than the window.
func (l *Limiter) recent(times []time.Time, now time.Time) []time.Time {
	for len(times) > 0 && now.Sub(times[0]) >= l.o.Window {
		times = times[1:]
	}
	return times
}

// shrink forgets what no longer counts once there is much of it, and then down to a half, so that its cost is spread over
// many tries: keys of accounts, which anybody can make up, go before those of sources. The caller holds mu.
func (l *Limiter) shrink(now time.Time) {
	if len(l.tries) < maxLimitKeys {
		return
	}
	for k, t := range l.tries {
		if len(l.recent(t, now)) == 0 {
			delete(l.tries, k)
		}
	}
	for _, accounts := range []bool{true, false} {
		for k := range l.tries {
			if len(l.tries) <= maxLimitKeys/2 {
				return
			}
			if (k.account != "") == accounts {
				delete(l.tries, k)
			}
		}
	}
}
