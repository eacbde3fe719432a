package wire_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/wire"
)

func TestChecksFindTheFirstFault(t *testing.T) {
	for name, c := range map[string]struct {
		rule  func(c *wire.Check)
		fault string // what the text begins with; empty: none
	}{
		"a line":                {func(c *wire.Check) { c.Line("name", "dév", 4) }, ""},
		"a long line":           {func(c *wire.Check) { c.Line("name", "dév!", 4) }, "name: has 5 bytes"},
		"two lines":             {func(c *wire.Check) { c.Line("name", "a\nb", 4) }, "name: has the control character U+000A"},
		"an escape":             {func(c *wire.Check) { c.Prose("text", "\x1b[2J", 4) }, "text: has the control character U+001B"},
		"prose":                 {func(c *wire.Check) { c.Prose("text", "a\tb\r\n", 5) }, ""},
		"no UTF-8":              {func(c *wire.Check) { c.Line("name", "\xff", 4) }, "name: is not UTF-8"},
		"a secret":              {func(c *wire.Check) { c.Secret("key", "a\x00b", 4) }, ""},
		"lines":                 {func(c *wire.Check) { c.Lines("links", []string{"a", "b"}, 2, 1) }, ""},
		"many lines":            {func(c *wire.Check) { c.Lines("links", []string{"a", "b"}, 1, 1) }, "links: has 2 elements"},
		"a long one of them":    {func(c *wire.Check) { c.Lines("links", []string{"a", "bb"}, 2, 1) }, "links: has 2 bytes"},
		"a map":                 {func(c *wire.Check) { c.Map("labels", map[string]string{"a": "b\n"}, 1, 1, 2) }, ""},
		"a map's key":           {func(c *wire.Check) { c.Map("labels", map[string]string{"a\n": ""}, 1, 2, 2) }, "labels: a key: has the control"},
		"a map's value":         {func(c *wire.Check) { c.Map("labels", map[string]string{"a": "bbb"}, 1, 2, 2) }, "labels: a value: has 3 bytes"},
		"no time":               {func(c *wire.Check) { c.Time("made", time.Time{}) }, ""},
		"a time far away":       {func(c *wire.Check) { c.Time("made", time.Unix(1<<40, 0).UTC()) }, "made: the year 36812 is none"},
		"the first of several":  {func(c *wire.Check) { c.That(false, "first"); c.That(false, "second") }, "first"},
		"one after a good rule": {func(c *wire.Check) { c.Count("list", 1, 1); c.Size("data", 2, 1) }, "data: has 2 bytes"},
	} {
		var check wire.Check
		c.rule(&check)
		err := check.Err()
		if (c.fault == "") != (err == nil) || err != nil && (!errors.Is(err, errdef.ErrInvalid) || !strings.HasPrefix(err.Error(), c.fault)) {
			t.Errorf("%s: got %v, want %q", name, err, c.fault)
		}
	}
}

func TestAFaultOfAnAnswerIsNotTheCallers(t *testing.T) {
	var check wire.Check
	check.That(false, "name: is empty")
	err := wire.Answer(check.Err())
	if !errors.Is(err, errdef.ErrInternal) || errors.Is(err, errdef.ErrInvalid) || !strings.Contains(err.Error(), "name: is empty") || wire.Answer(nil) != nil {
		t.Errorf("got %v", err)
	}
}
