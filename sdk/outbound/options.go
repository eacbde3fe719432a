package outbound

import (
	"fmt"
	"strings"

	"github.com/openvic/vic/sdk/errdef"
)

// The keys by which a policy travels with a request to a plugin: lists with commas between.
const (
	OptionAllow = "outbound.allow"
	OptionDeny  = "outbound.deny"
)

// Options adds the policy to the options of a request. errdef.ErrInvalid if a list is longer than max bytes, which no
// request carries: fewer and wider ranges are needed then.
func (p *Policy) Options(to map[string]string, max int) error {
	for key, list := range map[string][]string{OptionAllow: texts(p.allow), OptionDeny: texts(p.deny)} {
		text := strings.Join(list, ",")
		if len(text) > max {
			return fmt.Errorf("[outbound] has lists of more than %d characters, which plugins cannot be told: name fewer, wider ranges: %w", max, errdef.ErrInvalid)
		}
		if text != "" {
			to[key] = text
		}
	}
	return nil
}

func texts[S fmt.Stringer](list []S) (all []string) {
	for _, x := range list {
		all = append(all, x.String())
	}
	return all
}

// FromOptions reads the policy of a request's options. Without any, all but the machine's own and link-local addresses are
// allowed. errdef.ErrInvalid.
func FromOptions(options map[string]string) (*Policy, error) {
	split := func(s string) []string { return strings.FieldsFunc(s, func(r rune) bool { return r == ',' }) }
	return New(split(options[OptionAllow]), split(options[OptionDeny]))
}
