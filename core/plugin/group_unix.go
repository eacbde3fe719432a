//go:build unix

package plugin

import "syscall"

// ownGroup makes a program the first of a group of its own.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// killGroup ends what is left of a program's group.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
