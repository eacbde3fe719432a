package harness

import "time"

// Patience is how long a test waits for what ought to come. It bounds tests that fail and nothing else: on a
// slow machine with other work all must come within it, so it says nothing about how fast the product is.
const Patience = 10 * time.Minute

// Await calls f until it returns "" or Patience is over, and returns how long that took and what f returned
// last. What f asks mostly costs a process and a guest's time, so that it is asked less often as time goes by.
func Await(f func() string) (time.Duration, string) {
	const rarest = 400 * time.Millisecond
	start := time.Now()
	for pause := 20 * time.Millisecond; ; pause = min(pause*3/2, rarest) {
		msg := f()
		if took := time.Since(start); msg == "" || took > Patience {
			return took, msg
		}
		time.Sleep(pause)
	}
}
