package harness

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Every story takes a second on a stage of two places; who plays is looked at in the middle of each second.
func TestStage(t *testing.T) {
	type story struct {
		name string
		turn int
		uses []Use
	}
	for _, c := range []struct {
		name    string
		stories []story
		want    string // who plays, second by second
	}{
		{"no more than places", []story{{"a", 0, nil}, {"b", 0, nil}, {"c", 0, nil}}, "ab c"},
		{"by turn", []story{{"c", 2, nil}, {"b", 1, nil}, {"a", 0, nil}}, "ab c"},
		{"sharers at once", []story{{"a", 0, []Use{Share("x")}}, {"b", 0, []Use{Share("x")}}}, "ab"},
		{"owners one after the other", []story{{"a", 0, []Use{Own("x")}}, {"b", 0, []Use{Own("x")}}}, "a b"},
		{"an owner keeps sharers away", []story{{"a", 0, []Use{Own("x")}}, {"b", 0, []Use{Share("x")}}}, "a b"},
		{"others pass who waits", []story{{"a", 0, []Use{Own("x")}}, {"b", 0, []Use{Own("x")}}, {"c", 1, []Use{Own("y")}}}, "ac b"},
		{"the last comes last", []story{{"z", 9, []Use{Own("x")}}, {"a", 0, []Use{Share("x")}}, {"b", 1, []Use{Share("x")}}, {"c", 2, []Use{Share("x")}}}, "ab c z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := NewStage(2)
				var parts []*part
				for _, st := range c.stories {
					parts = append(parts, s.add(st.name, st.turn, st.uses))
				}
				var wg sync.WaitGroup
				for _, p := range parts {
					wg.Go(func() {
						s.wait(p)
						time.Sleep(time.Second) // on the bubble's clock
						s.leave(p)
					})
				}
				var got []string
				for time.Sleep(time.Second / 2); len(s.playing) > 0; time.Sleep(time.Second) {
					synctest.Wait()
					now := ""
					for _, p := range s.playing {
						now += p.name
					}
					got = append(got, now)
				}
				wg.Wait()
				if got := strings.Join(got, " "); got != c.want {
					t.Errorf("%q, want %q", got, c.want)
				}
			})
		})
	}
}
