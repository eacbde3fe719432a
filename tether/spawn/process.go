package spawn

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/openvic/vic/sdk/guest"
	"golang.org/x/sys/unix"
)

// Failure is a process that could not be started: why, in the words of Go's os/exec and of the kernel, and
// the exit code that shells and container runtimes give it.
type Failure struct {
	Code int32
	Text string
}

func (f *Failure) Error() string { return f.Text }

// The exit codes of processes that could not be started.
const (
	CodeCannotRun = 126
	CodeNotFound  = 127
	CodeTether    = 128
)

// Process is a started process and our ends of its input and output.
type Process struct {
	PID   int
	Ended <-chan unix.WaitStatus
	// TTY is the terminal; without one Stdin (nil if it is /dev/null), Stdout and Stderr are pipes.
	TTY                   *os.File
	Stdin, Stdout, Stderr *os.File
}

type startOptions struct {
	flags   uint64
	cgroup  int // directory, or -1
	peer    int // pidfd of a process whose control group namespace is entered, or -1 for a new one
	spawner func(run func() (int, error)) func() (int, error)
	step    func(name string)
	proc    bool // mount /proc: this is PID 1
	console bool // /dev/console is the terminal

	security guest.Security
	masks    []procMask // of /proc, if it is mounted
	init     string
}

// maxOpenFiles is the limit of open files that Docker gives.
const maxOpenFiles = 1 << 20

// start starts a process from a thread that is in its namespaces already.
func start(r *Reaper, p guest.Process, hostname string, o startOptions) (*Process, error) {
	id, err := lookupUser(p.User, p.Groups)
	if err != nil {
		return nil, &Failure{CodeCannotRun, err.Error()}
	}
	env := Environment(p, hostname, id.home)
	dir := p.Dir
	if dir == "" {
		dir = "/"
	}
	if err := workingDirectory(dir, o.proc); err != nil {
		return nil, err
	}
	path, err := lookupProgram(p.Args, dir, env)
	if err != nil {
		return nil, err
	}
	ends, err := openIO(p, id.uid, o.console)
	if err != nil {
		return nil, err
	}
	defer ends.closeChild()
	prog := NewProgram(o.flags)
	prog.IntoCgroup(o.cgroup)
	args := p.Args
	if p.Init && o.init != "" {
		path, args = o.init, append([]string{o.init, "--"}, args...)
	}
	if err = prog.fill(p, o, id, dir, ends); err == nil {
		err = prog.Exec(path, args, env)
	}
	if err != nil {
		return nil, &Failure{CodeCannotRun, err.Error()}
	}
	o.step("process prepared")
	proc := &Process{TTY: ends.tty, Stdin: ends.stdin, Stdout: ends.stdout, Stderr: ends.stderr}
	proc.PID, proc.Ended, err = r.Start(o.spawner(prog.run))
	if err != nil {
		ends.closeParent()
		return nil, startFailure(err, p.Args[0], dir)
	}
	return proc, nil
}

// workingDirectory makes the directory of a container's first process if it is not there; further
// ones must find theirs.
func workingDirectory(dir string, first bool) error {
	if first {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return &Failure{CodeCannotRun, fmt.Sprintf("working directory %q: %v", dir, errors.Unwrap(err))}
		}
		return nil
	}
	if !filepath.IsAbs(dir) {
		return &Failure{CodeTether, "Cwd must be an absolute path"}
	}
	st, err := os.Stat(dir)
	if err == nil && !st.IsDir() {
		err = &os.PathError{Op: "chdir", Path: dir, Err: syscall.ENOTDIR}
	}
	if err != nil {
		code := int32(CodeCannotRun)
		if errors.Is(err, fs.ErrNotExist) {
			code = CodeNotFound
		}
		return &Failure{code, fmt.Sprintf("chdir to cwd (%q) failed: %v", dir, errors.Unwrap(err))}
	}
	return nil
}

func (p *Program) fill(spec guest.Process, o startOptions, id identity, dir string, ends *stdio) error {
	if o.cgroup >= 0 {
		p.enterCgroupNamespace(o.peer)
	}
	if o.proc {
		if err := p.mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV); err != nil {
			return err
		}
		if err := p.confineProc(o.masks); err != nil {
			return err
		}
	}
	p.Session(ends.terminal())
	p.Files(ends.child)
	p.limits(spec.Rlimits)
	p.Umask(0o022)
	p.ExactTimers()
	// The directory is entered as root, as Docker does since 20.10, and again checked by the
	// user's own rights when it is used.
	if err := p.Chdir(dir); err != nil {
		return err
	}
	if o.security.Confined && !spec.Privileged {
		p.Confine(o.security.Capabilities)
	}
	p.Credentials(id.uid, id.gid, id.groups)
	if o.security.NoNewPrivileges {
		p.NoNewPrivileges()
	}
	return nil
}

