package arch

import (
	"bufio"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// maxColumns is the longest line of the product's code; a tab counts as one. Tables of tests may need more.
const maxColumns = 160

func TestLinesAreNoLongerThanAScreen(t *testing.T) {
	n := 0
	for _, name := range tracked(t, "*.go") {
		if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, ".pb.go") {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			continue // removed, not yet committed
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for at := 1; lines.Scan(); at++ {
			n++
			if c := utf8.RuneCountInString(lines.Text()); c > maxColumns {
				t.Errorf("%s:%d has %d columns, more than %d", name, at, c, maxColumns)
			}
		}
		if err := lines.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_ = f.Close()
	}
	if n < 10_000 {
		t.Errorf("only %d lines were looked at", n)
	}
}
