package arch

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the documents name must be there. A path is a word in backticks or in a fenced block that begins with a folder
// of this repository, seen from the top or from the document's own folder; "<kind>" in it stands for any name. The
// targets of links to files count too.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	top := filepath.Join("..", "..")
	ours := folders(t)
	documents := tracked(t, "*.md")
	if len(documents) < 5 {
		t.Fatalf("only %d documents", len(documents))
	}
	for _, doc := range documents {
		text, err := os.ReadFile(doc)
		if errors.Is(err, os.ErrNotExist) {
			continue // removed, not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		name, dir := strings.TrimPrefix(doc, top+"/"), filepath.Dir(doc)
		for _, path := range namedPaths(string(text)) {
			first, _, _ := strings.Cut(path, "/")
			known := false
			for _, from := range []string{top, dir} {
				if ours[filepath.Join(from, first)] {
					matches, err := filepath.Glob(filepath.Join(from, path))
					known = known || err == nil && len(matches) > 0
				}
			}
			if (ours[filepath.Join(top, first)] || ours[filepath.Join(dir, first)]) && !known {
				t.Errorf("%s names %s, which is not there", name, path)
			}
		}
		for _, target := range linked(string(text)) {
			if _, err := os.Stat(filepath.Join(dir, target)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, target)
			}
		}
	}
}

// folders are those that hold a file that git knows, or will know when it is committed.
func folders(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, file := range tracked(t) {
		for dir := filepath.Dir(file); dir != filepath.Join("..", "..") && !all[dir]; dir = filepath.Dir(dir) {
			all[dir] = true
		}
	}
	return all
}

func TestNamedPaths(t *testing.T) {
	text := "See `core/engine`, `sdk/<kind>/kind.go` and `go test ./core/image -run X`; not core/prose.\n```\ncore/link -> tether/rpci, and so on\n```\n" +
		"[a page](docs/a.md#part) and [the web](https://example.com/a)"
	want := []string{"core/engine", "sdk/*/kind.go", "core/image", "core/link", "tether/rpci"}
	if got := namedPaths(text); !slices.Equal(got, want) {
		t.Errorf("paths %q, want %q", got, want)
	}
	if got := linked(text); !slices.Equal(got, []string{"docs/a.md"}) {
		t.Errorf("links %q", got)
	}
}

var (
	quoted      = regexp.MustCompile("(?s)```.*?```|`[^`\n]+`")
	pathWord    = regexp.MustCompile(`^(?:\./)?([\w.<>*-]+(?:/[\w.<>*-]+)+)/?$`)
	placeholder = regexp.MustCompile(`<[^<>]*>`)
	link        = regexp.MustCompile(`\]\(([^)#\s]+)[^)\s]*\)`)
)

// namedPaths lists the words in code that look like paths, placeholders as "*". Some are no paths of this repository.
func namedPaths(text string) []string {
	var all []string
	for _, code := range quoted.FindAllString(text, -1) {
		for word := range strings.FieldsSeq(strings.Trim(code, "`")) {
			word = strings.TrimSuffix(strings.Trim(word, `,;:()'"`), "/...")
			if m := pathWord.FindStringSubmatch(word); m != nil {
				all = append(all, placeholder.ReplaceAllString(m[1], "*"))
			}
		}
	}
	return all
}

// linked lists the files that a document links to.
func linked(text string) []string {
	var all []string
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(m[1], "://") {
			all = append(all, m[1])
		}
	}
	return all
}
