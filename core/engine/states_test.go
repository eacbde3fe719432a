package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openvic/vic/core/event"
	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/storage"
)

// What each occurrence makes of each life, as a person reads it: a dot is "does not apply". It says a second
// time, in another form, what states.go says; the test below holds the code against it.
const lifeGrid = `
                 boot            bootFailed runs    cannotRun ends   endsForNow runsAgain freeze thaw    off     startAgain stayOff
created          starting        .          .       .         .      .          .         .      .       .       .          .
exited           startingExited  .          .       .         .      .          .         .      .       .       awaiting   .
awaiting         startingAgain   .          .       .         .      .          .         .      .       .       .          exited
starting         .               created    running failing   ending .          .         .      .       .       .          .
startingExited   .               exited     running ending    ending .          .         .      .       .       .          .
startingAgain    .               awaiting   running ending    ending .          .         .      .       .       .          .
running          .               .          .       ending    ending restarting .         paused .       .       .          .
paused           .               .          .       ending    ending restarting .         .      running .       .          .
restarting       .               .          .       ending    ending restarting running   .      .       .       .          .
ending           .               .          .       .         .      .          .         .      .       exited  .          .
failing          .               .          .       .         .      .          .         .      .       created .          .
`

// grid reads lifeGrid: the names of lives and occurrences in the order of their constants, and the cells.
func grid(t *testing.T) (lives, occurrences []string, cells [][]string) {
	t.Helper()
	rows := strings.Split(strings.TrimSpace(lifeGrid), "\n")
	occurrences = strings.Fields(rows[0])
	for _, row := range rows[1:] {
		f := strings.Fields(row)
		lives, cells = append(lives, f[0]), append(cells, f[1:])
	}
	if len(lives) != int(lifeCount) || len(occurrences) != int(occurrenceCount) {
		t.Fatalf("the grid has %d lives and %d occurrences, the code %d and %d", len(lives), len(occurrences), lifeCount, occurrenceCount)
	}
	return lives, occurrences, cells
}

// bench is an engine with one container whose VM is nobody's: the test plays the tether and the platform.
type bench struct {
	e    *Engine
	c    *container
	last *run // the container's run, or its last one
	said []string
	n    int           // processes that have ended for now
	now  time.Duration // each exit is another's
}

// unreachable is a platform on which no tether answers.
type unreachable struct{}

