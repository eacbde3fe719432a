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
// How far the clock may be off is not a constant: a host that answers late is known less well, and a
// guest that is not scheduled cannot look. What is promised is a bound that follows from what was
// measured, and the kernel tells it to whoever asks: maxerror of adjtimex(2). So long after a look at the
// host's clock the error is at most
//
//   - half the time between two answers of the host's that the look lay between, the best of four;
//   - plus what a slew has left to take away, or has taken too much since;
//   - plus the time since then times the doubt about the oscillator: 5 % before the second look, later
//     the errors of the samples over the time that they span.
//
// maxerror holds until the next look, as long as that is not more than ten seconds late. It does not know
// of a pause (suspend, snapshot) before the look after it, which is at once where the hypervisor tells of
// it and a minute later at most otherwise.
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
	// bootSample is what is good enough while the machine waits for it: one question where the host is quick.
	bootSample = 20 * time.Millisecond
)

// lateLook is how late a look may be for the bound that the kernel tells to hold until then.
const lateLook = 10 * time.Second

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
	setBound(d time.Duration) error
	hasRate(rate float64) bool
	replace() (string, error)
}

// Keeper keeps the clock. It has no lock and is for one goroutine at a time: the boot calls Sync and Settle, and
// then leaves it to the goroutine that is in Run.
type Keeper struct {
	log  *slog.Logger
	host func(context.Context) (time.Time, error)
	sys  machine

	d      discipline
	good   time.Duration // between two answers of the host's: no more are asked for
	begun  bool
	given  bool // the clock is another's now, or the host tells no time
	rate   float64
	origin time.Duration
	bound  time.Duration // of what is known of origin
}

// New returns the keeper of this machine's clock by a host that tells the time.
func New(host func(context.Context) (time.Time, error), log *slog.Logger) *Keeper {
	return &Keeper{log: log, host: host, sys: kernelClock{}, good: bootSample}
}

// Sync compares the clock with the host's once, and sets it. It is for the time before Run.
func (k *Keeper) Sync(ctx context.Context) { k.sync(ctx, Correction.AtOnce) }

// Settle is Sync for the moment before a program is started: it does not return with an oscillator
// that is found to be wrong, but replaces it first.
func (k *Keeper) Settle(ctx context.Context) {
	for range settleTries {
		if c := k.sync(ctx, Correction.AtOnce); !c.Doubt && !c.Broken || !pause(ctx, c.Next, nil) {
			return
		}
	}
}

// Run keeps the clock until ctx ends. A message of resumed has it look at once.
func (k *Keeper) Run(ctx context.Context, resumed <-chan struct{}) {
	k.good = goodSample
	for !k.given {
		if c := k.sync(ctx, gently); !pause(ctx, c.Next, resumed) {
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

// gently leaves a correction as it is.
func gently(c Correction) Correction { return c }

// sync takes a sample and has how say in which way what follows from it is done.
func (k *Keeper) sync(ctx context.Context, how func(Correction) Correction) Correction {
	if k.given || k.others() {
		return Correction{}
	}
	s, err := k.sample(ctx)
	if err != nil {
		k.log.Warn("the host's time is not known: this clock runs free", "err", err)
		k.given = errors.Is(err, errdef.ErrUnsupported)
		c := Correction{Rate: k.d.rate, Next: maxInterval}
		if err := k.apply(c); err != nil {
			k.log.Error("the clock cannot be kept", "err", err)
		}
		return c
	}
	c := how(k.d.next(s))
	if c.Broken {
		name, err := k.sys.replace()
		k.log.Warn("this machine's oscillator is wrong", "replaced by", name, "err", err)
	}
	// Whatever the bound was, the kernel lets it grow by 500 ppm from here on.
	if err := errors.Join(k.apply(c), k.sys.setBound(c.Bound(c.Next+lateLook))); err != nil {
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
	for try := 0; err == nil && try < maxTries; try++ {
		wall, raw := k.sys.now()
		var after time.Time
		if after, err = k.host(ctx); err != nil {
			break
		}
		gap := max(after.Sub(before), 0)
		if try == 0 || gap/2 < best.Err {
			best = Sample{Host: before.Add(gap / 2), Wall: wall, Raw: raw, Err: gap / 2}
		}
		if gap <= k.good {
			break
		}
		before = after
	}
	_, raw := k.sys.now()
	best.Age = raw - best.Raw
	return best, err
}

func (k *Keeper) apply(c Correction) error {
	var errs []error
	if c.Step != 0 {
		if k.begun && c.Step.Abs() > jitter {
			k.log.Info("the clock was off and is set", "by", c.Step)
		}
		errs = append(errs, k.sys.step(c.Step))
	}
	if c.Rate != k.rate || !k.begun {
		errs = append(errs, k.sys.setRate(c.Rate))
		k.rate = c.Rate
	}
	k.d.slewing = c.slew
	if c.Step != 0 || !k.begun {
		k.origin, k.bound = k.sys.origin()
	}
	k.begun = true
	return errors.Join(errs...)
}
