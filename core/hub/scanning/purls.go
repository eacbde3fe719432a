package scanning

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/openvic/vic/sdk/scan"
)

// maxPackages bounds the names of one SBOM that are kept. One with more is matched again whatever changes.
const maxPackages = 100_000

// purls finds the package URLs in a JSON document that comes in pieces, SPDX or CycloneDX: each text in it that begins with
// "pkg:". It keeps their names without version.
type purls struct {
	names map[string]bool
	text  []byte // that has begun, with its quote
	seen  int    // of the beginning
	over  bool   // there were too many
}

func newPURLs() *purls { return &purls{names: map[string]bool{}} }

const beginning = `"pkg:`

// Write implements io.Writer; it never fails.
func (p *purls) Write(data []byte) (int, error) {
	n := len(data)
	for len(data) > 0 {
		if p.seen < len(beginning) {
			data = p.begin(data)
			continue
		}
		data = p.goOn(data)
	}
	return n, nil
}

// begin looks for the beginning, which may have begun in the piece before.
func (p *purls) begin(data []byte) []byte {
	if p.seen == 0 {
		i := bytes.IndexByte(data, beginning[0])
		if i < 0 {
			return nil
		}
		p.seen = 1
		return data[i+1:]
	}
	switch data[0] {
	case beginning[p.seen]:
		if p.seen++; p.seen == len(beginning) {
			p.text = append(p.text[:0], beginning...)
		}
	case beginning[0]:
		p.seen = 1
	default:
		p.seen = 0
	}
	return data[1:]
}

// goOn reads a text to its end.
func (p *purls) goOn(data []byte) []byte {
	for i, c := range data {
		if p.text = append(p.text, c); len(p.text) > scan.MaxPURL*2 {
			p.seen = 0
			return data[i+1:]
		}
		if c == '"' && !escaped(p.text) {
			p.seen = 0
			var purl string
			if json.Unmarshal(p.text, &purl) == nil {
				p.add(purl)
			}
			return data[i+1:]
		}
	}
	return nil
}

// escaped says whether the last byte has an odd number of backslashes before it.
func escaped(text []byte) bool {
	n := 0
	for i := len(text) - 2; i >= 0 && text[i] == '\\'; i-- {
		n++
	}
	return n%2 == 1
}

func (p *purls) add(purl string) {
	for _, name := range packageNames(purl) {
		if len(p.names) >= maxPackages {
			p.over = true
			return
		}
		p.names[name] = true
	}
}

// sorted are the names; none if there were too many.
func (p *purls) sorted() []string {
	if p == nil || p.over {
		return nil
	}
	list := make([]string, 0, len(p.names))
	for name := range p.names {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// packageNames are the purls without version that data may name for a package: its own, and that of the source that it was
// built of, which distributions write in a qualifier.
func packageNames(purl string) []string {
	base, qualifiers, _ := strings.Cut(purl, "?")
	base, _, _ = strings.Cut(base, "#")
	qualifiers, _, _ = strings.Cut(qualifiers, "#")
	slash := strings.LastIndexByte(base, '/')
	if slash < 0 || len(base) > scan.MaxPURL || strings.ContainsRune(purl, 0) || !strings.HasPrefix(base, "pkg:") {
		return nil
	}
	if at := strings.LastIndexByte(base, '@'); at > slash {
		base = base[:at]
	}
	names := []string{base}
	values, err := url.ParseQuery(qualifiers)
	if err != nil {
		return names
	}
	for _, key := range []string{"source", "upstream", "origin", "sourcerpm"} {
		source, _, _ := strings.Cut(values.Get(key), "@")
		source, _, _ = strings.Cut(source, " ")
		if name := base[:slash+1] + source; source != "" && !strings.ContainsAny(source, "/\x00") && len(name) <= scan.MaxPURL && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
