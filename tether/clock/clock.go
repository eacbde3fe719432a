// Package clock keeps the guest's clock on its host's.
//
// The hypervisor is asked for the time, as VMware Tools do. The clock is set
// before anything else of the machine begins; afterwards its rate is adjusted, so that time neither
// jumps nor goes back, but for errors of a second and more: those come of a machine that was paused
// or of a host whose clock was set, and are stepped over at once.
//
// An oscillator that is wrong by more than can be adjusted, such as a TSC that the kernel misjudged
// on an emulator under load, is replaced by the kernel's next one.
//
// A container that may set the clock (CAP_SYS_TIME, --privileged) and does so, or that adjusts it as
// a time service would, has the clock to itself from then on.
package clock

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// How a sample is taken: as open-vm-tools does (TIMESYNC_MAX_SAMPLES, TIMESYNC_GOOD_SAMPLE_THRESHOLD).
const (
	maxTries   = 4
	goodSample = 2 * time.Millisecond
)

// settleTries bounds what Settle waits for: each try is askAgain.
const settleTries = 5

// foreign is by how much the clock's origin moves when somebody else has set the clock.
const foreign = 5 * time.Millisecond

// machine is the clock of a machine.
type machine interface {
	now() (wall time.Time, raw time.Duration)
	origin() (at, bound time.Duration)
	step(by time.Duration) error
	setRate(rate float64) error
	hasRate(rate float64) bool
	replace() (string, error)
}

// Keeper keeps the clock. It is for one goroutine.
type Keeper struct {
	log  *slog.Logger
	host func(context.Context) (time.Time, error)
	sys  machine

	d      discipline
	tries  int // for a sample: one while the machine waits for it
	begun  bool
	given  bool // the clock is another's now, or the host tells no time
	rate   float64
	origin time.Duration
	bound  time.Duration // of what is known of origin
}

// New returns the keeper of this machine's clock by a host that tells the time.
func New(host func(context.Context) (time.Time, error), log *slog.Logger) *Keeper {
	return &Keeper{log: log, host: host, sys: kernelClock{}, tries: 1}
}

// Sync compares the clock with the host's once, and corrects it.
func (k *Keeper) Sync(ctx context.Context) { k.sync(ctx) }

// Settle is Sync for the moment before a program is started: it does not return with an oscillator
// that is found to be wrong, but replaces it first.
func (k *Keeper) Settle(ctx context.Context) {
	for range settleTries {
		if c := k.sync(ctx); !c.Doubt && !c.Broken || !pause(ctx, c.Next, nil) {
			return
		}
	}
}

// Run keeps the clock until ctx ends. A message of resumed has it look at once.
func (k *Keeper) Run(ctx context.Context, resumed <-chan struct{}) {
	k.tries = maxTries
	for !k.given {
		if c := k.sync(ctx); !pause(ctx, c.Next, resumed) {
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	t := time.NewTimer(max(d, askAgain))
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	case <-ctx.Done():
		return false
	}
	return true
}

func (k *Keeper) sync(ctx context.Context) Correction {
	if k.given || k.others() {
		return Correction{}
	}
	s, err := k.sample(ctx)
	if err != nil {
		k.log.Warn("the host's time is not known: this clock runs free", "err", err)
		k.given = errors.Is(err, errdef.ErrUnsupported)
		return k.follow(Correction{Rate: k.d.rate, Next: maxInterval})
	}
	c := k.d.next(s)
	if c.Broken {
		name, err := k.sys.replace()
		k.log.Warn("this machine's oscillator is wrong", "replaced by", name, "err", err)
	}
	return k.follow(c)
}

func (k *Keeper) follow(c Correction) Correction {
	if err := k.apply(c); err != nil {
		k.log.Error("the clock cannot be kept", "err", err)
	}
	return c
}

// others says whether somebody else has the clock.
func (k *Keeper) others() bool {
	if !k.begun {
		return false
	}
	at, bound := k.sys.origin()
	if (at-k.origin).Abs() <= foreign+bound+k.bound && k.sys.hasRate(k.rate) {
		if bound < k.bound {
			k.origin, k.bound = at, bound
		}
		return false
	}
	k.log.Info("another program keeps this machine's clock from now on")
	k.given = true
	return true
}

// sample reads the host's clock before and after the guest's; of a few, the closest counts.
func (k *Keeper) sample(ctx context.Context) (Sample, error) {
	var best Sample
	before, err := k.host(ctx)
	for try := 0; err == nil && try < k.tries; try++ {
		wall, raw := k.sys.now()
		var after time.Time
		if after, err = k.host(ctx); err != nil {
			break
		}
		gap := max(after.Sub(before), 0)
		if try == 0 || gap/2 < best.Err {
			best = Sample{Host: before.Add(gap / 2), Wall: wall, Raw: raw, Err: gap / 2}
		}
		if gap <= goodSample {
			break
		}
		before = after
	}
	return best, err
}

func (k *Keeper) apply(c Correction) error {
	var errs []error
	if c.Step != 0 {
		if k.begun {
			k.log.Info("the clock was off and is set", "by", c.Step)
		}
		errs = append(errs, k.sys.step(c.Step))
	}
	if c.Rate != k.rate || !k.begun {
		errs = append(errs, k.sys.setRate(c.Rate))
		k.rate = c.Rate
	}
	if c.Step != 0 || !k.begun {
		k.origin, k.bound = k.sys.origin()
	}
	k.begun = true
	return errors.Join(errs...)
}
