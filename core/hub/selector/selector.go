// Package selector chooses repositories, tags and labels by the patterns of retention and immutability rules, in the form
// of Harbor's API. A pattern is doublestar's: "*" is any text without a slash, "**" any text, "?" one character, "[a-z]" one
// of a class, and "{a,b}" one of a list.
package selector

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/openvic/vic/sdk/errdef"
)

// The kinds of selectors.
const (
	Doublestar = "doublestar" // of repositories and tags
	Label      = "label"      // of artifacts, by the names of their labels
)

// The decorations: what a selector does with what its pattern finds.
const (
	RepoMatches   = "repoMatches"
	RepoExcludes  = "repoExcludes"
	Matches       = "matches"
	Excludes      = "excludes"
	WithLabels    = "withLabels"
	WithoutLabels = "withoutLabels"
)

// Bounds of a pattern. What lists in braces could stand for is tried one after the other, also by pushes, which others wait for.
const (
	maxPattern = 1024
	maxBraces  = 4
	maxTries   = 1000
)

// Selector is one, as it is kept and as clients send it.
type Selector struct {
	Kind       string `json:"kind"`
	Decoration string `json:"decoration"`
	Pattern    string `json:"pattern"`
	// Extras is JSON in a text: {"untagged":true} has a selector of tags choose artifacts without any as well.
	Extras string `json:"extras,omitempty"`
}

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, errdef.ErrInvalid)...)
}

// CheckRepository says what is wrong with a selector of repositories; errdef.ErrInvalid.
func (s Selector) CheckRepository() error {
	if s.Kind != Doublestar || s.Decoration != RepoMatches && s.Decoration != RepoExcludes {
		return invalid("a selector of repositories has the kind %s and the decoration %s or %s, not %.40q and %.40q", Doublestar, RepoMatches, RepoExcludes,
			s.Kind, s.Decoration)
	}
	return CheckPattern(s.Pattern)
}

// CheckTag says what is wrong with a selector of tags or labels; errdef.ErrInvalid.
func (s Selector) CheckTag() error {
	switch {
	case s.Kind == Label && (s.Decoration == WithLabels || s.Decoration == WithoutLabels):
		if len(s.Pattern) > maxPattern || len(s.labels()) == 0 {
			return invalid("a selector of labels has their names in its pattern, with commas between, and at most %d characters", maxPattern)
		}
		return nil
	case s.Kind == Doublestar && (s.Decoration == Matches || s.Decoration == Excludes):
	default:
		return invalid("a selector of tags has the kind %s and the decoration %s or %s, or the kind %s and %s or %s, not %.40q and %.40q",
			Doublestar, Matches, Excludes, Label, WithLabels, WithoutLabels, s.Kind, s.Decoration)
	}
	if _, err := s.untagged(); err != nil {
		return err
	}
	return CheckPattern(s.Pattern)
}

// CheckPattern says what is wrong with a pattern; errdef.ErrInvalid. What it finds nothing wrong with is matched in a time
// that is bounded.
func CheckPattern(p string) error {
	if p == "" || len(p) > maxPattern || !doublestar.ValidatePattern(p) {
		return invalid("pattern: %.60q is none: want a text like release-*, ** or {v1,v2}, of at most %d characters", p, maxPattern)
	}
	braces, tries := strings.Count(p, "{"), 1
	for range braces {
		if tries *= strings.Count(p, ",") + 1; braces > maxBraces || tries > maxTries {
			return invalid("pattern: %.60q has too many lists in braces", p)
		}
	}
	return nil
}

func match(pattern, name string) bool {
	// "**" is for folders in doublestar; here it is anything, as in Harbor.
	return pattern == "**" || doublestar.MatchUnvalidated(pattern, name)
}

// Repository says whether a repository is chosen: its name without the project.
func (s Selector) Repository(name string) bool {
	return match(s.Pattern, name) == (s.Decoration == RepoMatches)
}

// Artifact says whether an artifact is chosen, by its tags and the names of its labels. A pattern that excludes does so when
// it finds any of the tags.
func (s Selector) Artifact(tags, labels []string) bool {
	if s.Kind == Label {
		for _, want := range s.labels() {
			if slices.Contains(labels, want) != (s.Decoration == WithLabels) {
				return false
			}
		}
		return true
	}
	if len(tags) == 0 {
		untagged, _ := s.untagged() // it was checked
		return untagged == (s.Decoration == Matches)
	}
	found := slices.ContainsFunc(tags, func(t string) bool { return match(s.Pattern, t) })
	return found == (s.Decoration == Matches)
}

// Tag says whether one tag is chosen.
func (s Selector) Tag(name string) bool { return match(s.Pattern, name) == (s.Decoration == Matches) }

func (s Selector) labels() []string {
	return strings.FieldsFunc(s.Pattern, func(r rune) bool { return r == ',' })
}

func (s Selector) untagged() (bool, error) {
	if s.Extras == "" {
		return false, nil
	}
	var x struct {
		Untagged bool `json:"untagged"`
	}
	const longest = 256
	if len(s.Extras) > longest || json.Unmarshal([]byte(s.Extras), &x) != nil {
		return false, invalid(`extras: want {"untagged":true} in a text, or nothing`)
	}
	return x.Untagged, nil
}