func (unreachable) Connect(ctx context.Context, _ string) (io.ReadWriteCloser, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

const benchID = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// newBench makes the container with a definition that wants it started again.
func newBench(t *testing.T) *bench {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); synctest.Wait() })
	platform, hub := compute.NewFake(), &event.Hub{}
	d := Definition{ID: benchID, Name: "c1"}
	d.Restart.Policy = guest.PolicyAlways
	metadata, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := platform.Create(ctx, compute.CreateRequest{ID: d.ID, Metadata: metadata}); err != nil {
		t.Fatal(err)
	}
	e, err := New(ctx, Options{Compute: platform, Storage: storage.NewFake(), Network: network.NewFake(), Images: noImages{},
		Authority: &link.Authority{}, Events: hub, Log: slog.New(slog.DiscardHandler), Names: func(int) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	e.dialer = link.NewDialer(unreachable{}, nil)
	b := &bench{e: e, c: newContainer(d)}
	e.registry.add(b.c)
	e.registry.names[d.Name] = d.ID
	hub.Subscribe(func(ev event.Event) {
		if ev.Type == event.Container {
			b.said = append(b.said, ev.Action)
		}
	})
	return b
}

type noImages struct{}

func (noImages) Hold(context.Context, string, string) error { return nil }
func (noImages) Release(context.Context, string) error      { return nil }

// bring has an occurrence come in the way it comes in the engine.
func (b *bench) bring(o occurrence) {
	b.now++
	exit := guest.Exit{Code: 3, Started: time.Now(), Finished: time.Now().Add(b.now)}
	switch o {
	case onBoot:
		if r, err := b.e.newRun(b.e.ctx, b.c, startedHere); err == nil {
			b.last = r
		}
	case onBootFailed:
		b.last.bootFailed()
	case onRuns:
		b.e.processRuns(b.last, link.Hello{Pid: 7, Running: true})
	case onCannotRun:
		b.e.processEnded(b.last, guest.Exit{Code: 127, Error: "no such file", Finished: time.Now()})
	case onEnds:
		b.e.processEnded(b.last, exit)
	case onEndsForNow:
		b.n = b.c.view().State.Restarts - b.last.base + 1
		b.e.applyRestart(b.last, link.State{Phase: link.PhaseRestarting, Restarts: b.n, Exit: &exit})
	case onRunsAgain:
		b.e.applyRestart(b.last, link.State{Phase: link.PhaseRunning, Restarts: b.n, Pid: 9, Started: time.Now()})
	case onFreeze:
		b.e.setFrozen(b.last, true)
	case onThaw:
		b.e.setFrozen(b.last, false)
	case onOff:
		b.last.leave(onOff, nil)
	case onStartAgain:
		b.e.startAgain(b.c, codeKilled, b.c.update)
	case onStayOff:
		b.c.update(func() { b.c.stayOff() })
	}
}

// paths are how each life is come to, from a container that was just made.
var paths = [lifeCount][]occurrence{
	lifeCreated:        {onBoot, onBootFailed}, // so that there is a run that is over
	lifeExited:         {onBoot, onRuns, onEnds, onOff},
	lifeAwaiting:       {onBoot, onRuns, onEnds, onOff, onStartAgain},
	lifeStarting:       {onBoot},
	lifeStartingExited: {onBoot, onRuns, onEnds, onOff, onBoot},
	lifeStartingAgain:  {onBoot, onRuns, onEnds, onOff, onStartAgain, onBoot},
	lifeRunning:        {onBoot, onRuns},
	lifePaused:         {onBoot, onRuns, onFreeze},
	lifeRestarting:     {onBoot, onRuns, onEndsForNow},
	lifeEnding:         {onBoot, onRuns, onEnds},
	lifeFailing:        {onBoot, onCannotRun},
}

// in brings the container into a life.
func (b *bench) in(t *testing.T, l life) {
	t.Helper()
	for _, o := range paths[l] {
		b.bring(o)
	}
	if b.c.life != l {
		t.Fatalf("the path to life %d leads to %d", l, b.c.life)
	}
	b.said = nil
}

// tells is what users are told of an occurrence that applies.
func tells(l life, o occurrence) []string {
	switch o {
	case onRuns, onRunsAgain:
		return []string{"start"}
	case onEnds, onEndsForNow:
		if l == lifeRestarting {
			return []string{"start", "die"} // a process in between was too quick to be seen
		}
		return []string{"die"}
	case onFreeze:
		return []string{"pause"}
	case onThaw:
		return []string{"unpause"}
	}
	return nil
}

func TestEveryOccurrenceInEveryLife(t *testing.T) {
	lives, occurrences, cells := grid(t)
	cases, applied := 0, 0
	for l := range lifeCount {
		for o := range occurrenceCount {
			want := slices.Index(lives, cells[l][o])
			cases++
			synctest.Test(t, func(t *testing.T) {
				name := fmt.Sprintf("%s in %s", occurrences[o], lives[l])
				b := newBench(t)
				b.in(t, l)
				before, view := b.c.life, b.c.view()
				b.bring(o)
				after := b.c.view()
				if want < 0 {
					if b.c.life != before || after.State != view.State || len(b.said) > 0 {
						t.Errorf("%s does not apply, and makes it %s, %+v of %+v, and tells %v", name, lives[b.c.life], after.State, view.State, b.said)
					}
					return
				}
				applied++
				if b.c.life != life(want) {
					t.Errorf("%s: it is %s, want %s", name, lives[b.c.life], lives[want])
				}
				if tell := tells(l, o); !slices.Equal(b.said, tell) {
					t.Errorf("%s tells %v, want %v", name, b.said, tell)
				}
				if (b.c.run != nil) != b.c.life.hasRun() {
					t.Errorf("%s: it is %s, and its run is %v", name, lives[b.c.life], b.c.run)
				}
				if s := status(b.c.life, removalNone, false); after.State.Status != s {
					t.Errorf("%s: shown as %s, is %s", name, after.State.Status, s)
				}
			})
		}
	}
	t.Logf("%d lives x %d occurrences = %d cases: %d apply, %d change nothing", lifeCount, occurrenceCount, cases, applied, cases-applied)
}

// What comes twice is told once, and a VM that is off ends every life that has a run: with one "die" if
// there was a process and nobody has told of its end, and with the policy's next start if the guest left no
// record.
func TestAVMThatGoesOffInEveryLife(t *testing.T) {
	lives, _, _ := grid(t)
	cases := 0
	for l := range lifeCount {
		for _, record := range []*compute.Exit{nil, {Code: 3, Started: time.Now(), Finished: time.Now()}} {
			cases++
			synctest.Test(t, func(t *testing.T) {
				name := fmt.Sprintf("%s, record %v", lives[l], record != nil)
				b := newBench(t)
				b.in(t, l)
				r := b.last
				b.e.vmOff(r, record)
				b.e.vmOff(r, record) // the platform and a call tell of it
				want, told := l, []string(nil)
				switch {
				case l == lifeFailing:
					want = lifeCreated
				case l == lifeEnding:
					want = lifeExited
				case l == lifeRestarting && record == nil: // its end was told, and nothing has run since
				case l.starting(), l == lifeRestarting:
					told = []string{"start", "die"}
				case l.active():
					told = []string{"die"}
				}
				if l.active() {
					if want = lifeExited; record == nil {
						want = lifeAwaiting
					}
				}
				if b.c.life != want || !slices.Equal(b.said, told) {
					t.Errorf("%s: it is %s, want %s; told %v, want %v", name, lives[b.c.life], lives[want], b.said, told)
				}
				if n := b.c.view().State.Restarts; want == lifeAwaiting && l != lifeAwaiting && n > 2 {
					t.Errorf("%s: %d restarts counted", name, n)
				}
			})
		}
	}
	t.Logf("%d lives x 2 records = %d cases", lifeCount, cases)
}

// Whatever a container is at, a stop is the end of it, and its policy does not start it again: neither when no
// tether answers, nor when the VM goes off by itself in that moment.
func TestAStopInEveryLife(t *testing.T) {
	lives, _, _ := grid(t)
	for l := range lifeCount {
		for _, off := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.in(t, l)
				stopped := make(chan error, 1)
				go func() { stopped <- b.e.stop(t.Context(), b.c, StopOptions{}) }()
				synctest.Wait()
				if off {
					b.e.vmOff(b.last, nil)
				}
				err := <-stopped
				if modified := l.active() || l == lifeAwaiting; (err == nil) != modified || (!modified && !errors.Is(err, ErrNotModified)) {
					t.Errorf("%s: %v", lives[l], err)
				}
				if l.ended() && !off {
					b.e.vmOff(b.last, nil) // it is on its way
				}
				<-time.After(time.Hour)
				if after := b.c.life; after != lifeExited && after != lifeCreated {
					t.Errorf("%s, VM off by itself %v: it is %s an hour later", lives[l], off, lives[after])
				}
			})
		}
	}
	t.Logf("%d lives x 2 = %d cases", lifeCount, 2*int(lifeCount))
}

