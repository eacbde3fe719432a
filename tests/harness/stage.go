package harness

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"
)

// Stage lets stories run side by side: as many at once as there are places, and never two that need the
// same thing for themselves.
//
// All stories enter before the first one plays, because Go's parallel tests wait for one another in
// t.Parallel; so the order in which they play depends on their turns alone, not on who came first. Go must
// let all of them go on (-test.parallel): it does not know which of them has a place.
type Stage struct {
	mu      sync.Mutex
	places  int
	waiting []*part // by turn, then as they came
	playing []*part
	played  []*part
}

// part is a story on the stage. The stage's lock guards all but go on, which is closed when the story may play.
type part struct {
	name           string
	turn           int
	uses           []Use
	goOn           chan struct{}
	came, on, left time.Time
}

// Use is something that a story needs while it plays: a VCH, a network, a name.
type Use struct {
	thing string
	alone bool
}

// Share is a use beside that of others.
func Share(thing string) Use { return Use{thing, false} }

// Own is a use that keeps all others away.
func Own(thing string) Use { return Use{thing, true} }

// NewStage makes a stage with so many places.
func NewStage(places int) *Stage { return &Stage{places: places} }

// Enter makes the test one that runs beside others, and returns when it may: when a place and all that it
// uses are free, and nobody of an earlier turn could take them. The test leaves when it has ended, after its
// own clean-up.
func (s *Stage) Enter(t *testing.T, turn int, uses ...Use) {
	p := s.add(t.Name(), turn, uses)
	t.Parallel()
	s.wait(p)
	t.Cleanup(func() {
		s.leave(p)
		t.Logf("%.1f s on the stage, after a wait of %.1f s", p.left.Sub(p.on).Seconds(), p.on.Sub(p.came).Seconds())
	})
}

func (s *Stage) add(name string, turn int, uses []Use) *part {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &part{name: name, turn: turn, uses: uses, goOn: make(chan struct{}), came: time.Now()}
	s.waiting = append(s.waiting, p)
	slices.SortStableFunc(s.waiting, func(a, b *part) int { return cmp.Compare(a.turn, b.turn) })
	return p
}

func (s *Stage) wait(p *part) {
	s.mu.Lock()
	s.call()
	s.mu.Unlock()
	<-p.goOn
}

func (s *Stage) leave(p *part) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.left = time.Now()
	s.playing = slices.DeleteFunc(s.playing, func(o *part) bool { return o == p })
	s.played = append(s.played, p)
	s.call()
}

// call lets all play that may. The lock is held.
func (s *Stage) call() {
	s.waiting = slices.DeleteFunc(s.waiting, func(p *part) bool {
		if len(s.playing) >= s.places || slices.ContainsFunc(s.playing, p.disturbs) {
			return false
		}
		p.on = time.Now()
		s.playing = append(s.playing, p)
		close(p.goOn)
		return true
	})
}

// disturbs says whether two stories use the same thing and one of them needs it for itself.
func (p *part) disturbs(o *part) bool {
	for _, a := range p.uses {
		for _, b := range o.uses {
			if a.thing == b.thing && (a.alone || b.alone) {
				return true
			}
		}
	}
	return false
}

// Slowest writes the stories that took longest, one a line: seconds on the stage, and name.
func (s *Stage) Slowest(w io.Writer, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.SortedFunc(slices.Values(s.played), func(a, b *part) int { return cmp.Compare(b.left.Sub(b.on), a.left.Sub(a.on)) })
	for _, p := range all[:min(n, len(all))] {
		if _, err := fmt.Fprintf(w, "%7.1f s  %s\n", p.left.Sub(p.on).Seconds(), p.name); err != nil {
			return err
		}
	}
	return nil
}
