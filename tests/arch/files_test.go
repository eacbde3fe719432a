package arch

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// largestFile is the size of the largest file that may be committed.
const largestFile = 1 << 20

// mayBeCommitted lists, from the top of the module, the programs, archives and large files that belong into the
// tree. What a build makes never does.
func mayBeCommitted() []string { return nil }

// built tells what made a file whose first bytes are these, if it is no text that a person wrote.
func built(head []byte) string {
	for _, m := range []struct{ magic, what string }{
		{"\x7fELF", "a program or library for Linux (ELF)"},
		{"MZ", "a program for Windows (PE)"},
		{"\xcf\xfa\xed\xfe", "a program for macOS (Mach-O)"},
		{"\xce\xfa\xed\xfe", "a program for macOS (Mach-O)"},
		{"\xca\xfe\xba\xbe", "a program for macOS (Mach-O), or a Java class"},
		{"PK\x03\x04", "a zip archive"},
		{"\x1f\x8b", "a gzip archive"},
		{"!<arch>\n", "a library of objects"},
	} {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return m.what
		}
	}
	return ""
}

func TestNothingBuiltIsCommitted(t *testing.T) {
	for _, name := range tracked(t) {
		rel, err := filepath.Rel(filepath.Join("..", ".."), name)
		if err != nil {
			t.Fatal(err)
		}
		st, err := os.Lstat(name)
		if errors.Is(err, os.ErrNotExist) || err == nil && !st.Mode().IsRegular() || slices.Contains(mayBeCommitted(), rel) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if st.Size() > largestFile {
			t.Errorf("%s has %d bytes, more than %d: git rm it, or name it in mayBeCommitted", rel, st.Size(), largestFile)
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 8)
		n, err := io.ReadFull(f, head)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
		f.Close()
		if what := built(head[:n]); what != "" {
			t.Errorf("%s is %s: git rm it, or name it in mayBeCommitted", rel, what)
		}
	}
}
