// Package arch keeps the rules of the house that no compiler checks: who may import whom, comments
// on packages, short mains, the flags that everything is built with.
package arch

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
)

// maxMainLines is the most that bin/<program>/main.go may have: wiring, no logic.
const maxMainLines = 40

type pkg struct {
	ImportPath, Dir, Name, Doc         string
	GoFiles, TestGoFiles, XTestGoFiles []string
	Imports, Deps                      []string
}

// name is the import path without the module.
func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module) }

// list asks the go command once for all packages of the module, and of plugins that are modules of their own.
var list = sync.OnceValues(func() ([]pkg, error) {
	var all []pkg
	for _, dir := range []string{".", "plugins/scan-osv"} {
		cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Name,Doc,GoFiles,TestGoFiles,XTestGoFiles,Imports,Deps", "./...")
		cmd.Dir = filepath.Join("..", "..", dir)
		out, err := cmd.Output()
		if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
			err = fmt.Errorf("%w: %s(if it wants updates to go.mod: go -C %s mod tidy)", err, failed.Stderr, dir)
		}
		if err != nil {
			return nil, err
		}
		for dec := json.NewDecoder(bytes.NewReader(out)); ; {
			var p pkg
			if err := dec.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, err
			}
			all = append(all, p)
		}
	}
	return all, nil
})

// The engine's pins are the root module's alone: what a plugin that is a module of its own needs stays there.
func TestRootModuleDoesNotKnowScalibr(t *testing.T) {
	text, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("osv-scalibr")) {
		t.Error("go.mod names osv-scalibr, which moves pins of the engine's dependencies: it is for plugins/scan-osv/go.mod")
	}
}

func packages(t *testing.T) []pkg {
	t.Helper()
	all, err := list()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if len(all) == 0 {
		t.Fatal("go list found no package")
	}
	return all
}

// tracked lists the files that git knows, below the top of the module.
func tracked(t *testing.T, patterns ...string) []string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"ls-files", "-z", "--"}, patterns...)...)
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("no git checkout: %v", err)
	}
	var files []string
	for name := range strings.SplitSeq(string(out), "\x00") {
		if name != "" {
			files = append(files, filepath.Join("..", "..", name))
		}
	}
	return files
}

func TestEveryPackageHasAComment(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && !testsHaveDoc(t, p) {
			t.Errorf("%s has no package comment", p.name())
		}
	}
}

// testsHaveDoc looks for the comment of a package that consists of tests alone.
func testsHaveDoc(t *testing.T, p pkg) bool {
	t.Helper()
	if len(p.GoFiles) > 0 {
		return false
	}
	for _, name := range append(p.TestGoFiles, p.XTestGoFiles...) {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		if file.Doc != nil {
			return true
		}
	}
	return false
}

func TestMainsAreShort(t *testing.T) {
	mains, err := filepath.Glob("../../bin/*/main.go")
	if err != nil || len(mains) == 0 {
		t.Fatalf("no program in bin/: %v", err)
	}
	for _, name := range mains {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(data, []byte("\n")); lines > maxMainLines {
			t.Errorf("%s has %d lines, more than %d", name, lines, maxMainLines)
		}
	}
}

// Without this flag Docker's packages are compiled as Go 1.16 and their loops mean something else.
// This binary is built as all others are: by the Makefile's GOFLAGS.
func TestBuiltWithDockersLanguageVersion(t *testing.T) {
	const want = "github.com/docker/docker/...=-lang=go1.24"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("no build information")
	}
	for _, s := range info.Settings {
		if s.Key == "-gcflags" && strings.Contains(s.Value, want) {
			return
		}
	}
	t.Errorf("built without -gcflags=%s: use make, or export GOFLAGS='-gcflags=%s'", want, want)
}

func TestNoPathsOfOneMachine(t *testing.T) {
	// In pieces, so that this file does not match itself.
	machine := regexp.MustCompile(`/wor` + `k/(main|shared|\.)|/tmp/` + `brief|/ho` + `me/[a-z]+/|/Us` + `ers/[A-Z]|/ro` + `ot/go/`)
	for _, name := range tracked(t) {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // removed, not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for n := 1; lines.Scan(); n++ {
			if found := machine.FindString(lines.Text()); found != "" {
				t.Errorf("%s:%d names a path of one machine: %s", name, n, found)
			}
		}
		if err := errors.Join(lines.Err(), f.Close()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
