// Package spawn starts processes in a container's namespaces, and reaps them.
//
// The usual way, executing oneself again and preparing the container from inside, starts a second
// Go runtime before the process can start, which costs tens of milliseconds on an emulated CPU.
// Here everything that can be done beforehand is done beforehand, on a thread of the tether that
// has entered the container's namespaces (see Container and Thread); what is left for the child
// itself is a short list of system calls whose arguments are all prepared: a Program.
package spawn

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// call is one prepared system call.
type call struct {
	nr   uintptr
	args [6]uintptr
	// optional: failure is not the end of the child.
	optional bool
}

// Program is the list of system calls that a child makes between its creation and its program.
type Program struct {
	calls []call
	names []string
	// keep holds what the arguments point to.
	keep  []any
	flags uint64
	into  int // control group directory, or -1
}

// NewProgram returns an empty program; flags are those of clone3.
func NewProgram(flags uint64) *Program { return &Program{flags: flags, into: -1} }

// IntoCgroup creates the child in the control group whose directory is open as fd.
func (p *Program) IntoCgroup(fd int) { p.into = fd }

func (p *Program) add(name string, nr uintptr, args ...uintptr) {
	c := call{nr: nr}
	copy(c.args[:], args)
	p.calls = append(p.calls, c)
	p.names = append(p.names, name)
}

// text returns the address of a C string that lives as long as the program.
func (p *Program) text(s string) (uintptr, error) {
	b, err := unix.BytePtrFromString(s)
	if err != nil {
		return 0, err
	}
	p.keep = append(p.keep, b)
	return uintptr(unsafe.Pointer(b)), nil
}

func (p *Program) texts(list []string) (uintptr, error) {
	ptrs := make([]*byte, len(list)+1)
	for i, s := range list {
		b, err := unix.BytePtrFromString(s)
		if err != nil {
			return 0, err
		}
		ptrs[i] = b
	}
	p.keep = append(p.keep, ptrs)
	return uintptr(unsafe.Pointer(&ptrs[0])), nil
}

// mount mounts a file system, or binds or changes a mount, as flags say.
func (p *Program) mount(source, target, fstype string, flags uintptr) error {
	var args [3]uintptr
	for i, s := range []string{source, target, fstype} {
		var err error
		if args[i], err = p.text(s); err != nil {
			return err
		}
	}
	p.add("mount "+target, unix.SYS_MOUNT, args[0], args[1], args[2], flags, 0)
	return nil
}

// Confine leaves the process the capabilities of the list at most. It works through the bounding
// set, which the exec of the program applies; until then the child keeps what it needs.
func (p *Program) Confine(capabilities []int) {
	for n := range unix.CAP_LAST_CAP + 1 {
		if slices.Contains(capabilities, n) {
			continue
		}
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0); err != nil {
			continue // this kernel does not have it
		}
		p.add("drop a capability", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(n))
	}
}

// NoNewPrivileges keeps set-user-ID programs from giving more than the process has.
func (p *Program) NoNewPrivileges() {
	p.add("no_new_privs", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
}

// Session makes the child the leader of a session, with the terminal tty if it is not negative.
func (p *Program) Session(tty int) {
	p.add("setsid", unix.SYS_SETSID)
	if tty >= 0 {
		p.add("set the controlling terminal", unix.SYS_IOCTL, uintptr(tty), unix.TIOCSCTTY, 0)
	}
}

// Files makes fds the child's descriptors 0, 1, 2; all of them are 3 or above.
func (p *Program) Files(fds [3]int) {
	for i, fd := range fds {
		p.add("dup", unix.SYS_DUP3, uintptr(fd), uintptr(i), 0)
	}
	p.add("close_range", unix.SYS_CLOSE_RANGE, 3, ^uintptr(0)>>1, unix.CLOSE_RANGE_CLOEXEC)
	p.calls[len(p.calls)-1].optional = true
}

// Limit sets a resource limit.
func (p *Program) Limit(resource int, soft, hard uint64) {
	l := &unix.Rlimit{Cur: soft, Max: hard}
	p.keep = append(p.keep, l)
	p.add("setrlimit", unix.SYS_PRLIMIT64, 0, uintptr(resource), uintptr(unsafe.Pointer(l)), 0)
}

// OpenFiles sets the limit of open files if the kernel lets it.
func (p *Program) OpenFiles(n uint64) {
	p.Limit(unix.RLIMIT_NOFILE, n, n)
	p.calls[len(p.calls)-1].optional = true
}

// Chdir changes the working directory.
func (p *Program) Chdir(dir string) error {
	d, err := p.text(dir)
	if err != nil {
		return err
	}
	p.add("chdir to "+dir, unix.SYS_CHDIR, d)
	return nil
}

// timerSlack is the kernel's own for a new process, in nanoseconds; the tether's may be another one.
const timerSlack = 50_000

// ExactTimers undoes for the process what the tether has set for itself (kernel.SetTimerSlack).
func (p *Program) ExactTimers() {
	p.add("timer slack", unix.SYS_PRCTL, unix.PR_SET_TIMERSLACK, timerSlack)
}

// Umask sets the file mode creation mask.
func (p *Program) Umask(mask uintptr) { p.add("umask", unix.SYS_UMASK, mask) }

// Credentials changes the user and the groups.
func (p *Program) Credentials(uid, gid int, groups []int) {
	ids := make([]uint32, len(groups)+1)
	for i, g := range groups {
		ids[i] = uint32(g)
	}
	p.keep = append(p.keep, ids)
	p.add("setgroups", unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&ids[0])))
	p.add("setgid", unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid))
	p.add("setuid", unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
}

// Exec is the last call.
func (p *Program) Exec(path string, args, env []string) error {
	f, err := p.text(path)
	if err != nil {
		return err
	}
	a, err := p.texts(args)
	if err != nil {
		return err
	}
	e, err := p.texts(env)
	if err != nil {
		return err
	}
	p.add("exec", unix.SYS_EXECVE, f, a, e)
	return nil
}

// StepError is the failure of one of the child's system calls.
type StepError struct {
	Step string
	Err  syscall.Errno
}

func (e *StepError) Error() string { return fmt.Sprintf("%s: %s", e.Step, e.Err) }
func (e *StepError) Unwrap() error { return e.Err }

// run creates the child and waits until its program runs, or has failed. The pid of a child that
// failed is returned too: it has to be reaped.
func (p *Program) run() (int, error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return 0, fmt.Errorf("start the process: %w", err)
	}
	defer unix.Close(pipe[0])
	args := &cloneArgs{flags: p.flags, exitSignal: uint64(unix.SIGCHLD)}
	if p.into >= 0 {
		args.flags |= unix.CLONE_INTO_CGROUP
		args.cgroup = uint64(p.into)
	}
	syscall.ForkLock.Lock()
	pid, errno := forkRun(args, p.calls, uintptr(pipe[1]))
	syscall.ForkLock.Unlock()
	runtime.KeepAlive(p)
	runtime.KeepAlive(args)
	unix.Close(pipe[1])
	if errno != 0 {
		return 0, fmt.Errorf("start the process: clone: %w", errno)
	}
	return int(pid), p.outcome(pipe[0])
}

// outcome reads the child's report: nothing if its program runs.
func (p *Program) outcome(fd int) error {
	var report [8]byte
	for {
		n, err := unix.Read(fd, report[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("start the process: %w", err)
		}
		if n != len(report) {
			return nil
		}
		step, errno := *(*uint32)(unsafe.Pointer(&report[0])), *(*uint32)(unsafe.Pointer(&report[4]))
		return &StepError{Step: p.names[step], Err: syscall.Errno(errno)}
	}
}
