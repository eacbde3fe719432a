//go:build unix

package serve

import "syscall"

// closeOnExec keeps the lifeline from programs that the plugin starts.
func closeOnExec(fd int) { syscall.CloseOnExec(fd) }
