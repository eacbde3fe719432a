package command

import (
	"os"
	"strings"

	"github.com/openvic/vic/contrib/lab/public"
)

const (
	hostsFile = "/etc/hosts"
	hostsMark = "# vic-lab"
)

// hostsLine puts the lab's names into the hosts file when they are not there. It returns the line
// when it could not be added.
func hostsLine(file string) string {
	names := make([]string, 0, len(public.Names()))
	for _, n := range public.Names() {
		names = append(names, n+"."+public.Zone)
	}
	b, err := os.ReadFile(file)
	if err == nil && containsNames(string(b), names) {
		return ""
	}
	line := "127.0.0.1 " + strings.Join(names, " ") + " " + hostsMark
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return line
	}
	defer func() { _ = f.Close() }()
	if len(b) > 0 && b[len(b)-1] != '\n' {
		line = "\n" + line
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		return line
	}
	return ""
}

func containsNames(hosts string, names []string) bool {
	found := map[string]bool{}
	for _, l := range strings.Split(hosts, "\n") {
		l, _, _ = strings.Cut(l, "#")
		if f := strings.Fields(l); len(f) > 1 && f[0] == "127.0.0.1" {
			for _, n := range f[1:] {
				found[n] = true
			}
		}
	}
	for _, n := range names {
		if !found[n] {
			return false
		}
	}
	return true
}

// dropHosts takes the lab's line out again.
func dropHosts(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var kept []string
	for _, l := range strings.SplitAfter(string(b), "\n") {
		if !strings.HasSuffix(strings.TrimSpace(l), hostsMark) {
			kept = append(kept, l)
		}
	}
	if text := strings.Join(kept, ""); text != string(b) {
		return os.WriteFile(file, []byte(text), 0o644)
	}
	return nil
}
