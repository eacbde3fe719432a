package access

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// guess fails n times and returns how many tries were let through.
func guess(l *Limiter, n int, account, address func(i int) string) (through int) {
	for i := range n {
		if try, _ := l.Take(context.Background(), account(i), address(i)); try != nil {
			try.Done()
			through++
		}
	}
	return through
}

func always(s string) func(int) string { return func(int) string { return s } }

func numbered(format string) func(int) string {
	return func(i int) string { return fmt.Sprintf(format, i) }
}

func TestGuessersAreSlowedDown(t *testing.T) {
	for _, c := range []struct {
		name             string
		account, address func(int) string
		want             int
	}{
		{"one account, one address", always("alice"), always("192.0.2.1"), 5},
		{"many accounts, one address", numbered("user%d"), always("192.0.2.1"), 20},
		{"one account, many addresses", always("alice"), numbered("198.51.100.%d"), 30},
		{"one account, one IPv6 host", always("alice"), numbered("2001:db8::%x"), 5},
		{"one account, one host in two forms", always("alice"), func(i int) string { return []string{"192.0.2.1", "::ffff:192.0.2.1"}[i%2] }, 5},
		{"one account, link-local zones", always("alice"), numbered("fe80::1%%eth%d"), 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Now()
			l := NewLimiter(LimitOptions{Now: func() time.Time { return now }})
			if n := guess(l, 200, c.account, c.address); n != c.want {
				t.Errorf("%d tries were let through, want %d", n, c.want)
			}
			try, wait := l.Take(t.Context(), c.account(0), c.address(0))
			if try != nil || wait <= 0 || wait > time.Minute {
				t.Errorf("%v, wait %s", try, wait)
			}
			now = now.Add(wait)
			if try, wait := l.Take(t.Context(), c.account(0), c.address(0)); try == nil {
				t.Errorf("after the wait: wait %s more", wait)
			}
		})
	}
}

func TestAGuesserDoesNotKeepThePersonOut(t *testing.T) {
	now := time.Now()
	l := NewLimiter(LimitOptions{Now: func() time.Time { return now }})
	try, _ := l.Take(t.Context(), "alice", "192.0.2.1")
	try.Succeeded()
	now = now.Add(24 * time.Hour)
	guess(l, 1000, always("alice"), numbered("198.51.100.%d"))
	if try, wait := l.Take(t.Context(), "alice", "192.0.2.1"); try == nil {
		t.Errorf("alice has to wait %s for what others guess", wait)
	}
	if try, wait := l.Take(t.Context(), "bob", "192.0.2.1"); try == nil {
		t.Errorf("bob has to wait %s for what is guessed of alice", wait)
	}
}

func TestTriesThatSucceedOrCannotBeCheckedDoNotCount(t *testing.T) {
	l := NewLimiter(LimitOptions{})
	for i := range 100 {
		try, wait := l.Take(t.Context(), "alice", "192.0.2.1")
		if try == nil {
			t.Fatalf("try %d: wait %s", i, wait)
		}
		if i%2 == 0 {
			try.Succeeded()
		} else {
			try.TakeBack()
		}
	}
}

// 60 of 60 guesses at once once passed a limit of 5 that counted failures when they had failed.
func TestManyTriesAtOnceDoNotSlipThrough(t *testing.T) {
	l := NewLimiter(LimitOptions{})
	var through atomic.Int32
	var wg sync.WaitGroup
	for range 60 {
		wg.Go(func() {
			if try, _ := l.Take(t.Context(), "alice", "192.0.2.1"); try != nil {
				defer try.Done()
				through.Add(1)
			}
		})
	}
	wg.Wait()
	if n := through.Load(); n != 5 {
		t.Errorf("%d tries were let through", n)
	}
}

// A program that signs in a hundred times at once with the right password waits for its turn, and is let in each time.
func TestWhoSignsInManyTimesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(LimitOptions{})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				try, wait := l.Take(t.Context(), "alice", "192.0.2.1")
				if try == nil {
					t.Errorf("has to wait %s", wait)
					return
				}
				defer try.Done()
				time.Sleep(100 * time.Millisecond) // the password is looked at; the clock is the test's
				try.Succeeded()
			})
		}
		wg.Wait()
		// One whose password is looked at for ever does not hold up others for longer than ten seconds each.
		for range 5 {
			if try, _ := l.Take(t.Context(), "bob", "192.0.2.1"); try == nil {
				t.Fatal("one of five has to wait")
			}
		}
		began := time.Now()
		if try, wait := l.Take(t.Context(), "bob", "192.0.2.1"); try != nil || wait != comeAgain || time.Since(began) != turnPatience {
			t.Errorf("%v, told to wait %s after %s", try, wait, time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if try, _ := l.Take(ctx, "bob", "192.0.2.1"); try != nil {
			t.Error("let through though it has gone")
		}
	})
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	l := NewLimiter(LimitOptions{})
	try, _ := l.Take(t.Context(), "mallory", "192.0.2.66")
	if try == nil {
		t.Fatal("the first try has to wait")
	}
	try.Done()
	for i := range 2 * maxLimitKeys {
		try, _ := l.Take(t.Context(), fmt.Sprint("user", i), fmt.Sprintf("198.51.%d.%d", i/256%256, i%256))
		if try == nil {
			continue
		}
		if i%3 == 0 {
			try.Succeeded()
		}
		try.Done()
	}
	if len(l.open) != 0 {
		t.Errorf("%d are under way though all have ended", len(l.open))
	}
	if len(l.tries) > maxLimitKeys+3 || len(l.good) > maxGood {
		t.Errorf("%d keys, %d good pairs", len(l.tries), len(l.good))
	}
}
