package e2e

import (
	"bufio"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/tests/harness"
)

func TestPowerOffByTheAdministrator(t *testing.T) {
	beside(t)
	since := time.Now().Add(-5 * time.Second).Format(time.RFC3339)
	id := container(t, "--name", "outside", "busybox", "sleep", "36000")
	events := theLab.DockerCmd(t.Context(), "events", "--since", since, "--filter", "container=outside", "--format", "{{.Action}}")
	out, err := events.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := events.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { events.Process.Kill(); events.Wait() }()
	died := make(chan struct{})
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			if strings.HasPrefix(s.Text(), "die") {
				close(died)
				return
			}
		}
	}()
	vm := vmOf(t, id)
	if _, err := theLab.Govc("vm.power", "-off", "-force", vm); err != nil {
		t.Fatal(err)
	}
	took := await(t, func() string {
		if s := docker(t, "ps", "-a", "--filter", "name=outside", "--format", "{{.Status}}"); !strings.HasPrefix(s, "Exited") {
			return s
		}
		return ""
	})
	progress("docker ps -a shows the outside power-off after %d ms", took.Milliseconds())
	select {
	case <-died:
	case <-time.After(harness.Patience):
		t.Fatal("no die event")
	}
	docker(t, "start", "outside")
	if got := inspect(t, id, "{{.State.Status}}"); got != "running" {
		t.Fatalf("after start: %s", got)
	}
	if _, err := theLab.Govc("vm.destroy", vm); err != nil {
		t.Fatal(err)
	}
	await(t, func() string {
		if s := docker(t, "ps", "-aq", "--no-trunc", "--filter", "name=outside"); s != "" {
			return "still listed: " + s
		}
		return ""
	})
}
