package option

import "testing"

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{"a/b:c": "a/b:c", "VM Network": "'VM Network'", "": "''", "it's": `'it'\''s'`} {
		if got := shellQuote(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
