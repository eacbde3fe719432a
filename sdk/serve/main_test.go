package serve

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAProgramRunByHandChecksAConfiguration(t *testing.T) {
	type config struct {
		Size int `toml:"size"`
	}
	p := Plugin[config]{Name: "acme", Version: "1", Example: "size = 3\n", Defaults: config{Size: 1}}
	for text, want := range map[string]string{
		p.Example: "", "": "", "size = 1\nsise = 2\n": `c.toml:2: unknown key "sise" (did you mean "size"?)`, "size = 'x'": `c.toml:1: key "size"`,
	} {
		file := filepath.Join(t.TempDir(), "c.toml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		err := byHand(&out, []string{"check", file}, p)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("%q: %v, want %q; printed %q", text, err, want, out.String())
		}
	}
	if err := byHand(&strings.Builder{}, []string{"check", "/nosuch"}, p); err == nil {
		t.Error("a file that is not there is right")
	}
	var out strings.Builder
	if err := byHand(&out, []string{"example"}, p); err != nil || out.String() != p.Example {
		t.Errorf("example: %q, %v", out.String(), err)
	}
}
