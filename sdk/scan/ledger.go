package scan

import (
	"fmt"
	"slices"

	"github.com/openvic/vic/sdk/errdef"
)

// ledger keeps the rules of one scan's parts. Both sides of the wire have one.
type ledger struct {
	wants     []Want
	last      Progress
	findings  uint64
	documents map[Want]uint64
}

func newLedger(wants ...Want) *ledger {
	return &ledger{wants: wants, documents: map[Want]uint64{}}
}

// progress returns what to pass on: a percentage that fell is raised to the one before.
func (l *ledger) progress(p Progress) (Progress, error) {
	if err := p.check(); err != nil {
		return Progress{}, err
	}
	p.Percent = max(p.Percent, l.last.Percent)
	l.last = p
	return p, nil
}

func (l *ledger) found(list []Finding) error {
	if len(list) > 0 && !slices.Contains(l.wants, Vulnerability) {
		return fmt.Errorf("findings: nobody wants them: %w", errdef.ErrInvalid)
	}
	for _, f := range list {
		if err := f.check(); err != nil {
			return fmt.Errorf("finding %.40q of %.40q: %w", f.ID, f.Package, err)
		}
	}
	l.findings += uint64(len(list))
	if l.findings > MaxFindings {
		return fmt.Errorf("findings: there are more than %d: %w", MaxFindings, errdef.ErrInvalid)
	}
	return nil
}

func (l *ledger) document(format Want, size int) error {
	if format == Vulnerability || !slices.Contains(l.wants, format) {
		return fmt.Errorf("document: nobody wants %q: %w", format, errdef.ErrInvalid)
	}
	l.documents[format] += uint64(size)
	if l.documents[format] > MaxDocument {
		return fmt.Errorf("document %s: has more than %d bytes: %w", format, MaxDocument, errdef.ErrInvalid)
	}
	return nil
}

func (l *ledger) bytes() uint64 {
	var sum uint64
	for _, n := range l.documents {
		sum += n
	}
	return sum
}

// report sees that all that was wanted is there.
func (l *ledger) report(r Report) error {
	if err := r.check(); err != nil {
		return err
	}
	for _, w := range l.wants {
		if w == Vulnerability && r.Database == "" {
			return fmt.Errorf("report: does not say which database it is of: %w", errdef.ErrInvalid)
		}
		if w != Vulnerability && l.documents[w] == 0 {
			return fmt.Errorf("report: the document %s is missing: %w", w, errdef.ErrInvalid)
		}
	}
	return nil
}

// Collector is a Sink that keeps all in memory: for tests, and for hosts that know that it is little.
type Collector struct {
	Steps     []Progress
	Found     []Finding
	Documents map[Want][]byte
}

var _ Sink = (*Collector)(nil)

// Progress keeps p.
func (c *Collector) Progress(p Progress) error {
	c.Steps = append(c.Steps, p)
	return nil
}

// Findings keeps f.
func (c *Collector) Findings(f []Finding) error {
	c.Found = append(c.Found, f...)
	return nil
}

// Document keeps data.
func (c *Collector) Document(format Want, data []byte) error {
	if c.Documents == nil {
		c.Documents = map[Want][]byte{}
	}
	c.Documents[format] = append(c.Documents[format], data...)
	return nil
}

// Severity is the highest of the findings; the zero value if there are none.
func (c *Collector) Severity() Severity {
	var s Severity
	for _, f := range c.Found {
		s = max(s, f.Severity)
	}
	return s
}
