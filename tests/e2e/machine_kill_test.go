package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/tests/harness"
)

// createArgs are those of a small VCH beside the one that all stories use.
func createArgs(t *testing.T, name, bridge string, more ...string) []string {
	t.Helper()
	args := append([]string{"create"}, theLab.Access()...)
	args = append(args, "--name", name, "--compute-resource", "cluster1", "--image-store", "datastore1/"+name+"-images/store",
		"--volume-store", "datastore1/"+name+"-volumes/deep:default", "--volume-store", "datastore2/"+name+"-volumes:second",
		"--bridge-network", bridge, "--public-network", "public", "--tls-cname", "127.0.0.1", "--cert-path", t.TempDir(),
		"--endpoint-memory", "768", "--ops-user", harness.OpsUser, "--ops-password", harness.OpsPassword, "--ops-grant-perms",
		"--appliance-iso", filepath.Join(theLab.Build, "iso", "appliance.iso"),
		"--bootstrap-iso", filepath.Join(theLab.Build, "iso", "bootstrap.iso"), "--no-reach-check")
	return append(args, more...)
}

// TestCreateKilledAnywhere ends vic-machine create at random moments as a power failure would. A
// delete then leaves nothing; and so does one after a create that goes on where the killed ones were.
func TestCreateKilledAnywhere(t *testing.T) {
	apart(t)
	createKilled(t, 3)
}

func TestSoakCreateKilledAnywhere(t *testing.T) {
	harness.Soak(t, "vic-machine create is killed 40 times")
	apart(t)
	createKilled(t, 40)
}

func createKilled(t *testing.T, times int) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	progress("seed %d", seed)
	args := createArgs(t, "killed", bridge(t, "killed"))
	remove := append(append([]string{"delete"}, theLab.Access()...), "--name", "killed")
	for i := range times {
		at := moment{steps: 2 + random.IntN(8), more: time.Duration(random.Int64N(int64(100 * time.Millisecond)))}
		said := killedAt(t, at, args)
		if i%3 == 1 && i < times-1 {
			progress("killed after %s (%s); the next create finds it", at, said)
			continue
		}
		out, err := harness.Command(theLab.Bin("vic-machine"), remove...)
		if err != nil {
			t.Fatalf("killed after %s (%s): %v", at, said, err)
		}
		if left := named(t, "killed"); left != "" {
			t.Fatalf("killed after %s (%s), left behind:\n%s\ndelete says: %s", at, said, left, out)
		}
		progress("killed after %s (%s); delete leaves nothing", at, said)
	}
	at := moment{steps: 2 + random.IntN(8), more: time.Second}
	said := killedAt(t, at, args)
	out, err := harness.Command(theLab.Bin("vic-machine"), args...)
	if err != nil {
		t.Fatal(err)
	}
	progress("killed after %s (%s); create again succeeds:\n%s", at, said, out)
	if out, err := harness.Command(theLab.Bin("vic-machine"), remove...); err != nil {
		t.Fatal(err, out)
	}
	if left := named(t, "killed"); left != "" {
		t.Fatalf("left behind:\n%s", left)
	}
}

// moment is when to kill: so long after vic-machine has told so many steps.
type moment struct {
	steps int
	more  time.Duration
}

func (m moment) String() string {
	return fmt.Sprintf("%d steps and %s", m.steps, m.more.Round(time.Millisecond))
}

// killedAt runs vic-machine and kills it; it returns the last thing that vic-machine said.
func killedAt(t *testing.T, m moment, args []string) string {
	t.Helper()
	out := &stepWriter{want: m.steps, reached: make(chan struct{})}
	cmd := exec.Command(theLab.Bin("vic-machine"), args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-out.reached:
		time.AfterFunc(m.more, func() { _ = cmd.Process.Kill() })
	case <-time.After(harness.Patience):
		_ = cmd.Process.Kill()
	}
	if err := cmd.Wait(); cmd.ProcessState.Exited() || out.told < m.steps {
		t.Fatalf("create was not killed after %s: %v\n%s", m, err, out.text.String())
	}
	return strings.TrimSpace(lastLines(out.text.String(), 1))
}

// stepWriter counts the lines that tell a step: they begin with the time since the start.
type stepWriter struct {
	want, told int
	text, line bytes.Buffer
	reached    chan struct{}
}

var stepLine = regexp.MustCompile(`^ *[0-9]+\.[0-9]s  `)

func (w *stepWriter) Write(p []byte) (int, error) {
	w.text.Write(p)
	for _, b := range p {
		if b != '\n' {
			w.line.WriteByte(b)
			continue
		}
		if stepLine.Match(w.line.Bytes()) {
			if w.told++; w.told == w.want {
				close(w.reached)
			}
		}
		w.line.Reset()
	}
	return len(p), nil
}

// lastLines are the last n lines of a text.
func lastLines(text string, n int) string {
	lines := bytes.Split(bytes.TrimSpace([]byte(text)), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}
