package adopt

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/openvic/vic/core/hub/robots"
	"github.com/openvic/vic/core/hub/role"
)

// FuzzAnswers reads whatever stands in a file of an export: as a list of each kind that is read. What a robot becomes has
// no permission that the hub does not know.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{``, `[]`, `{}`, `[null]`, `[{"name":"robot$shop+ci","level":"project","permissions":[{"kind":"project","namespace":"shop",
		"access":[{"resource":"repository","action":"pull","effect":"allow"},{"resource":"x","action":"y"}]}]}]`,
		`[{"digest":"sha256:00","tags":[{"name":"v1"}],"labels":[{"name":"a","scope":"g"}]}]`,
		`[{"tag_selectors":[{"kind":"doublestar","decoration":"matches","pattern":"**"}],"scope_selectors":{"repository":[]}}]`} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		e := &Export{dir}
		for _, name := range []string{"projects.json", "robots.json", filepath.Join("projects", "p", "repositories", "a%2Fb", "artifacts.json")} {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = read[project](e, "projects")
		_, _ = read[quota](e, "projects")
		_, _ = read[member](e, "projects")
		_, _ = read[label](e, "projects")
		_, _ = read[rule](e, "projects")
		_, _ = e.Tags("p/a/b")
		list, err := read[robot](e, "robots")
		if err != nil {
			return
		}
		i := &importer{e: e, r: &Report{}}
		for _, x := range list {
			for _, p := range i.spec(x, 1, "p").Permissions {
				for _, a := range p.Access {
					if p.Namespace == robots.WholeHub || a.Row().Scope != role.Project {
						t.Errorf("%+v of %+v", p, x)
					}
				}
			}
		}
	})
}
