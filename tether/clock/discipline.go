package clock

import (
	"math"
	"time"
)

// The rules' numbers. open-vm-tools' timeSync plugin corrects once a minute (TIMESYNC_TIME), steps for
// an error above one second, slews below that, and looks closer above 30 ms (TIMESYNC_PLL_ACTIVATE); it
// measures the oscillator over 15 minutes (TIMESYNC_CALIBRATION_DURATION). The kernel's tick can be
// changed by a tenth (adjtimex(2)): half of it is for the oscillator's error, half for the slew.
const (
	stepAt      = time.Second
	closeAt     = 30 * time.Millisecond
	maxRate     = 0.05
	maxSlew     = 0.05
	minInterval = time.Second
	maxInterval = time.Minute
	memory      = 15 * time.Minute
	samplesKept = 32
	jitter      = 20 * time.Millisecond  // that is no sign of a wrong oscillator
	askAgain    = 200 * time.Millisecond // after a doubt
)

// Sample is one comparison of the guest's clock with the host's.
type Sample struct {
	Host time.Time
	Wall time.Time     // the guest's clock at that moment
	Raw  time.Duration // the guest's oscillator, which no correction touches (CLOCK_MONOTONIC_RAW)
	Err  time.Duration // by how much Host may be off
	Age  time.Duration // since the moment of the sample, by the oscillator
}

// Correction is what follows from a sample.
type Correction struct {
	Step   time.Duration // to add to the clock at once
	Rate   float64       // to run faster than the oscillator by: 1e-6 is a microsecond a second
	Next   time.Duration // until the next sample
	Doubt  bool          // host and oscillator have not gone together: the next sample tells whether it was a pause
	Broken bool          // the oscillator cannot be corrected

	err    time.Duration // of the sample
	left   time.Duration // by how much the clock is still ahead, as far as the sample tells
	slew   float64       // the part of Rate that takes left away; of the opposite sign
	unsure float64       // by how much the rest of Rate may be wrong
}

// Bound is by how much the clock is off at most so long after the sample, with the next one not taken
// yet. A slew that is not ended in time goes too far.
func (c Correction) Bound(after time.Duration) time.Duration {
	slewed := time.Duration(math.Abs(c.slew) * float64(after))
	return c.err + max(c.left.Abs(), slewed-c.left.Abs()) + time.Duration(c.unsure*float64(after))
}

// AtOnce is the same correction without a slew, for a machine on which nobody sees the clock jump yet.
func (c Correction) AtOnce() Correction {
	if c.slew != 0 {
		c.Step, c.Rate, c.left, c.slew = c.Step-c.left, c.Rate-c.slew, 0, 0
	}
	return c
}

// discipline makes corrections of samples. It is a function of them: it knows no clock of its own.
type discipline struct {
	history  []Sample // oldest first
	rate     float64  // makes the oscillator as fast as the host's
	unsure   float64  // by how much rate may be wrong
	slewing  float64  // what the clock runs at beside rate, since the last correction
	interval time.Duration
	doubts   int
}

// next takes the next sample.
func (d *discipline) next(s Sample) Correction {
	c := d.correct(s)
	c.err, c.unsure = s.Err+time.Duration(d.unsure*float64(s.Age)), d.unsure
	return c
}

func (d *discipline) correct(s Sample) Correction {
	offset := s.Wall.Sub(s.Host) + time.Duration(d.slewing*float64(s.Age))
	if len(d.history) == 0 {
		d.unsure = maxRate
		d.begin(s)
		return Correction{Step: -offset, Rate: d.rate, Next: minInterval}
	}
	if d.apart(s) {
		// The machine was paused, or the host's clock was set; or else the oscillator is wrong, which
		// the next samples show as well.
		d.begin(s)
		d.doubts++
		if d.doubts < 2 {
			return Correction{Step: -offset, Rate: d.rate, Next: askAgain, Doubt: true}
		}
		*d = discipline{unsure: maxRate}
		return Correction{Step: -offset, Next: askAgain, Broken: true}
	}
	d.doubts = 0
	d.learn(s)
	if offset.Abs() >= stepAt {
		d.interval = minInterval
		return Correction{Step: -offset, Rate: d.rate, Next: minInterval}
	}
	return d.slew(offset, s.Err)
}

// begin forgets what came before a sample, but for the rate.
func (d *discipline) begin(s Sample) {
	d.history = append(d.history[:0], s)
	d.interval = minInterval
}

// apart says that host and oscillator have not gone together since the last sample.
func (d *discipline) apart(s Sample) bool {
	last := d.history[len(d.history)-1]
	host, raw := s.Host.Sub(last.Host), s.Raw-last.Raw
	allowed := time.Duration(maxRate*float64(max(host, raw, 0))) + s.Err + last.Err + jitter
	return (raw - host).Abs() > allowed
}

// learn corrects the rate when the samples prove it wrong.
func (d *discipline) learn(s Sample) {
	d.history = append(d.history, s)
	for len(d.history) > samplesKept || len(d.history) > 2 && s.Host.Sub(d.history[0].Host) > memory {
		d.history = d.history[1:]
	}
	first := d.history[0]
	host, raw := float64(s.Host.Sub(first.Host)), float64(s.Raw-first.Raw)
	if host <= 0 || raw <= 0 {
		return
	}
	measured, bound := host/raw-1, float64(first.Err+s.Err)/host
	if math.Abs(measured-d.rate) > bound {
		d.rate = min(max(measured, -maxRate), maxRate)
	}
	d.unsure = math.Abs(measured-d.rate) + bound
}

// slew takes half of an error away by the time of the next sample: one that is late by as much again
// finds that all of it is gone, and none too much.
func (d *discipline) slew(offset, bound time.Duration) Correction {
	if offset.Abs() > closeAt {
		d.interval = min(max(time.Duration(float64(offset.Abs())/maxSlew), minInterval), maxInterval)
	} else {
		d.interval = min(2*d.interval, maxInterval)
	}
	c := Correction{Rate: d.rate, Next: d.interval, left: offset}
	if offset.Abs() > bound {
		c.slew = min(max(-float64(offset)/float64(2*d.interval), -maxSlew), maxSlew)
		c.Rate += c.slew
	}
	return c
}
