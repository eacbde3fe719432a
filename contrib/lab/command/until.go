package command

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// processEnd returns a channel that is closed when a process ends; 0 is none, and never does. The process is
// watched by a descriptor: its number may be another's later. The watch lasts as long as this process.
func processEnd(pid int) (<-chan struct{}, error) {
	if pid == 0 {
		return nil, nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("--until %d: %w", pid, err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			if !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}()
	return ended, nil
}
