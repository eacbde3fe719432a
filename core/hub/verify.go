package hub

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/openvic/vic/core/hub/audit"
)

// verify is vic-hub audit verify.
func verify(args []string, stdout, stderr io.Writer) int {
	c := newCommand("audit verify", stdout, stderr)
	head := c.flags.String("head", "", "also look whether this `head`, noted from an earlier run, is still in the log")
	return c.run(args, func(ctx context.Context, h *Hub) (report, error) {
		v, err := h.audit.Verify(ctx)
		if err == nil && *head != "" {
			err = h.audit.Holds(ctx, *head)
		}
		if err != nil && !errors.Is(err, audit.ErrBroken) {
			return report{}, err
		}
		return verified(v, err), nil
	})
}

// verified is for JSON what Verify saw, and for people. broken says what is wrong; nil: nothing.
func verified(v audit.Verified, broken error) report {
	r := report{well: broken == nil}
	var fault string
	if broken != nil {
		fault = broken.Error()
		r.text = fmt.Sprintf("%s; %d lines follow one another as they should\n", fault, v.Lines)
	} else {
		r.text = fmt.Sprintf("%d lines are as they were written, %d are too young to be sealed\n"+
			"head %s (note it elsewhere: with --head it shows later whether the log was made anew)\n",
			v.Lines, v.Unsealed, v.Head)
	}
	r.value = struct {
		OK       bool   `json:"ok"`
		Lines    int64  `json:"lines"`
		Unsealed int64  `json:"unsealed"`
		Head     string `json:"head,omitempty"`
		Fault    string `json:"fault,omitempty"`
	}{r.well, v.Lines, v.Unsealed, v.Head, fault}
	return r
}
