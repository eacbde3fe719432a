// Package retention removes what no rule of a project keeps. Evaluate decides, and is a pure function; the rest keeps the
// rules and carries the decisions out on the hub's job queue.
//
// A rule keeps artifacts, with all their tags: those that its selectors choose in the repositories that it is for, and of
// them those that its template names. What several rules keep is kept by each alone. In a repository that some rule is for,
// what no rule keeps is removed; a repository that no rule is for is left alone. These stay in any case: what has an
// immutable tag, what an index names, and what is about another artifact (signatures, SBOMs), which goes with that one.
package retention

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/openvic/vic/core/hub/selector"
	"github.com/openvic/vic/sdk/errdef"
)

// The templates, in Harbor's words.
const (
	Always             = "always"
	LatestPushedK      = "latestPushedK"
	LatestPulledN      = "latestPulledN"
	LatestActiveK      = "latestActiveK"
	LastXDays          = "lastXDays"
	NDaysSinceLastPush = "nDaysSinceLastPush"
	NDaysSinceLastPull = "nDaysSinceLastPull"
)

// Template is what a rule can keep.
type Template struct {
	Name string
	Text string // with "#" for the number
	Unit string // of the number: "COUNT" or "DAYS"; "": there is none
}

// Templates are all there are.
func Templates() []Template {
	return []Template{
		{LatestPushedK, "the most recently pushed # artifacts", "COUNT"},
		{LatestPulledN, "the most recently pulled # artifacts", "COUNT"},
		{LatestActiveK, "the most recently pushed or pulled # artifacts", "COUNT"},
		{NDaysSinceLastPush, "pushed within the last # days", "DAYS"},
		{NDaysSinceLastPull, "pulled within the last # days", "DAYS"},
		{LastXDays, "pushed or pulled within the last # days", "DAYS"},
		{Always, "always", ""},
	}
}

// Bounds of a policy.
const (
	maxRules     = 15
	maxSelectors = 5 // of each sort in one rule
	maxNumber    = 100_000
)

// Rule keeps some artifacts.
type Rule struct {
	Disabled bool   `json:"disabled,omitempty"`
	Template string `json:"template"`
	// Number is how many, or how many days; 0 for always.
	Number       int                 `json:"number,omitempty"`
	Repositories []selector.Selector `json:"repositories"`
	Tags         []selector.Selector `json:"tags"`
}

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, errdef.ErrInvalid)...)
}

func (r Rule) check() error {
	i := slices.IndexFunc(Templates(), func(t Template) bool { return t.Name == r.Template })
	switch {
	case i < 0:
		return invalid("template: %.40q is none", r.Template)
	case r.Template == Always && r.Number != 0:
		return invalid("params: %s has no number", Always)
	case r.Template != Always && (r.Number < 1 || r.Number > maxNumber):
		return invalid("params: %s wants a number from 1 to %d", r.Template, maxNumber)
	case len(r.Repositories) > maxSelectors || len(r.Tags) > maxSelectors:
		return invalid("a rule has at most %d selectors of repositories and %d of tags", maxSelectors, maxSelectors)
	}
	for _, x := range r.Repositories {
		if err := x.CheckRepository(); err != nil {
			return err
		}
	}
	for _, x := range r.Tags {
		if err := x.CheckTag(); err != nil {
			return err
		}
	}
	return nil
}

// Check says what is wrong with the rules of a policy: errdef.ErrInvalid; errdef.ErrExists for two that are the same.
func Check(rules []Rule) error {
	if len(rules) > maxRules {
		return invalid("a policy has at most %d rules", maxRules)
	}
	seen := map[string]int{}
	for i, r := range rules {
		if err := r.check(); err != nil {
			return fmt.Errorf("rule %d: %w", i+1, err)
		}
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if first, ok := seen[string(b)]; ok {
			return fmt.Errorf("rules %d and %d are the same: %w", first+1, i+1, errdef.ErrExists)
		}
		seen[string(b)] = i
	}
	return nil
}
