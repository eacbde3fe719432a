package vuln

import (
	"fmt"
	"slices"

	"github.com/google/osv-scalibr/semantic"

	"github.com/openvic/vic/sdk/errdef"
)

// Known says whether the versions of an ecosystem can be compared.
func Known(ecosystem string) bool {
	_, err := semantic.Parse("1", ecosystem)
	return err == nil
}

// hits says whether a version is affected, and the first version after it in which it is not; empty: there is none. A
// version that the ecosystem's rules cannot read is affected if it is listed.
func (a affected) hits(version, ecosystem string) (hit bool, fixed string) {
	have, err := semantic.Parse(version, ecosystem)
	for _, s := range a.Spans {
		if err != nil {
			break
		}
		in, f := s.covers(have, ecosystem)
		if !in {
			continue
		}
		hit = true
		if fixed == "" || f != "" && older(f, fixed, ecosystem) {
			fixed = f
		}
	}
	if !hit && slices.Contains(a.Versions, version) {
		hit = true
		for _, s := range a.Spans {
			for _, e := range s.Events {
				if e.Fixed != "" && older(version, e.Fixed, ecosystem) && (fixed == "" || older(e.Fixed, fixed, ecosystem)) {
					fixed = e.Fixed
				}
			}
		}
	}
	return hit, fixed
}

func older(a, b, ecosystem string) bool {
	v, err := semantic.Parse(a, ecosystem)
	if err != nil {
		return false
	}
	c, err := v.CompareStr(b)
	return err == nil && c < 0
}

// covers walks the events in the order of their versions, as OSV has it.
func (s span) covers(have semantic.Version, ecosystem string) (in bool, fixed string) {
	for _, e := range s.sorted(ecosystem) {
		switch {
		case e.Introduced == "0":
			in = true
		case e.Introduced != "":
			if c, err := have.CompareStr(e.Introduced); err == nil && c >= 0 {
				in = true
			}
		case e.Fixed != "":
			if c, err := have.CompareStr(e.Fixed); err == nil && c >= 0 {
				in = false
			} else if err == nil && in && fixed == "" {
				fixed = e.Fixed
			}
		case e.LastAffected != "":
			if c, err := have.CompareStr(e.LastAffected); err == nil && c > 0 {
				in = false
			}
		}
	}
	if !in {
		return false, ""
	}
	return true, fixed
}

func (e event) version() string {
	switch {
	case e.Introduced != "":
		return e.Introduced
	case e.Fixed != "":
		return e.Fixed
	}
	return e.LastAffected
}

// sorted are the events in order; those whose versions cannot be read keep their place. Nearly all have two.
func (s span) sorted(ecosystem string) []event {
	if len(s.Events) <= 2 && (len(s.Events) == 0 || s.Events[0].Introduced != "") {
		return s.Events
	}
	sorted := slices.Clone(s.Events)
	slices.SortStableFunc(sorted, func(a, b event) int {
		x, y := a.version(), b.version()
		switch {
		case x == y:
			return 0
		case x == "0":
			return -1
		case y == "0":
			return 1
		}
		v, err := semantic.Parse(x, ecosystem)
		if err != nil {
			return 0
		}
		c, err := v.CompareStr(y)
		if err != nil {
			return 0
		}
		return c
	})
	return sorted
}

// supported is an error for an ecosystem that is none of OSV's whose versions one can compare.
func supported(ecosystem string) error {
	if !Known(ecosystem) {
		return fmt.Errorf("ecosystem %.100q: its versions cannot be compared: %w", ecosystem, errdef.ErrUnsupported)
	}
	return nil
}
