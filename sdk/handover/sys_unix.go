//go:build unix

package handover

import (
	"fmt"
	"os"
	"syscall"
)

// socketKind is that of a socket pair.
type socketKind int

const (
	packets = socketKind(syscall.SOCK_SEQPACKET)
	bytes   = socketKind(syscall.SOCK_STREAM)
)

// A pipe that holds much lets both ends work without waking each other at every page.
const (
	pipeSize  = 1 << 20
	setPipeSz = 1031 // F_SETPIPE_SZ of linux/fcntl.h; elsewhere it fails, and the size stays
)

// rightsSpace has room for more descriptors than a message may bring, so that those are seen and closed.
var rightsSpace = syscall.CmsgSpace(4 * 4)

func rights(fd int) []byte { return syscall.UnixRights(fd) }

func socketPair(k socketKind) (a, b *os.File, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, int(k), 0)
	if err != nil {
		return nil, nil, fmt.Errorf("handover: socket pair: %w", err)
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	return os.NewFile(uintptr(fds[0]), "handover"), os.NewFile(uintptr(fds[1]), "handover"), nil
}

// parse takes the descriptors out of a control message.
func parse(oob []byte) []*os.File {
	var files []*os.File
	messages, _ := syscall.ParseSocketControlMessage(oob)
	for i := range messages {
		fds, _ := syscall.ParseUnixRights(&messages[i])
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			_ = syscall.SetNonblock(fd, true) // or a Close would not end a Read
			files = append(files, os.NewFile(uintptr(fd), "handover"))
		}
	}
	return files
}

// dup makes a duplicate that programs we start do not inherit.
func dup(fd int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	n, err := syscall.Dup(fd)
	if err == nil {
		syscall.CloseOnExec(n)
	}
	return n, err
}

func closeFD(fd int) error { return syscall.Close(fd) }

// shutdown ends the connection for everybody who has a descriptor of it.
func shutdown(fd int) error {
	_ = syscall.Shutdown(fd, syscall.SHUT_RDWR)
	return syscall.Close(fd)
}

// enlarge gives a pipe room where it can have more.
func enlarge(fd int) error {
	_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), setPipeSz, pipeSize)
	return nil
}
