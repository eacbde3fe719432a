package e2e

import (
	"bufio"
	"context"
	"strings"
	"testing"
	"time"
)

// clockLimit is by how much a clock of the VCH may be off.
const clockLimit = 100 * time.Millisecond

// between fails when a clock showed a time that was not between two looks at ours.
func between(t *testing.T, whose string, before, at, after time.Time) {
	t.Helper()
	if at.Before(before.Add(-clockLimit)) || at.After(after.Add(clockLimit)) {
		t.Errorf("the clock of %s shows %v between %v and %v", whose, at, before, after)
	}
}

func TestClocksAreTheHosts(t *testing.T) {
	id := strings.TrimSpace(docker(t, "create", "-i", "busybox", "cat"))
	t.Cleanup(func() { dockerRun(context.Background(), nil, "rm", "-f", id) })
	cmd := theLab.DockerCmd(t.Context(), "start", "-ai", id)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	type look struct{ before, after time.Time }
	var looks []look
	for range 3 {
		l := look{before: time.Now()}
		if _, err := in.Write([]byte("now\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		l.after = time.Now()
		looks = append(looks, l)
		time.Sleep(time.Second)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	stamped := strings.Split(strings.TrimSpace(docker(t, "logs", "-t", id)), "\n")
	if len(stamped) != len(looks) {
		t.Fatalf("%q", stamped)
	}
	for i, l := range looks {
		at, err := time.Parse(time.RFC3339Nano, strings.Fields(stamped[i])[0])
		if err != nil {
			t.Fatal(err)
		}
		between(t, "a container", l.before, at, l.after)
	}
	before := time.Now()
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(docker(t, "info", "--format", "{{.SystemTime}}")))
	if err != nil {
		t.Fatal(err)
	}
	between(t, "the endpoint", before, at, time.Now())
}
