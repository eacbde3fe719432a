package selector

import (
	"errors"
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/errdef"
)

func TestRepositories(t *testing.T) {
	for _, c := range []struct {
		decoration, pattern, name string
		want                      bool
	}{
		{RepoMatches, "**", "team/web", true}, {RepoMatches, "**", "web", true}, {RepoMatches, "*", "web", true}, {RepoMatches, "*", "team/web", false},
		{RepoMatches, "team/*", "team/web", true}, {RepoMatches, "team/**", "team/a/b", true}, {RepoMatches, "{web,api}", "api", true},
		{RepoMatches, "{web,api}", "db", false}, {RepoExcludes, "web", "web", false}, {RepoExcludes, "web", "api", true}, {RepoExcludes, "**", "api", false},
	} {
		s := Selector{Kind: Doublestar, Decoration: c.decoration, Pattern: c.pattern}
		if err := s.CheckRepository(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
		if got := s.Repository(c.name); got != c.want {
			t.Errorf("%s %s %s: %v", c.decoration, c.pattern, c.name, got)
		}
	}
}

func TestArtifacts(t *testing.T) {
	const untagged = `{"untagged":true}`
	for _, c := range []struct {
		s            Selector
		tags, labels string
		want         bool
	}{
		{Selector{Doublestar, Matches, "**", ""}, "v1 v2", "", true},
		{Selector{Doublestar, Matches, "v*", ""}, "latest v2", "", true},
		{Selector{Doublestar, Matches, "v*", ""}, "latest", "", false},
		{Selector{Doublestar, Matches, "**", ""}, "", "", false},
		{Selector{Doublestar, Matches, "v*", untagged}, "", "", true},
		{Selector{Doublestar, Excludes, "v*", ""}, "latest v2", "", false},
		{Selector{Doublestar, Excludes, "v*", ""}, "latest", "", true},
		{Selector{Doublestar, Excludes, "v*", ""}, "", "", true},
		{Selector{Doublestar, Excludes, "v*", untagged}, "", "", false},
		{Selector{Label, WithLabels, "prod,gold", ""}, "v1", "prod gold blue", true},
		{Selector{Label, WithLabels, "prod,gold", ""}, "v1", "prod", false},
		{Selector{Label, WithoutLabels, "prod,gold", ""}, "v1", "blue", true},
		{Selector{Label, WithoutLabels, "prod,gold", ""}, "v1", "blue gold", false},
	} {
		if err := c.s.CheckTag(); err != nil {
			t.Errorf("%+v: %v", c.s, err)
		}
		if got := c.s.Artifact(strings.Fields(c.tags), strings.Fields(c.labels)); got != c.want {
			t.Errorf("%+v: %s %s: %v", c.s, c.tags, c.labels, got)
		}
	}
}

func TestSelectorsThatAreNone(t *testing.T) {
	for _, s := range []Selector{{}, {Doublestar, Matches, "*", ""}, {Doublestar, RepoMatches, "", ""}, {Doublestar, RepoMatches, "[", ""}, {"regexp", RepoMatches, "*", ""}} {
		if err := s.CheckRepository(); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for _, s := range []Selector{{}, {Doublestar, RepoMatches, "*", ""}, {Doublestar, Matches, "*", "yes"}, {Label, WithLabels, ",", ""}, {Label, Matches, "*", ""},
		{Doublestar, Matches, strings.Repeat("a", 1025), ""}, {Doublestar, Matches, strings.Repeat("{a,b}", 5), ""}, {Doublestar, Matches, strings.Repeat("{a*,*a,*}*", 4), ""},
		{Doublestar, Matches, "{" + strings.Repeat("a,", 200) + "}{b,c}", ""}, {Doublestar, Matches, "*", `{"untagged":` + strings.Repeat(" ", 300) + `true}`}} {
		if err := s.CheckTag(); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%.60v: %v", s, err)
		}
	}
	if err := CheckPattern("{" + strings.Repeat("v1,", 100) + "v2}"); err != nil {
		t.Error(err)
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{"**", "v*", "{a,b}", "[a-z]?", "a/**/b", `\*`, "{a,{b,c}}", "{{{{,,,,,,,,,}}}}", "**a**a**a**a**b"} {
		f.Add(s, "team/web")
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(name) > 255 || CheckPattern(pattern) != nil {
			return
		}
		in, out := Selector{Doublestar, Matches, pattern, ""}, Selector{Doublestar, Excludes, pattern, ""}
		if in.Tag(name) == out.Tag(name) {
			t.Fatalf("%q both chooses and excludes %q", pattern, name)
		}
	})
}
