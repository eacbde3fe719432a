package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/serve/strict"
)

func TestTheReadmeShowsThisProgram(t *testing.T) {
	readme := read(t, "../../README.md")
	code := read(t, "main.go") + read(t, "main_test.go")
	blocks := regexp.MustCompile("(?s)```(go|toml)\n(.*?)```").FindAllStringSubmatch(readme, -1)
	if len(blocks) < 5 {
		t.Fatalf("only %d blocks", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(code, b[2]) {
			t.Errorf("this is not in the program:\n%s", b[2])
		}
	}
}

func TestTheExampleIsAConfiguration(t *testing.T) {
	var c Config
	if err := strict.Decode("example", example, &c); err != nil {
		t.Fatal(err)
	}
	c.Leases = t.TempDir() + "/leases"
	if _, err := newDriver(c); err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
