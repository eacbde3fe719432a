package plugin

import "time"

// The pauses between two processes.
const (
	firstPause = time.Second
	maxPause   = time.Minute
	// A process that was up for so long was in good health: the next one starts at once.
	goodLife = 10 * time.Second
)

// backoff counts the pauses.
type backoff struct{ next time.Duration }

// pause returns how long to wait after a process that was up for so long (0 if never).
func (b *backoff) pause(up time.Duration) time.Duration {
	if up >= goodLife {
		b.next = firstPause
		return 0
	}
	if b.next == 0 {
		b.next = firstPause
	}
	d := b.next
	b.next = min(2*d, maxPause)
	return d
}

// most makes the next pause the longest one.
func (b *backoff) most() { b.next = maxPause }
