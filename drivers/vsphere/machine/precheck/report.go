// Package precheck looks at everything that a new virtual container host needs before anything is
// made: all checks run, all are reported, and each says how to mend what is wrong. On the way it
// finds the vSphere objects that the administrator's names stand for.
package precheck

import (
	"fmt"
	"io"
	"strings"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
)

// Level says how a check ended.
type Level string

// The levels. Only Error stops a create.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Error   Level = "error"
	Skipped Level = "skipped" // another check must pass first
)

// Result is one line of the report.
type Result struct {
	Check   string `json:"check"`
	Level   Level  `json:"level"`
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"`
}

// Report is what all checks found, in the order in which they ran.
type Report []Result

// Count returns how many results have the level.
func (r Report) Count(l Level) int {
	n := 0
	for _, x := range r {
		if x.Level == l {
			n++
		}
	}
	return n
}

// Print writes the report for people.
func (r Report) Print(w io.Writer) {
	for _, x := range r {
		fmt.Fprintf(w, "  %-8s %-18s %s\n", x.Level, x.Check, x.Message)
		if x.Remedy != "" && x.Level != OK {
			fmt.Fprintf(w, "  %-8s %-18s -> %s\n", "", "", x.Remedy)
		}
	}
}

func (r *Report) add(check string, l Level, remedy, format string, args ...any) {
	*r = append(*r, Result{Check: check, Level: l, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (r *Report) ok(check, format string, args ...any) { r.add(check, OK, "", format, args...) }

// fail adds an error with the remedy that it carries, or else the given one.
func (r *Report) fail(check string, err error, remedy string) {
	if own := advice.Of(err); own != "" {
		remedy = own
	}
	r.add(check, Error, remedy, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
}

// skip says that a check could not run because another one failed.
func (r *Report) skip(check, missing string) {
	r.add(check, Skipped, "", "not checked: it needs the %s", missing)
}
