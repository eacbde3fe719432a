package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A story that does not say what it needs would run before all others and beside none.
func TestEveryStoryEntersTheStage(t *testing.T) {
	ways := []string{"beside", "long", "later", "alone", "apart", "undisturbed"}
	files, err := filepath.Glob(filepath.Join("..", "e2e", "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(f.Name.Name, "Test") || f.Name.Name == "TestMain" {
				continue
			}
			enters := slices.ContainsFunc(f.Body.List, func(s ast.Stmt) bool {
				e, ok := s.(*ast.ExprStmt)
				if !ok {
					return false
				}
				call, ok := e.X.(*ast.CallExpr)
				if !ok {
					return false
				}
				id, ok := call.Fun.(*ast.Ident)
				return ok && slices.Contains(ways, id.Name)
			})
			if !enters {
				t.Errorf("%s in %s does not begin with one of %v", f.Name.Name, filepath.Base(name), ways)
			}
		}
	}
}
