package spawn

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// StartService starts a program in the tether's own namespaces, in a session of its own. Its input
// is /dev/null; Stdout of the result carries its output and its errors.
func StartService(r *Reaper, args, env []string) (*Process, error) {
	path, err := lookupProgram(args, "/", env)
	if err != nil {
		return nil, err
	}
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/null: %w", err)
	}
	defer unix.Close(null)
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	defer unix.Close(fds[1])
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		return nil, fmt.Errorf("pipe: %w", err)
	}
	prog := NewProgram(0)
	prog.Session(-1)
	prog.Files([3]int{null, fds[1], fds[1]})
	prog.OpenFiles(maxOpenFiles)
	if err := errors.Join(prog.Chdir("/"), prog.Exec(path, args, env)); err != nil {
		unix.Close(fds[0])
		return nil, err
	}
	p := &Process{Stdout: os.NewFile(uintptr(fds[0]), args[0])}
	if p.PID, p.Ended, err = r.Start(prog.run); err != nil {
		p.Stdout.Close()
		return nil, startFailure(err, args[0], "/")
	}
	return p, nil
}