// limits sets the resource limits: Docker's number of open files, and what was asked for.
func (p *Program) limits(asked []guest.Rlimit) {
	if !slices.ContainsFunc(asked, func(l guest.Rlimit) bool { return l.Resource == unix.RLIMIT_NOFILE }) {
		p.OpenFiles(maxOpenFiles)
	}
	for _, l := range asked {
		p.Limit(l.Resource, l.Soft, l.Hard)
	}
}

// startFailure names the program or the directory in the errors of the child's last steps.
func startFailure(err error, name, dir string) error {
	var step *StepError
	if !errors.As(err, &step) {
		return err
	}
	switch {
	case step.Step == "exec" && step.Err == syscall.ENOENT:
		return &Failure{CodeNotFound, fmt.Sprintf("exec %s: no such file or directory", name)}
	case step.Step == "exec":
		return &Failure{CodeCannotRun, fmt.Sprintf("exec %s: %s", name, step.Err)}
	case strings.HasPrefix(step.Step, "chdir"):
		return &Failure{CodeCannotRun, fmt.Sprintf("chdir to cwd (%q) failed: %s", dir, step.Err)}
	}
	return err
}

// stdio is both ends of a process's input and output.
type stdio struct {
	child                      [3]int
	own                        []int // the child's, to be closed here
	tty, stdin, stdout, stderr *os.File
}

func (s *stdio) terminal() int {
	if s.tty == nil {
		return -1
	}
	return s.child[0]
}

func (s *stdio) closeChild() {
	for _, fd := range s.own {
		unix.Close(fd)
	}
}

func (s *stdio) closeParent() {
	for _, f := range []*os.File{s.tty, s.stdin, s.stdout, s.stderr} {
		if f != nil {
			f.Close()
		}
	}
}

func openIO(p guest.Process, uid int, console bool) (*stdio, error) {
	s := &stdio{}
	var err error
	if p.TTY {
		err = s.openTTY(p, uid, console)
	} else {
		err = s.openPipes(p.Stdin, uid)
	}
	if err != nil {
		s.closeChild()
		s.closeParent()
		return nil, fmt.Errorf("standard input and output: %w", err)
	}
	return s, nil
}

// pipeSize makes room for bursts; the kernel takes the memory only when it is used.
const pipeSize = 256 << 10

func (s *stdio) openPipes(stdin bool, uid int) error {
	if !stdin {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		s.child[0], s.own = fd, append(s.own, fd)
	} else if f, err := s.pipe(0, uid); err != nil {
		return err
	} else {
		s.stdin = f
	}
	var err error
	if s.stdout, err = s.pipe(1, uid); err != nil {
		return err
	}
	s.stderr, err = s.pipe(2, uid)
	return err
}

// pipe makes the pipe of descriptor n and returns our end. The user owns the child's end, so that
// it may open /dev/stdout.
func (s *stdio) pipe(n, uid int) (*os.File, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	ours, theirs := fds[0], fds[1]
	if n == 0 {
		ours, theirs = theirs, ours
	}
	s.child[n], s.own = theirs, append(s.own, theirs)
	unix.FcntlInt(uintptr(ours), unix.F_SETPIPE_SZ, pipeSize)
	if err := errors.Join(unix.SetNonblock(ours, true), unix.Fchown(theirs, uid, -1)); err != nil {
		unix.Close(ours)
		return nil, err
	}
	return os.NewFile(uintptr(ours), "pipe"), nil
}

func (s *stdio) openTTY(p guest.Process, uid int, console bool) error {
	fd, err := unix.Open("/dev/pts/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	s.tty = os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	// By descriptor, not by name: what the image has at /dev/pts does not matter.
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return errno
	}
	peer := int(n)
	s.child, s.own = [3]int{peer, peer, peer}, append(s.own, peer)
	if err := unix.Fchown(peer, uid, -1); err != nil {
		return err
	}
	if p.Width > 0 && p.Height > 0 {
		_ = Resize(s.tty, p.Width, p.Height)
	}
	if console {
		return bindConsole(fd)
	}
	return nil
}

func bindConsole(master int) error {
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		return err
	}
	f, err := os.OpenFile("/dev/console", os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	return unix.Mount(fmt.Sprintf("/dev/pts/%d", n), "/dev/console", "", unix.MS_BIND, "")
}

// Resize sets a terminal's size in characters.
func Resize(tty *os.File, width, height uint16) error {
	c, err := tty.SyscallConn()
	if err != nil {
		return err
	}
	var ierr error
	err = c.Control(func(fd uintptr) {
		ierr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: height, Col: width})
	})
	return errors.Join(err, ierr)
}
