package bundle

import (
	"regexp"
	"sort"
	"strings"

	"github.com/BurntSushi/toml"
)

// removed stands in a bundle for what was secret.
const removed = "[removed]"

// leastSecret is the shortest value that is looked for in other texts: a shorter one would be found
// by chance everywhere. In the file that holds it, it is removed all the same.
const leastSecret = 4

// redactor takes secrets out of texts: the values of secret keys in the configuration files, wherever
// they turn up, and what looks like a secret by itself.
type redactor struct {
	values   *strings.Replacer
	patterns []*regexp.Regexp
}

// secretKey says that a configuration key holds a secret.
func secretKey() *regexp.Regexp {
	return regexp.MustCompile(`(?i)passw(or)?d|passphrase|secret|token|credential|(^|[_.-])(pass|auth|api_?key|private_?key)$`)
}

// newRedactor learns the secrets of configuration files, by their paths, and takes those that are known already.
func newRedactor(files map[string]string, known ...string) *redactor {
	found := map[string]bool{}
	for _, s := range known {
		if len(s) >= leastSecret {
			found[s] = true
		}
	}
	for _, text := range files {
		var m map[string]any
		if _, err := toml.Decode(text, &m); err == nil {
			secrets(m, false, found)
		}
	}
	var values []string
	for v := range found {
		values = append(values, v)
	}
	// The longest first: one may be part of another.
	sort.Slice(values, func(i, j int) bool {
		return len(values[i]) > len(values[j]) || len(values[i]) == len(values[j]) && values[i] < values[j]
	})
	var pairs []string
	for _, v := range values {
		pairs = append(pairs, v, removed)
	}
	return &redactor{values: strings.NewReplacer(pairs...), patterns: patterns()}
}

// secrets gathers the texts under secret keys.
func secrets(v any, secret bool, found map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if k == "roles" { // auth = "local" there names a plugin
				continue
			}
			secrets(x, secret || secretKey().MatchString(k), found)
		}
	case []map[string]any:
		for _, x := range v {
			secrets(x, secret, found)
		}
	case []any:
		for _, x := range v {
			secrets(x, secret, found)
		}
	case string:
		// A path tells where a secret lies; the file itself is never in a bundle.
		if secret && len(v) >= leastSecret && !strings.HasPrefix(v, "/") {
			found[v] = true
		}
	}
}

// patterns find secrets by their form. The first group, if there is one, stays.
func patterns() []*regexp.Regexp {
	return []*regexp.Regexp{
		regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----`),
		regexp.MustCompile(`(?i)([\w.-]*(?:passw(?:or)?d|passphrase|secret|token|credential)[\w.-]*["']?\s*[=:]\s*)(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;}\]]+)`),
		regexp.MustCompile(`(?i)(authorization["']?\s*[=:]\s*"?(?:bearer|basic)\s+)[^\s",]+`),
		regexp.MustCompile(`(://[^/\s:@"]*:)[^/\s@"]+(?:@)`),
	}
}

// clean takes the secrets out of a text.
func (r *redactor) clean(text string) string {
	text = r.values.Replace(text)
	for _, p := range r.patterns {
		text = p.ReplaceAllStringFunc(text, func(found string) string {
			kept := ""
			if m := p.FindStringSubmatch(found); len(m) > 1 {
				kept = m[1]
			}
			if found == kept+strings.TrimSuffix(removed, "]") { // it was cleaned before
				return found
			}
			out := kept + removed
			if strings.HasSuffix(found, "@") {
				out += "@"
			}
			return out
		})
	}
	return text
}

// Cleaner takes out of texts what looks like a secret by itself: values behind words such as password, private keys, passwords in
// URLs, authorization headers. It may be used by several goroutines.
type Cleaner struct{ redactor *redactor }

// NewCleaner makes one.
func NewCleaner() Cleaner { return Cleaner{newRedactor(nil)} }

// Clean returns the text without them.
func (c Cleaner) Clean(text string) string { return c.redactor.clean(text) }
