package retention

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/core/hub/selector"
	"github.com/openvic/vic/sdk/errdef"
)

var now = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

// artifact is one that was pushed and pulled so many days ago; below 0: never.
func artifact(tags string, pushed, pulled int) Artifact {
	a := Artifact{Digest: "sha256:" + tags, Tags: strings.Fields(tags), Pushed: now.AddDate(0, 0, -pushed)}
	if pulled >= 0 {
		a.Pulled = now.AddDate(0, 0, -pulled)
	}
	return a
}

func repos(decoration, pattern string) []selector.Selector {
	return []selector.Selector{{Kind: selector.Doublestar, Decoration: decoration, Pattern: pattern}}
}

func rule(template string, n int, repositories, tags string) Rule {
	return Rule{Template: template, Number: n, Repositories: repos(selector.RepoMatches, repositories), Tags: repos(selector.Matches, tags)}
}

func TestWhatTheRulesKeep(t *testing.T) {
	untagged := func(r Rule) Rule { r.Tags[0].Extras = `{"untagged":true}`; return r }
	disabled := func(r Rule) Rule { r.Disabled = true; return r }
	without := func(r Rule, s ...selector.Selector) Rule { r.Tags = append(r.Tags, s...); return r }
	labelled := func(a Artifact, labels ...string) Artifact { a.Labels = labels; return a }
	immutable := func(a Artifact) Artifact { a.Immutable = a.Tags[0]; return a }
	named := func(a Artifact) Artifact { a.Named = true; return a }
	five := []Artifact{artifact("v1", 50, 1), artifact("v2", 40, -1), artifact("v3 latest", 30, 20), artifact("dev", 20, -1), artifact("", 10, 5)}
	for _, c := range []struct {
		name  string
		rules []Rule
		all   []Artifact
		want  string // the first tag of those that stay; "-" is without one
	}{
		{"no rules", nil, five, "v1 v2 v3 dev -"},
		{"no rule that is enabled", []Rule{disabled(rule(Always, 0, "**", "v1"))}, five, "v1 v2 v3 dev -"},
		{"always", []Rule{rule(Always, 0, "**", "v*")}, five, "v1 v2 v3"},
		{"always, everything that has a tag", []Rule{rule(Always, 0, "**", "**")}, five, "v1 v2 v3 dev"},
		{"always, untagged too", []Rule{untagged(rule(Always, 0, "**", "**"))}, five, "v1 v2 v3 dev -"},
		{"no selector of tags chooses all", []Rule{{Template: Always}}, five, "v1 v2 v3 dev -"},
		{"latest pushed", []Rule{rule(LatestPushedK, 2, "**", "**")}, five, "v3 dev"},
		{"latest pushed, untagged counted", []Rule{untagged(rule(LatestPushedK, 2, "**", "**"))}, five, "dev -"},
		{"latest pushed of some", []Rule{rule(LatestPushedK, 1, "**", "v*")}, five, "v3"},
		{"more than there are", []Rule{rule(LatestPushedK, 99, "**", "v*")}, five, "v1 v2 v3"},
		{"latest pulled", []Rule{rule(LatestPulledN, 1, "**", "**")}, five, "v1"},
		{"latest pulled, then those never pulled by their push", []Rule{rule(LatestPulledN, 3, "**", "**")}, five, "v1 v3 dev"},
		{"latest active", []Rule{rule(LatestActiveK, 2, "**", "**")}, five, "v1 dev"},
		{"pushed within days", []Rule{rule(NDaysSinceLastPush, 30, "**", "**")}, five, "v3 dev"},
		{"pulled within days", []Rule{rule(NDaysSinceLastPull, 19, "**", "**")}, five, "v1"},
		{"pulled within days, never is not", []Rule{rule(NDaysSinceLastPull, 20, "**", "**")}, five, "v1 v3"},
		{"active within days", []Rule{rule(LastXDays, 20, "**", "**")}, five, "v1 v3 dev"},
		{"two rules add up", []Rule{rule(LatestPushedK, 1, "**", "v*"), rule(LatestPulledN, 1, "**", "**")}, five, "v1 v3"},
		{"another repository's rule", []Rule{rule(Always, 0, "other", "**")}, five, "v1 v2 v3 dev -"},
		{"another repository's rule keeps nothing here", []Rule{rule(Always, 0, "other", "**"), rule(Always, 0, "team/*", "v1")}, five, "v1"},
		{"tags excluded", []Rule{{Template: Always, Tags: repos(selector.Excludes, "v*")}}, five, "dev -"},
		{"all selectors must choose", []Rule{without(rule(Always, 0, "**", "v*"), repos(selector.Excludes, "latest")...)}, five, "v1 v2"},
		{"immutable and named stay", []Rule{rule(Always, 0, "**", "nothing")}, []Artifact{immutable(artifact("v1", 1, 1)), named(artifact("", 1, 1)), artifact("v2", 1, 1)}, "v1 -"},
		{"labels", []Rule{without(rule(Always, 0, "**", "**"), selector.Selector{Kind: selector.Label, Decoration: selector.WithLabels, Pattern: "prod"})},
			[]Artifact{labelled(artifact("v1", 1, 1), "prod", "x"), labelled(artifact("v2", 1, 1), "x")}, "v1"},
		{"equal times are decided by the digest", []Rule{rule(LatestPushedK, 1, "**", "**")}, []Artifact{artifact("b", 1, 1), artifact("a", 1, 1)}, "a"},
		{"a template of a later version", []Rule{rule("tomorrow", 1, "**", "v*")}, five, "v1 v2 v3"},
	} {
		var got []string
		for i, d := range Evaluate(c.rules, "team/web", c.all, now) {
			if d.Digest != c.all[i].Digest || d.Reason == "" {
				t.Errorf("%s: %+v", c.name, d)
			}
			if d.Keep {
				got = append(got, append(d.Tags, "-")[0])
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q stay, want %q", c.name, got, c.want)
		}
	}
}

func TestEachDecisionHasItsReason(t *testing.T) {
	all := []Artifact{artifact("v1", 50, 1), artifact("v2", 40, -1), artifact("v3", 30, 20)}
	all[1].Immutable = "v2"
	var got []string
	for _, d := range Evaluate([]Rule{rule(Always, 0, "**", "x"), rule(LatestPushedK, 1, "**", "**")}, "web", all, now) {
		got = append(got, d.Reason)
	}
	want := []string{"no rule keeps it", "its tag v2 is immutable", "rule 2 keeps it: the 1 most recently pushed"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", got, want)
	}
	if !For([]Rule{rule(Always, 0, "team/**", "x")}, "team/web") || For([]Rule{rule(Always, 0, "team/**", "x")}, "web") || For(nil, "web") {
		t.Error("a rule is for another repository than it says")
	}
}

func TestRulesThatAreNone(t *testing.T) {
	good := rule(LatestPushedK, 1, "**", "**")
	bad := func(change func(*Rule)) Rule {
		r := rule(LatestPushedK, 1, "**", "**")
		change(&r)
		return r
	}
	if err := Check([]Rule{good, rule(LatestPushedK, 2, "**", "**")}); err != nil {
		t.Error(err)
	}
	for i, r := range []Rule{bad(func(r *Rule) { r.Template = "x" }), bad(func(r *Rule) { r.Number = 0 }), bad(func(r *Rule) { r.Number = 100_001 }),
		bad(func(r *Rule) { r.Template = Always }), bad(func(r *Rule) { r.Tags[0].Pattern = "" }), bad(func(r *Rule) { r.Repositories[0].Decoration = "matches" }),
		bad(func(r *Rule) { r.Tags = make([]selector.Selector, 6) })} {
		if err := Check([]Rule{r}); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if err := Check([]Rule{good, good}); !errors.Is(err, errdef.ErrExists) {
		t.Errorf("twice the same: %v", err)
	}
	if err := Check(make([]Rule, 16)); !errors.Is(err, errdef.ErrInvalid) {
		t.Errorf("16 rules: %v", err)
	}
}