// A removal may begin, fail and end in every life, and leaves the life alone.
func TestEveryStepOfARemovalInEveryRemovalAndLife(t *testing.T) {
	lives, _, _ := grid(t)
	want := [removalCount][removalStepCount]removal{
		//             begins         destroys       fails        ends
		removalNone:   {removalMarked, removalNone, removalNone, removalNone},
		removalMarked: {removalMarked, removalUnder, removalNone, removalDone},
		removalUnder:  {removalUnder, removalUnder, removalNone, removalDone},
		removalDone:   {removalDone, removalDone, removalDone, removalDone},
	}
	cases := 0
	for l := range lifeCount {
		for r := range removalCount {
			for s := range removalStepCount {
				cases++
				c := newContainer(Definition{ID: benchID})
				c.life, c.removal = l, r
				applies := c.moveRemoval(s)
				if c.removal != want[r][s] || c.life != l || applies != (want[r][s] != r) {
					t.Errorf("step %d of removal %d while %s: removal %d, life %s, applies %v", s, r, lives[l], c.removal, lives[c.life], applies)
				}
				if gone := c.removal == removalUnder || c.removal == removalDone; applies && gone != (c.state.Status == StatusRemoving) {
					t.Errorf("removal %d is shown as %s", c.removal, c.state.Status)
				}
			}
		}
	}
	t.Logf("%d lives x %d removals x %d steps = %d cases", lifeCount, removalCount, removalStepCount, cases)
}

