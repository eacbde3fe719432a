package bundle

import (
	"bytes"
	"regexp"
)

// removed stands where a secret was.
const removed = "(removed)"

// redactor takes secrets out of texts: those that it knows, and what looks like one.
type redactor struct {
	known    [][]byte
	patterns []pattern
}

type pattern struct {
	find *regexp.Regexp
	with string
}

func newRedactor(known ...string) *redactor {
	r := &redactor{patterns: []pattern{
		{regexp.MustCompile(`(?s)-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END ([A-Z ]*PRIVATE KEY)-----`), removed},
		{regexp.MustCompile(`(?i)((?:password|passwd|secret|token)["']?\s*[=:]\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&"']+)`), "${1}" + removed},
		{regexp.MustCompile(`(://[^\s/:@]+:)[^\s/@]+@`), "${1}" + removed + "@"},
		{regexp.MustCompile(`(?i)(authorization:\s*\w+\s+)\S+`), "${1}" + removed},
	}}
	for _, k := range known {
		if k != "" {
			r.known = append(r.known, []byte(k))
		}
	}
	return r
}

func (r *redactor) clean(b []byte) []byte {
	for _, k := range r.known {
		b = bytes.ReplaceAll(b, k, []byte(removed))
	}
	for _, p := range r.patterns {
		b = p.find.ReplaceAll(b, []byte(p.with))
	}
	return b
}
