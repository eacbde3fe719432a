package arch

import (
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// kernelFile finds a path of /sys or /proc in an expression. One that was put into a variable before escapes it.
var kernelFile = regexp.MustCompile(`/proc/|/sys/|\b[sS]ys\b|cgroup|scsi_host|clocksource|timerslack`)

// creators are the calls of package os that create the file they open: some by name, one by its flags.
var creators = regexp.MustCompile(`^os\.(WriteFile|Create)\(|^os\.OpenFile\(.*O_CREATE`)

// TestNothingIsCreatedInSysAndProc keeps writes to the kernel's files in sdk/guest/sysfs: to O_CREATE the kernel
// answers EACCES while a device's file is still to come, and only that package waits for it.
func TestNothingIsCreatedInSysAndProc(t *testing.T) {
	n := 0
	for _, path := range tracked(t, "drivers/*.go", "tether/*.go", "sdk/*.go") {
		name := strings.TrimPrefix(filepath.ToSlash(path), "../../")
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		n++
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range creating(fset, f) {
			t.Errorf("%s: %s: write to the kernel's files with sdk/guest/sysfs", name, call)
		}
	}
	if n < 100 {
		t.Errorf("only %d files were read", n)
	}
}

// creating returns the calls in n that would create a file of the kernel's.
func creating(fset *token.FileSet, n ast.Node) (found []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		var text, path strings.Builder
		if printer.Fprint(&text, fset, call) != nil || printer.Fprint(&path, fset, call.Args[0]) != nil {
			return true
		}
		if creators.MatchString(text.String()) && kernelFile.MatchString(path.String()) {
			found = append(found, text.String())
		}
		return true
	})
	return found
}

// The rule is only worth something if it can fail.
func TestCreatingAKernelFileIsSeen(t *testing.T) {
	for text, want := range map[string]int{
		`os.WriteFile(filepath.Join(f.Sys, "class/scsi_host", host, "scan"), b, 0)`: 1,
		`os.WriteFile("/proc/sys/net/ipv4/ip_forward", b, 0o644)`:                   1,
		`errors.Join(os.WriteFile("/sys/x", b, 0), os.Create(h.sys+"/y"))`:          2,
		`os.OpenFile("/proc/self/oom_score_adj", os.O_WRONLY|os.O_CREATE, 0)`:       1,
		`os.OpenFile("/proc/self/oom_score_adj", os.O_WRONLY, 0)`:                   0,
		`os.WriteFile("/etc/hosts", b, 0o644)`:                                      0,
		`sysfs.Write("/proc/sys/net/ipv4/ip_forward", "1")`:                         0,
	} {
		e, err := parser.ParseExpr(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := creating(token.NewFileSet(), e); len(got) != want {
			t.Errorf("%s: %q", text, got)
		}
	}
}
