//go:build !unix

package plugin

import "syscall"

// Plugins run on Linux; elsewhere this package is compiled for the vic command, which shows their state.

func ownGroup() *syscall.SysProcAttr { return nil }

func killGroup(int) {}
