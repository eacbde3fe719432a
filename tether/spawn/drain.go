package spawn

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// linger is how long the output of a process that has ended is awaited if others hold it open.
	linger = 250 * time.Millisecond
	// drainLimit is more than a pipe holds, in bytes.
	drainLimit = 1 << 20
	drainSize  = 64 << 10
)

// EndOutput has reads of a process's output end soon: the process is gone, but children that it left may
// hold its output open for ever. Drain takes what is left.
func EndOutput(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.SetReadDeadline(time.Now().Add(linger))
		}
	}
}

// Drain takes what is in a pipe or terminal, without waiting and whatever its deadline is: reads are refused
// after it, though the process may have left much there while a slow machine or reader held up who takes it.
// take may keep what it is given.
func Drain(f *os.File, take func([]byte)) {
	c, err := f.SyscallConn()
	if err != nil {
		return
	}
	for total := 0; total < drainLimit; {
		buf := make([]byte, drainSize)
		n := 0
		if c.Control(func(fd uintptr) { n, err = unix.Read(int(fd), buf) }) != nil || err != nil || n <= 0 {
			return
		}
		take(buf[:n])
		total += n
	}
}
