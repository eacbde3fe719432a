package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// dockers are words of dockerd's and of the docker CLI's that no text below core/dockerapi may hold.
var dockers = regexp.MustCompile(`\bdocker [a-z]|Error response|No such (container|network|image|volume)|` +
	`[Aa]ddress already in use|already allocated|Pool overlaps|fully subnetted|active endpoints|invalid endpoint settings|` +
	`user.defined networks|local volume name|access denied|use (-[a-z]|--[a-z]+)\b`)

// What the administrator reads names Docker's commands: of the installer, and of the list of privileges.
var mayNameDocker = []string{"drivers/vsphere/machine", "drivers/vsphere/privileges"}

// TestDockersWordsAreInDockerapi reads the text literals of drivers, SDK and tether: they say what is
// wrong in plain English, and by a reason (errdef.Error) where a user of Docker is to be told.
func TestDockersWordsAreInDockerapi(t *testing.T) {
	n := 0
	for _, path := range tracked(t, "drivers/*.go", "plugins/*.go", "sdk/*.go", "tether/*.go") {
		name := strings.TrimPrefix(filepath.ToSlash(path), "../../")
		if strings.HasSuffix(name, "_test.go") || matches(name, mayNameDocker) {
			continue
		}
		n++
		for _, text := range literals(t, path) {
			if found := dockers.FindString(text); found != "" {
				t.Errorf("%s says %q in %q: dockerd's words are for core/dockerapi", name, found, text)
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d files were read", n)
	}
}

// literals are the texts in a file, but for import paths and tags.
func literals(t *testing.T, path string) (all []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.BasicLit:
			if s, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
				all = append(all, s)
			}
		}
		return true
	})
	return all
}

func TestDockersWordsAreKnown(t *testing.T) {
	for text, want := range map[string]bool{
		"Bind for %s:%d failed: port is already allocated":       true,
		"network %s has active endpoints":                        true,
		"is reached at its own address: use -p %d":               true,
		"names none: docker volume create makes one":             true,
		"host port %s is published by another container":         false,
		"/sbin/docker-init":                                      false,
		"exec: %q: executable file not found in $PATH":           false,
		"address %s is not one for containers of %s":             false,
		"volume name %q: two or more characters of [a-zA-Z0-9_]": false,
	} {
		if got := dockers.MatchString(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
