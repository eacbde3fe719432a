package harness

import (
	"os"
	"testing"
)

// SoakEnv is set by make soak.
const SoakEnv = "VIC_SOAK"

// Soak skips a test that takes too long for each run of all tests, unless it is make soak that runs it. Such
// tests have names that begin with TestSoak.
func Soak(t *testing.T, what string) {
	t.Helper()
	if os.Getenv(SoakEnv) == "" {
		t.Skipf("a soak: %s; make soak runs it", what)
	}
}
