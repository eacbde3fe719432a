package appliance

import (
	"fmt"
	"testing"
)

func TestGoProgramsAreSuitedToAnEmulatedProcessor(t *testing.T) {
	for flags, want := range map[string]string{
		"fpu ssse3 avx2 bmi2":     "[GODEBUG=cpu.ssse3=off]",
		"fpu ssse3 avx2 bmi2 aes": "[]", // any real one of today
		"fpu ssse3":               "[]",
	} {
		info := "processor\t: 0\nvmx flags\t: avx2\nflags\t\t: " + flags + "\n\nprocessor\t: 1\n"
		if got := fmt.Sprint(goDebug(info)); got != want {
			t.Errorf("%s: %s, want %s", flags, got, want)
		}
	}
	if got := goDebug(""); got != nil {
		t.Errorf("unknown processor: %v", got)
	}
}
