package e2e

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/tests/harness"
)

// theLab is the one lab of this test run.
var theLab *harness.Lab

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "10000"); err != nil { // the stage says who plays
		panic(err)
	}
	os.Exit(harness.Main(func(l *harness.Lab) int {
		theLab = l
		code := m.Run()
		if err := slowest(filepath.Join(l.Build, "test", "slowest-stories")); err != nil {
			progress("%v", err)
		}
		return code
	}))
}

// slowest writes the stories that took longest into a file, for contrib/dev/test.sh.
func slowest(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return stage.Slowest(f, 10)
}

// The stories run side by side, as far as they may. The stage has one place more than the machine has
// processors, since a story waits now and then; VIC_E2E_PLACES=1 has them run one after the other.
var stage = harness.NewStage(places())

func places() int {
	if n, err := strconv.Atoi(os.Getenv("VIC_E2E_PLACES")); err == nil && n > 0 {
		return n
	}
	return runtime.NumCPU() + 1
}

// What stories use, beside what is named in them.
const (
	wholeLab = "the lab and all that is in it"
	theVCH   = "the VCH that TestMain makes"
)

// Turns of stories on the stage.
const (
	turnAlone = iota // and those apart: neither can fill the places by itself
	turnLong
	turnBeside
	turnLater
	turnUndisturbed
	turnLast
)

// beside begins a story that runs beside others on the VCH of TestMain: it uses names of its own, and looks
// at nothing that others change.
func beside(t *testing.T, uses ...harness.Use) {
	stage.Enter(t, turnBeside, append(uses, harness.Share(wholeLab), harness.Share(theVCH))...)
}

// long begins a story that is as those of beside but takes longer: it comes before them, so that nobody waits
// for it alone at the end.
func long(t *testing.T, uses ...harness.Use) {
	stage.Enter(t, turnLong, append(uses, harness.Share(wholeLab), harness.Share(theVCH))...)
}

// later begins a story that runs beside others, but not before those of beside.
func later(t *testing.T, uses ...harness.Use) {
	stage.Enter(t, turnLater, append(uses, harness.Share(wholeLab), harness.Share(theVCH))...)
}

// alone begins a story that has the VCH of TestMain for itself: its endpoint goes away or is changed, or the
// story looks at all that the VCH has. These go first, since they cannot run beside one another.
func alone(t *testing.T, uses ...harness.Use) {
	stage.Enter(t, turnAlone, append(uses, harness.Share(wholeLab), harness.Own(theVCH))...)
}

// apart begins a story that has VCHs of its own, or none.
func apart(t *testing.T, uses ...harness.Use) {
	stage.Enter(t, turnAlone, append(uses, harness.Share(wholeLab))...)
}

// undisturbed begins a story beside which nothing else runs; it comes after the others.
func undisturbed(t *testing.T, turn int) {
	t.Helper()
	stage.Enter(t, turn, harness.Own(wholeLab))
}

var progress = harness.Progress

func dockerRun(ctx context.Context, stdin []byte, args ...string) harness.Result {
	return theLab.Docker(ctx, stdin, args...)
}

// docker runs the docker CLI and fails the test if it fails.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	r := dockerRun(t.Context(), nil, args...)
	if r.Code != 0 {
		t.Fatalf("docker %s: exit %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// await calls f until it returns "", and tells how long that took; what f returned last is the failure if
// that never comes. The limit is harness.Patience: it says nothing about how fast the product is.
func await(t *testing.T, f func() string) time.Duration {
	t.Helper()
	took, msg := harness.Await(f)
	if msg != "" {
		t.Fatalf("not within %s: %s", took, msg)
	}
	return took
}

// container starts a detached container that is removed at the end of the test.
func container(t *testing.T, args ...string) string {
	t.Helper()
	id := strings.TrimSpace(docker(t, append([]string{"run", "-d"}, args...)...))
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(theLab.Consoles(id[:12], 15))
		}
		dockerRun(context.Background(), nil, "rm", "-f", id)
	})
	return id
}

// bridge makes a port group that is the bridge of a VCH of this name, until the story has ended.
func bridge(t *testing.T, vch string) string {
	t.Helper()
	name := vch + "-bridge"
	if _, err := theLab.Govc("dvs.portgroup.add", "-dvs", "dvs1", "-type", "earlyBinding", "-nports", "64", name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := theLab.Govc("object.destroy", "/dc1/network/"+name); err != nil {
			t.Error(err)
		}
	})
	return name
}

// named are the lines of the lab's inventory in which the name of a VCH is a word, but for its bridge.
func named(t *testing.T, vch string) string {
	t.Helper()
	out, err := theLab.Inventory()
	if err != nil {
		t.Fatal(err)
	}
	word := regexp.MustCompile(`\b` + vch + `\b`)
	var lines strings.Builder
	for line := range strings.Lines(out) {
		if word.MatchString(line) && !strings.Contains(line, vch+"-bridge") {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

// now is the time as docker events takes it.
func now() string { return time.Now().Format(time.RFC3339Nano) }

func inspect(t *testing.T, id, format string) string {
	t.Helper()
	return strings.TrimSpace(docker(t, "inspect", "--format", format, id))
}

// resetEndpoint turns the endpoint VM off and on, as a loss of power does, and waits until the VCH serves again.
func resetEndpoint(t *testing.T) {
	t.Helper()
	resetVM(t, harness.VCH, theLab.Vic)
	serving(t)
}

// resetVM turns the endpoint VM of a VCH off and on, and waits until it has booted; vic is the command line for it.
func resetVM(t *testing.T, vch string, vic func(args ...string) (string, error)) {
	t.Helper()
	boot := func() string {
		out, err := vic("exec", "--", "cat", "/proc/sys/kernel/random/boot_id")
		if err != nil {
			return ""
		}
		return strings.TrimSpace(out)
	}
	old := boot()
	if old == "" {
		t.Fatal("the endpoint does not tell which boot this is")
	}
	vm, err := theLab.Govc("find", "-i", "/", "-type", "m", "-name", vch)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := theLab.Govc("vm.power", "-reset", strings.TrimSpace(vm)); err != nil {
		t.Fatal(err)
	}
	await(t, func() string {
		if now := boot(); now == "" || now == old {
			return "the endpoint has not booted again"
		}
		return ""
	})
}

// serving waits until the VCH's Docker API answers.
func serving(t *testing.T) {
	t.Helper()
	if err := theLab.WaitServing(); err != nil {
		t.Fatal(err)
	}
}
