package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHostsLine(t *testing.T) {
	f := filepath.Join(t.TempDir(), "hosts")
	if line := hostsLine(f); !strings.Contains(line, "vcenter.vic-lab.test") {
		t.Errorf("no file: %q", line)
	}
	if err := os.WriteFile(f, []byte("127.0.0.1 localhost"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if line := hostsLine(f); line != "" {
			t.Errorf("%q", line)
		}
	}
	b, _ := os.ReadFile(f)
	if want := "127.0.0.1 localhost\n127.0.0.1 vcenter.vic-lab.test registry.vic-lab.test hub.vic-lab.test # vic-lab\n"; string(b) != want {
		t.Errorf("%q", b)
	}
	if err := dropHosts(f); err != nil {
		t.Fatal(err)
	}
	if b, _ = os.ReadFile(f); string(b) != "127.0.0.1 localhost\n" {
		t.Errorf("%q", b)
	}
}
