package replication

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/openvic/vic/core/hub/selector"
	"github.com/openvic/vic/sdk/errdef"
)

// The filters, in Harbor's words; age is ours.
const (
	FilterName     = "name"     // a pattern of repositories, with the project: "library/**"
	FilterTag      = "tag"      // a pattern of tags
	FilterLabel    = "label"    // names of labels, all of which an artifact has
	FilterResource = "resource" // image or artifact
	FilterAge      = "age"      // a number of days: what was pushed since
)

// The kinds of resources.
const (
	Image    = "image"    // images and indexes of images
	Artifact = "artifact" // whatever else: charts, signatures that stand alone
)

// Filter chooses artifacts. An artifact is chosen if all filters of a rule choose it.
type Filter struct {
	Type string
	// Text is the pattern or word; Labels are for FilterLabel, Days for FilterAge.
	Text   string   `json:",omitempty"`
	Labels []string `json:",omitempty"`
	Days   int      `json:",omitempty"`
	// Exclude chooses what the filter does not find: tags, labels, and what is older.
	Exclude bool `json:",omitempty"`
}

// Bounds of a rule.
const (
	maxFilters  = 20
	maxLabels   = 20
	maxLabel    = 256
	maxDays     = 36500
	maxName     = 256
	maxText     = 1024
	maxParts    = 64
	maxSpeed    = 1 << 40 // bytes per second
	maxPolicies = 1000
)

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, errdef.ErrInvalid)...)
}

func (f Filter) check() error {
	switch f.Type {
	case FilterName, FilterTag:
		if f.Type == FilterName && f.Exclude {
			return invalid("filters: a name has no decoration")
		}
		return selector.CheckPattern(f.Text)
	case FilterLabel:
		if len(f.Labels) == 0 || len(f.Labels) > maxLabels || slices.ContainsFunc(f.Labels, func(l string) bool { return l == "" || len(l) > maxLabel }) {
			return invalid("filters: label: want a list of 1 to %d names of labels", maxLabels)
		}
	case FilterResource:
		if f.Text != Image && f.Text != Artifact && f.Text != "" {
			return invalid("filters: resource: want %s or %s", Image, Artifact)
		}
	case FilterAge:
		if f.Days < 1 || f.Days > maxDays {
			return invalid("filters: age: want a number of days from 1 to %d", maxDays)
		}
	default:
		return invalid("filters: %.40q is not one of name, tag, label, resource, age", f.Type)
	}
	return nil
}

// item is an artifact that filters choose, or not.
type item struct {
	Repository string
	Tags       []string
	Labels     []string
	Kind       string    // Image, Artifact; "": not known
	Pushed     time.Time // zero: not known
}

func matches(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	ok, err := doublestar.Match(pattern, text)
	return ok && err == nil
}

// choose says whether a rule is for an artifact, and with which of its tags. What is not known of an artifact chooses it not.
func choose(filters []Filter, x item, now time.Time) (tags []string, ok bool) {
	tags = x.Tags
	for _, f := range filters {
		switch f.Type {
		case FilterName:
			ok = matches(f.Text, x.Repository)
		case FilterTag:
			had := len(tags) > 0
			tags = slices.DeleteFunc(slices.Clone(tags), func(t string) bool { return matches(f.Text, t) == f.Exclude })
			ok = len(tags) > 0 || !had && (f.Text == "" || f.Exclude)
		case FilterLabel:
			ok = !slices.ContainsFunc(f.Labels, func(l string) bool { return !slices.Contains(x.Labels, l) }) != f.Exclude
		case FilterResource:
			ok = f.Text == "" || x.Kind == "" || f.Text == x.Kind
		case FilterAge:
			ok = !x.Pushed.IsZero() && now.Sub(x.Pushed) <= time.Duration(f.Days)*24*time.Hour != f.Exclude
		}
		if !ok {
			return nil, false
		}
	}
	return tags, true
}

// wants says whether a rule has a filter of a type.
func wants(filters []Filter, kind string) bool {
	return slices.ContainsFunc(filters, func(f Filter) bool { return f.Type == kind })
}

// rename is the name of a repository at the destination. Without a namespace it stays. With one, that takes the place of the
// first parts of the name as far as replace says: 0 puts it before the name, below 0 replaces all but the last part.
func rename(name, namespace string, replace int) string {
	if namespace == "" {
		return name
	}
	parts := strings.Split(name, "/")
	last := len(parts) - 1
	if replace < 0 || replace > last {
		replace = last
	}
	return strings.Trim(namespace, "/") + "/" + strings.Join(parts[replace:], "/")
}
