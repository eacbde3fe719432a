package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// plugin is benchmark (e): a call to a plugin in a process of its own, and the bytes through
// Connect, on this host. They are Go benchmarks beside the code; `go test -bench` runs them alone.
func (b *bench) plugin() error {
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", "Plugin|Connect", "-benchtime", "2s", "github.com/openvic/vic/core/plugin/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	found := false
	for _, l := range strings.Split(string(out), "\n") {
		if strings.HasPrefix(l, "Benchmark") {
			row("(e) %s", l)
			found = true
		}
	}
	if !found {
		return fmt.Errorf("no benchmark ran: %s", out)
	}
	return nil
}
