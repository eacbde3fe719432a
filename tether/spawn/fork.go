package spawn

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cloneArgs is the kernel's struct clone_args.
type cloneArgs struct {
	flags, pidFD, childTID, parentTID, exitSignal uint64
	stack, stackSize, tls, setTID, setTIDSize     uint64
	cgroup                                        uint64
}

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()

// forkRun creates a child (a copy of this thread's memory) that makes the calls and ends. A call
// that fails ends it with a report, the index of the call and the error, on the descriptor report.
//
// It follows syscall.forkAndExecInChild: between beforeFork and the end of the child nothing may
// grow the stack, allocate, or take a lock, since the other threads are not there in the child.
//
//go:noinline
//go:norace
func forkRun(args *cloneArgs, calls []call, report uintptr) (uintptr, syscall.Errno) {
	var out [2]uint32
	beforeFork()
	pid, _, errno := syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(args)), unsafe.Sizeof(*args), 0)
	if errno != 0 || pid != 0 {
		afterFork()
		return pid, errno
	}
	afterForkInChild()
	for i := range calls {
		c := &calls[i]
		_, _, errno = syscall.RawSyscall6(c.nr, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5])
		if errno != 0 && !c.optional {
			out[0], out[1] = uint32(i), uint32(errno)
			syscall.RawSyscall(syscall.SYS_WRITE, report, uintptr(unsafe.Pointer(&out[0])), 8)
			break
		}
	}
	for {
		syscall.RawSyscall(syscall.SYS_EXIT, 127, 0, 0)
	}
}
