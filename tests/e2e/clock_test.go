package e2e

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// stepped is the error that PID 1 of a VM steps over at its next look.
	stepped = time.Second
	// looksFor bounds the wait for a clock that has been looked at often enough to be known well.
	looksFor = 2 * time.Minute
)

// between fails when a clock showed a time that was not between two looks at ours, but for its error.
func between(t *testing.T, whose string, before, at, after time.Time, limit time.Duration) {
	t.Helper()
	if at.Before(before.Add(-limit)) || at.After(after.Add(limit)) {
		t.Errorf("the clock of %s shows %v between %v and %v, and is said to be off by %v at most", whose, at, before, after, limit)
	}
}

// readClock reads what adjtimex(8) of busybox writes: a clock and by how much it may be off, both of one
// moment.
func readClock(r *bufio.Reader) (at time.Time, bound time.Duration, err error) {
	values := map[string]int64{}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return at, 0, err
		}
		name, value, _ := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		if name == "return value" {
			break
		}
		number, _, _ := strings.Cut(strings.TrimSpace(value), " ")
		values[name], _ = strconv.ParseInt(number, 10, 64)
	}
	if values["maxerror"] == 0 || values["time.tv_sec"] == 0 {
		return at, 0, fmt.Errorf("no clock in %v", values)
	}
	return time.Unix(values["time.tv_sec"], values["time.tv_usec"]*1000), time.Duration(values["maxerror"]) * time.Microsecond, nil
}

// What docs/docker.md promises: a container's clock is off by no more than its kernel says, and that
// soon is less than a second.
func TestClocksAreTheHosts(t *testing.T) {
	beside(t)
	id := strings.TrimSpace(docker(t, "create", "-i", "busybox", "sh", "-c", "while read x; do busybox adjtimex; done"))
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
	bound := time.Duration(0)
	for looks, end := 0, time.Now().Add(looksFor); looks < 5 || bound >= stepped; looks++ {
		if time.Now().After(end) {
			t.Fatalf("after %v the container's clock is still said to be off by up to %v", looksFor, bound)
		}
		before := time.Now()
		if _, err := in.Write([]byte("now\n")); err != nil {
			t.Fatal(err)
		}
		var at time.Time
		if at, bound, err = readClock(lines); err != nil {
			t.Fatal(err)
		}
		between(t, "a container", before, at, time.Now(), bound)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(docker(t, "info", "--format", "{{.SystemTime}}")))
	if err != nil {
		t.Fatal(err)
	}
	between(t, "the endpoint", before, at, time.Now(), stepped)
}
