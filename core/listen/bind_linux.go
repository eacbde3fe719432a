package listen

import "golang.org/x/sys/unix"

func bind(fd uintptr, dev string) error { return unix.BindToDevice(int(fd), dev) }
