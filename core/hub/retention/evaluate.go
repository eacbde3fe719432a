package retention

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Artifact is what is decided about.
type Artifact struct {
	Digest         string
	Tags           []string
	Labels         []string // names
	Pushed, Pulled time.Time
	Immutable      string // one of its tags that a rule holds; "": none
	Named          bool   // an index names it
}

// active is when it was last pushed or pulled.
func (a Artifact) active() time.Time {
	if a.Pulled.After(a.Pushed) {
		return a.Pulled
	}
	return a.Pushed
}

// Decision is whether an artifact stays, and why.
type Decision struct {
	Artifact
	Keep   bool
	Reason string
}

// For says whether any rule is for a repository: its name without the project.
func For(rules []Rule, repository string) bool {
	return slices.ContainsFunc(rules, func(r Rule) bool { return r.isFor(repository) })
}

func (r Rule) isFor(repository string) bool {
	if r.Disabled {
		return false
	}
	for _, x := range r.Repositories {
		if !x.Repository(repository) {
			return false
		}
	}
	return true
}

// Evaluate decides about all artifacts of a repository, in their order. Where no rule is for the repository all stay.
func Evaluate(rules []Rule, repository string, all []Artifact, now time.Time) []Decision {
	kept := make([]string, len(all)) // why
	applies := false
	for i, r := range rules {
		if !r.isFor(repository) {
			continue
		}
		applies = true
		for _, j := range r.keeps(all, now) {
			if kept[j] == "" {
				kept[j] = fmt.Sprintf("rule %d keeps it: %s", i+1, r.text())
			}
		}
	}
	out := make([]Decision, len(all))
	for j, a := range all {
		d := Decision{Artifact: a, Keep: true}
		switch {
		case !applies:
			d.Reason = "no rule is for this repository"
		case kept[j] != "":
			d.Reason = kept[j]
		case a.Immutable != "":
			d.Reason = fmt.Sprintf("its tag %s is immutable", a.Immutable)
		case a.Named:
			d.Reason = "an index names it"
		default:
			d.Keep, d.Reason = false, "no rule keeps it"
		}
		out[j] = d
	}
	return out
}

// keeps gives the places of the artifacts that a rule keeps.
func (r Rule) keeps(all []Artifact, now time.Time) []int {
	var chosen []int
	for i, a := range all {
		if r.chooses(a) {
			chosen = append(chosen, i)
		}
	}
	times := map[string]func(Artifact) time.Time{
		LatestPushedK: func(a Artifact) time.Time { return a.Pushed }, LatestPulledN: func(a Artifact) time.Time { return a.Pulled }, LatestActiveK: Artifact.active,
		NDaysSinceLastPush: func(a Artifact) time.Time { return a.Pushed }, NDaysSinceLastPull: func(a Artifact) time.Time { return a.Pulled },
		LastXDays: Artifact.active,
	}
	when := times[r.Template]
	switch r.Template {
	case Always:
		return chosen
	case LatestPushedK, LatestPulledN, LatestActiveK:
		slices.SortStableFunc(chosen, func(i, j int) int {
			return cmp.Or(when(all[j]).Compare(when(all[i])), all[j].Pushed.Compare(all[i].Pushed), cmp.Compare(all[i].Digest, all[j].Digest))
		})
		return chosen[:min(r.Number, len(chosen))]
	case NDaysSinceLastPush, NDaysSinceLastPull, LastXDays:
		oldest := now.Add(-time.Duration(r.Number) * 24 * time.Hour)
		return slices.DeleteFunc(chosen, func(i int) bool { return when(all[i]).Before(oldest) })
	}
	return chosen // a template of a later version: it keeps all that it could be for
}

func (r Rule) chooses(a Artifact) bool {
	for _, x := range r.Tags {
		if !x.Artifact(a.Tags, a.Labels) {
			return false
		}
	}
	return true
}

// text says what the rule keeps.
func (r Rule) text() string {
	switch r.Template {
	case LatestPushedK:
		return fmt.Sprintf("the %d most recently pushed", r.Number)
	case LatestPulledN:
		return fmt.Sprintf("the %d most recently pulled", r.Number)
	case LatestActiveK:
		return fmt.Sprintf("the %d most recently pushed or pulled", r.Number)
	case NDaysSinceLastPush:
		return fmt.Sprintf("pushed within %d days", r.Number)
	case NDaysSinceLastPull:
		return fmt.Sprintf("pulled within %d days", r.Number)
	case LastXDays:
		return fmt.Sprintf("pushed or pulled within %d days", r.Number)
	}
	return "always"
}
