package session

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// boundAcks sets ackTimeout on a new socket.
func boundAcks(_, _ string, c syscall.RawConn) error {
	var err error
	if cerr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(ackTimeout.Milliseconds()))
	}); cerr != nil {
		return cerr
	}
	return err
}
