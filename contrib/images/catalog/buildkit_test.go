package catalog

import (
	"os"
	"strings"
	"testing"
)

func TestBuildKitIsTheOneThatIsPinned(t *testing.T) {
	mod, err := os.ReadFile("../../tools/buildx/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "github.com/moby/buildkit " + BuildKitVersion; !strings.Contains(string(mod), want+" ") && !strings.Contains(string(mod), want+"\n") {
		t.Errorf("contrib/tools/buildx/go.mod does not pin %q", want)
	}
}
