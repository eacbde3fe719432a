package spawn

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func run(t *testing.T, r *Reaper, p *Program) (unix.WaitStatus, error) {
	t.Helper()
	_, ended, err := r.Start(p.run)
	if err != nil {
		return 0, err
	}
	select {
	case ws := <-ended:
		return ws, nil
	case <-time.After(time.Minute):
		t.Fatal("the process did not end")
	}
	return 0, nil
}

func shell(t *testing.T, script string) *Program {
	t.Helper()
	p := NewProgram(0)
	if err := p.Chdir("/"); err != nil {
		t.Fatal(err)
	}
	if err := p.Exec("/bin/sh", []string{"sh", "-c", script}, []string{"PATH=/usr/bin:/bin", "X=5"}); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProgramRunsAndItsEndIsSeen(t *testing.T) {
	r := NewReaper()
	for i := range 20 {
		ws, err := run(t, r, shell(t, "test $(pwd) = / && exit $X"))
		if err != nil || ExitCode(ws) != 5 {
			t.Fatalf("run %d: %v %v", i, ExitCode(ws), err)
		}
	}
	ws, err := run(t, r, shell(t, "kill -9 $$"))
	if err != nil || ExitCode(ws) != 137 {
		t.Fatalf("killed: %v %v", ExitCode(ws), err)
	}
}

func TestProgramOutputGoesToItsFiles(t *testing.T) {
	rd, wr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	null, _ := os.Open(os.DevNull)
	p := NewProgram(0)
	p.Session(-1)
	p.Files([3]int{int(null.Fd()), int(wr.Fd()), int(wr.Fd())})
	if err := p.Exec("/bin/sh", []string{"sh", "-c", "echo out; echo err >&2"}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, NewReaper(), p); err != nil {
		t.Fatal(err)
	}
	wr.Close()
	buf := make([]byte, 64)
	n, _ := rd.Read(buf)
	if string(buf[:n]) != "out\nerr\n" {
		t.Fatalf("read %q", buf[:n])
	}
}

func TestProgramThatIsNotThere(t *testing.T) {
	p := NewProgram(0)
	if err := p.Exec("/no/such", []string{"x"}, nil); err != nil {
		t.Fatal(err)
	}
	_, err := run(t, NewReaper(), p)
	var step *StepError
	if !errors.As(err, &step) || step.Step != "exec" || step.Err != syscall.ENOENT {
		t.Fatalf("got %v", err)
	}
}
