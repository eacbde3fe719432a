package wire

import (
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/openvic/vic/sdk/errdef"
)

// Check holds the first fault of a message. Its methods add a rule each; after the first fault they do
// nothing. The zero value is ready for use.
type Check struct{ err error }

// Err is errdef.ErrInvalid with the field that broke a rule, or nil.
func (c *Check) Err() error { return c.err }

// That demands ok. The text says what is wrong, beginning with the field.
func (c *Check) That(ok bool, format string, args ...any) {
	if c.err == nil && !ok {
		c.err = fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), errdef.ErrInvalid)
	}
}

// Line demands one line of text of at most max bytes, without control characters.
func (c *Check) Line(field, s string, max int) {
	c.text(field, s, max, func(r rune) bool { return !unicode.IsControl(r) })
}

// Prose is Line with line breaks and tabs.
func (c *Check) Prose(field, s string, max int) {
	c.text(field, s, max, func(r rune) bool { return !unicode.IsControl(r) || r == '\n' || r == '\r' || r == '\t' })
}

func (c *Check) text(field, s string, max int, good func(rune) bool) {
	if c.err != nil {
		return
	}
	if c.Size(field, len(s), max); !utf8.ValidString(s) {
		c.That(false, "%s: is not UTF-8", field)
	}
	if c.err != nil {
		return
	}
	for _, r := range s {
		if !good(r) {
			c.That(false, "%s: has the control character %U", field, r)
			return
		}
	}
}

// Secret demands text of at most max bytes, of any characters. Its fault does not show it.
func (c *Check) Secret(field, s string, max int) {
	c.Size(field, len(s), max)
	c.That(utf8.ValidString(s), "%s: is not UTF-8", field)
}

// Lines demands at most n texts, each a Line.
func (c *Check) Lines(field string, list []string, n, max int) {
	c.Count(field, len(list), n)
	for _, s := range list {
		if c.err != nil {
			return
		}
		c.Line(field, s, max)
	}
}

// Map demands at most n pairs, whose keys are Lines of at most key bytes, and whose values are Prose of
// at most value bytes.
func (c *Check) Map(field string, m map[string]string, n, key, value int) {
	c.Count(field, len(m), n)
	if c.err != nil {
		return
	}
	for k, v := range m {
		c.Line(field+": a key", k, key)
		c.Prose(field+": a value", v, value)
	}
}

// Time demands a time of the years 1 to 9999, which every format can write.
func (c *Check) Time(field string, t time.Time) {
	c.That(t.Year() >= 1 && t.Year() <= 9999, "%s: the year %d is none", field, t.Year())
}

// Size demands at most max bytes.
func (c *Check) Size(field string, n, max int) {
	if n > max { // nothing is boxed where there is no fault
		c.That(false, "%s: has %d bytes, more than %d", field, n, max)
	}
}

// Count demands at most max elements.
func (c *Check) Count(field string, n, max int) {
	c.That(n <= max, "%s: has %d elements, more than %d", field, n, max)
}

// Answer is for what a driver answered: a fault in it is the driver's (errdef.ErrInternal), not the
// caller's. It leaves errdef.ErrInternal as it is.
func Answer(err error) error {
	if err == nil || errors.Is(err, errdef.ErrInternal) {
		return err
	}
	return fmt.Errorf("the plugin's answer breaks the rules: %v: %w", err, errdef.ErrInternal) //nolint:errorlint // ErrInvalid would blame the caller
}