// A VM may be suspended and resumed in every life; what the container was it is again.
func TestASuspendedVMGoesOnWhereItWas(t *testing.T) {
	lives, _, _ := grid(t)
	for l := range lifeCount {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.in(t, l)
			if !l.hasRun() {
				return
			}
			before := b.c.view().State
			see := func(s compute.State) Status {
				b.e.observeOn(b.c, b.last, compute.VM{ID: benchID, State: s})
				return b.c.view().State.Status
			}
			paused := StatusPaused
			if !l.active() {
				paused = before.Status
			}
			if s := see(compute.StateSuspended); s != paused {
				t.Errorf("%s, suspended: %s", lives[l], s)
			}
			see(compute.StateSuspended)
			if see(compute.StateRunning); b.c.view().State != before {
				t.Errorf("%s, resumed: %+v, was %+v", lives[l], b.c.view().State, before)
			}
			var told []string
			if l == lifeRunning || l == lifeRestarting {
				told = []string{"pause", "unpause"}
			}
			if !slices.Equal(b.said, told) {
				t.Errorf("%s: told %v, want %v", lives[l], b.said, told)
			}
		})
	}
}

// No life is a dead end: every one can be come to, and can come to an end from which a user may start it.
func TestNoLifeIsADeadEnd(t *testing.T) {
	reach := func(from life) map[life]bool {
		seen := map[life]bool{from: true}
		for todo := []life{from}; len(todo) > 0; todo = todo[1:] {
			for _, to := range lifeTable[todo[0]] {
				if !seen[to] {
					seen[to] = true
					todo = append(todo, to)
				}
			}
		}
		return seen
	}
	all := reach(lifeCreated)
	for l := range lifeCount {
		if !all[l] {
			t.Errorf("life %d cannot be come to", l)
		}
		if r := reach(l); !r[lifeExited] && !r[lifeCreated] {
			t.Errorf("from life %d there is no way to one that can be started", l)
		}
	}
}

func TestEveryOccurrenceInEveryLifeOfAnExec(t *testing.T) {
	want := [execLifeCount][execOccurrenceCount]execLife{
		//            start         runs          ends
		execCreated:  {execStarting, execCreated, execCreated},
		execStarting: {execStarting, execRunning, execEnded},
		execRunning:  {execRunning, execRunning, execEnded},
		execEnded:    {execEnded, execEnded, execEnded},
	}
	cases := 0
	for l := range execLifeCount {
		for o := range execOccurrenceCount {
			cases++
			x := &exec{container: newContainer(Definition{ID: benchID}), life: l}
			if applies := x.move(o); x.life != want[l][o] || applies != (want[l][o] != l) {
				t.Errorf("occurrence %d in life %d: life %d, applies %v", o, l, x.life, applies)
			}
			v := x.view()
			if v.Running != (x.life == execStarting || x.life == execRunning) || v.Started == (x.life == execCreated) {
				t.Errorf("life %d is shown as started %v, running %v", x.life, v.Started, v.Running)
			}
		}
	}
	t.Logf("%d lives x %d occurrences = %d cases", execLifeCount, execOccurrenceCount, cases)
}
