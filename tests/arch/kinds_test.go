package arch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openvic/vic/core/kinds"
	"github.com/openvic/vic/sdk/kind"
)

// kindFolders are the folders of the kinds in the SDK, and those of their suites.
func kindFolders(sdk string) []string {
	var all []string
	for _, k := range kinds.All() {
		all = append(all, sdk+k.Name)
		if k.Suite != "" {
			all = append(all, sdk+k.Suite)
		}
	}
	return all
}

// plugins are programs of one kind, each with the most packages it may link: the standard library,
// gRPC, go-plugin and what its kind needs. A bound is some above what there is.
func plugins() []struct {
	program string
	kinds   []string
	most    int
} {
	return []struct {
		program string
		kinds   []string
		most    int
	}{
		{"sdk/examples/static", []string{"network"}, 375},
		{"core/plugin/internal/authplugin", []string{"auth"}, 373},
		{"core/plugin/internal/scanplugin", []string{"scan"}, 374},
	}
}

// What a plugin does not serve it does not link: an auth plugin has no use for disks.
func TestAPluginLinksTheKindsThatItServesAlone(t *testing.T) {
	all := map[string]pkg{}
	for _, p := range packages(t) {
		all[p.name()] = p
	}
	for _, c := range plugins() {
		t.Run(c.program, func(t *testing.T) {
			p, ok := all[c.program]
			if !ok {
				t.Fatal("there is no such program")
			}
			foreign := []string{"sdk/handover", "sdk/guest"}
			for _, k := range kinds.All() {
				if !slices.Contains(c.kinds, k.Name) {
					foreign = append(foreign, "sdk/"+k.Name)
				}
			}
			for _, dep := range p.Deps {
				if name, ours := strings.CutPrefix(dep, module); ours && matches(name, foreign) {
					t.Errorf("links %s", name)
				}
			}
			if n := len(p.Deps) + 1; n > c.most {
				t.Errorf("links %d packages, more than %d", n, c.most)
			}
		})
	}
}

// The table, the SDK's folders and its handbook name the same kinds.
func TestEveryKindHasItsFolderProtocolAndSuite(t *testing.T) {
	handbook, err := os.ReadFile("../../sdk/README.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, k := range kinds.All() {
		if k.Name == "" || k.Doc == "" || seen[k.Name] {
			t.Errorf("kind %q has no name, no doc, or the name of another", k.Name)
		}
		seen[k.Name] = true
		patterns := []string{k.Name + "/" + k.Name + ".go", "proto/" + k.Name + "/v1/" + k.Name + ".proto"}
		if k.Takes != kind.Beside { // what no role names is no driver to conform
			patterns = append(patterns, k.Suite+"/*.go")
		}
		for _, pattern := range patterns {
			if found, err := filepath.Glob("../../sdk/" + pattern); err != nil || len(found) == 0 {
				t.Errorf("%s: there is no sdk/%s (%v)", k.Name, pattern, err)
			}
		}
		if !strings.Contains(string(handbook), "\n| "+k.Name+" | "+k.Doc) {
			t.Errorf("sdk/README.md has no row \"| %s | %s\"", k.Name, k.Doc)
		}
		for _, c := range k.Capabilities {
			if !strings.Contains(string(handbook), "`"+c.Word) {
				t.Errorf("sdk/README.md does not tell of %s's capability %q", k.Name, c.Word)
			}
			other, ok := kinds.Find(c.NeedsOf)
			if c.Needs == "" {
				continue
			}
			if _, known := other.Known(c.Needs + "x"); !ok || !known {
				t.Errorf("%s's %q needs %q of %q, which has no such word", k.Name, c.Word, c.Needs, c.NeedsOf)
			}
		}
	}
}
