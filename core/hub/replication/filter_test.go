package replication

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

func TestWhatFiltersChoose(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	x := item{Repository: "shop/web/app", Tags: []string{"v1", "v2", "test"}, Labels: []string{"good"}, Kind: Image, Pushed: now.AddDate(0, 0, -3)}
	untagged := x
	untagged.Tags = nil
	strange := item{Repository: "shop/chart", Tags: []string{"v1"}}
	for name, c := range map[string]struct {
		filters []Filter
		x       item
		tags    []string
		ok      bool
	}{
		"none":                       {nil, x, x.Tags, true},
		"a name":                     {[]Filter{{Type: FilterName, Text: "shop/**"}}, x, x.Tags, true},
		"one level":                  {[]Filter{{Type: FilterName, Text: "shop/*"}}, x, nil, false},
		"tags":                       {[]Filter{{Type: FilterTag, Text: "v*"}}, x, []string{"v1", "v2"}, true},
		"all but tags":               {[]Filter{{Type: FilterTag, Text: "v*", Exclude: true}}, x, []string{"test"}, true},
		"no such tag":                {[]Filter{{Type: FilterTag, Text: "w*"}}, x, nil, false},
		"a tag, of none":             {[]Filter{{Type: FilterTag, Text: "v*"}}, untagged, nil, false},
		"all but a tag, of none":     {[]Filter{{Type: FilterTag, Text: "v*", Exclude: true}}, untagged, nil, true},
		"a label":                    {[]Filter{{Type: FilterLabel, Labels: []string{"good"}}}, x, x.Tags, true},
		"two labels":                 {[]Filter{{Type: FilterLabel, Labels: []string{"good", "cheap"}}}, x, nil, false},
		"without a label":            {[]Filter{{Type: FilterLabel, Labels: []string{"good"}, Exclude: true}}, x, nil, false},
		"images":                     {[]Filter{{Type: FilterResource, Text: Image}}, x, x.Tags, true},
		"what is no image":           {[]Filter{{Type: FilterResource, Text: Artifact}}, x, nil, false},
		"what nobody knows":          {[]Filter{{Type: FilterResource, Text: Artifact}}, strange, strange.Tags, true},
		"young":                      {[]Filter{{Type: FilterAge, Days: 7}}, x, x.Tags, true},
		"younger":                    {[]Filter{{Type: FilterAge, Days: 2}}, x, nil, false},
		"old":                        {[]Filter{{Type: FilterAge, Days: 2, Exclude: true}}, x, x.Tags, true},
		"of an age that none knows":  {[]Filter{{Type: FilterAge, Days: 2, Exclude: true}}, strange, nil, false},
		"all of several, one by one": {[]Filter{{Type: FilterTag, Text: "v*"}, {Type: FilterTag, Text: "*1", Exclude: true}}, x, []string{"v2"}, true},
	} {
		tags, ok := choose(c.filters, c.x, now)
		if ok != c.ok || ok && !slices.Equal(tags, c.tags) {
			t.Errorf("%s: %q %v, want %q %v", name, tags, ok, c.tags, c.ok)
		}
	}
	if !slices.Equal(x.Tags, []string{"v1", "v2", "test"}) {
		t.Errorf("the tags of an artifact were changed: %q", x.Tags)
	}
}

func TestWhereArtifactsGo(t *testing.T) {
	for _, c := range []struct {
		name, namespace string
		replace         int
		want            string
	}{
		{"a/b/c/d", "", -1, "a/b/c/d"}, {"a/b/c/d", "ns", -1, "ns/d"}, {"a/b/c/d", "ns", 0, "ns/a/b/c/d"}, {"a/b/c/d", "ns", 1, "ns/b/c/d"},
		{"a/b/c/d", "ns/x", 2, "ns/x/c/d"}, {"a/b/c/d", "ns", 9, "ns/d"}, {"a", "ns", 1, "ns/a"},
	} {
		if got := rename(c.name, c.namespace, c.replace); got != c.want {
			t.Errorf("%s to %q, %d: %s, want %s", c.name, c.namespace, c.replace, got, c.want)
		}
	}
}

func TestRulesThatCannotBe(t *testing.T) {
	good := Policy{Name: "x", Trigger: Manual, Spec: Spec{Replace: -1}}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Policy){
		"no name":                      func(p *Policy) { p.Name = "" },
		"a namespace that leads away":  func(p *Policy) { p.Namespace = "../x" },
		"a namespace in capitals":      func(p *Policy) { p.Namespace = "NS" },
		"no trigger":                   func(p *Policy) { p.Trigger = "sometimes" },
		"a schedule of five fields":    func(p *Policy) { p.Trigger, p.Cron = Scheduled, "0 2 * * *" },
		"a pull on events":             func(p *Policy) { p.Trigger, p.Pull = OnEvent, true },
		"a filter of nothing":          func(p *Policy) { p.Filters = []Filter{{Type: "size"}} },
		"a pattern that is none":       func(p *Policy) { p.Filters = []Filter{{Type: FilterName, Text: "[a"}} },
		"a label that is none":         func(p *Policy) { p.Filters = []Filter{{Type: FilterLabel}} },
		"an age that is none":          func(p *Policy) { p.Filters = []Filter{{Type: FilterAge}} },
		"more filters than there may":  func(p *Policy) { p.Filters = make([]Filter, maxFilters+1) },
		"a speed below nothing":        func(p *Policy) { p.Speed = -1 },
		"a number of parts beyond all": func(p *Policy) { p.Replace = 100 },
	} {
		p := good
		change(&p)
		if err := p.check(); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheTagsOfARunAreBounded(t *testing.T) {
	s := &spreading{r: &Replication{o: Options{Now: time.Now}}, places: map[string]string{}}
	add := func(tags ...string) error {
		return s.add(t.Context(), item{Repository: "a/b", Kind: Image, Tags: tags}, "sha256:1")
	}
	if err := add("1", "2", "1"); err != nil || s.placed == 0 || s.placed > 2*(perPlace+20) || len(s.waiting) != 1 {
		t.Errorf("%v, %d bytes, %d tasks", err, s.placed, len(s.waiting))
	}
	s.placed = maxPlaced
	if err := add("3"); !errors.Is(err, errdef.ErrInvalid) || len(s.waiting) != 1 {
		t.Errorf("%v, %d tasks", err, len(s.waiting))
	}
}
