package provision

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/openvic/vic/core/hub/fleet"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Strategy is how a VCH is chosen of those that have a place.
type Strategy string

// The strategies.
const (
	Spread Strategy = "spread" // where the fewest containers run
	Pack   Strategy = "pack"   // where the most do
)

// Wish is where somebody wants a container to be.
type Wish struct {
	VCH      int64    // that one alone; 0: any
	Strategy Strategy // empty: Spread
	// Near is an application: a VCH where containers of it run is taken before others. Apart: one where none does.
	Near, Apart string
}

// Plan says where a container goes, and why.
type Plan struct {
	Chosen  int64    `json:"chosen"` // 0: nowhere
	Choices []Choice `json:"choices"`
}

// Choice is a VCH that was looked at, the best first.
type Choice struct {
	VCH  int64  `json:"vch"`
	Name string `json:"name"`
	Fits bool   `json:"fits"`
	Why  string `json:"why"`

	score [2]int // the lowest is the best
}

// whyNone is why no VCH was chosen.
func (p Plan) whyNone() string {
	if len(p.Choices) == 0 {
		return "the project has no VCH; a cloud administrator makes one its resource"
	}
	var all []string
	for _, c := range p.Choices {
		all = append(all, c.Name+": "+c.Why)
	}
	return strings.Join(all[:min(len(all), 5)], "; ")
}

// place looks at the VCHs of a project; errdef.ErrInvalid for a strategy that is none.
func (p *Provisions) place(ctx context.Context, project int64, size Size, w Wish) (Plan, error) {
	strategy := cmp.Or(w.Strategy, Spread)
	if strategy != Spread && strategy != Pack {
		return Plan{}, fmt.Errorf("strategy: %.40q is none: want %s or %s: %w", w.Strategy, Spread, Pack, errdef.ErrInvalid)
	}
	states, containers, _ := p.o.Fleet.Snapshot(of(project))
	held, err := p.held(ctx)
	if err != nil {
		return Plan{}, err
	}
	applications := map[int64]map[string]int{}
	for _, c := range containers {
		if c.Application != "" {
			if applications[c.VCH] == nil {
				applications[c.VCH] = map[string]int{}
			}
			applications[c.VCH][c.Application]++
		}
	}
	plan := Plan{Choices: []Choice{}}
	for _, s := range states {
		if w.VCH == 0 || w.VCH == s.ID {
			plan.Choices = append(plan.Choices, choice(s, held[s.ID], applications[s.ID], size, w, strategy))
		}
	}
	if w.VCH != 0 && len(plan.Choices) == 0 {
		return Plan{}, fmt.Errorf("vch: %d is no VCH of the project: %w", w.VCH, errdef.ErrInvalid)
	}
	slices.SortStableFunc(plan.Choices, func(a, b Choice) int {
		switch {
		case a.Fits != b.Fits && a.Fits:
			return -1
		case a.Fits != b.Fits:
			return 1
		}
		return cmp.Or(cmp.Compare(a.score[0], b.score[0]), cmp.Compare(a.score[1], b.score[1]), cmp.Compare(a.VCH, b.VCH))
	})
	if len(plan.Choices) > 0 && plan.Choices[0].Fits {
		plan.Chosen = plan.Choices[0].VCH
	}
	const most = 100 // of them are kept
	plan.Choices = plan.Choices[:min(len(plan.Choices), most)]
	return plan, nil
}

// choice says whether a VCH has a place, and how good it is.
func choice(s fleet.State, held int64, applications map[string]int, size Size, w Wish, strategy Strategy) Choice {
	c := Choice{VCH: s.ID, Name: s.Name}
	switch {
	case !s.Up:
		c.Why = "it does not answer: " + s.Away
		return c
	case s.Memory > 0 && held+size.Memory > s.Memory:
		c.Why = fmt.Sprintf("it lacks memory: %d MB of %d MB are held, and %d MB are needed", held>>20, s.Memory>>20, size.Memory>>20)
		return c
	case s.CPUs > 0 && size.CPUs > int64(s.CPUs)*1_000_000_000:
		c.Why = fmt.Sprintf("it has %d CPUs, and %.4g are needed", s.CPUs, float64(size.CPUs)/1e9)
		return c
	}
	c.Fits = true
	why := []string{fmt.Sprintf("%d containers run there", s.Running)}
	if s.Running == 1 {
		why[0] = "1 container runs there"
	}
	if w.Near != "" && applications[w.Near] > 0 {
		c.score[0]--
		why = append(why, fmt.Sprintf("%d of %s are there", applications[w.Near], w.Near))
	}
	if w.Apart != "" && applications[w.Apart] > 0 {
		c.score[0]++
		why = append(why, fmt.Sprintf("%d of %s are there, which it keeps apart from", applications[w.Apart], w.Apart))
	}
	if c.score[1] = s.Running; strategy == Pack {
		c.score[1] = -s.Running
	}
	c.Why = strings.Join(why, ", ")
	return c
}

// held is the memory that provisions hold, by VCH.
func (p *Provisions) held(ctx context.Context) (map[int64]int64, error) {
	out := map[int64]int64{}
	_, _, err := store.List(ctx, p.o.DB, 1<<20, func(r *sql.Rows) (x struct{}, err error) {
		var vch, memory int64
		err = r.Scan(&vch, &memory)
		out[vch] = memory
		return x, err
	}, `SELECT vch, CAST(SUM(memory) AS BIGINT) FROM provision WHERE status IN ('pending', 'done') GROUP BY vch LIMIT $1`)
	return out, err
}
