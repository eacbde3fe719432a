package rootfs

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"unsafe"
)

// paxAttribute begins the PAX records that carry extended attributes, as star and GNU tar write them.
const paxAttribute = "SCHILY.xattr."

// maxAttribute is Linux's limit for one attribute and for the list of names.
const maxAttribute = 64 << 10

// attributes reads a file's extended attributes; links are not followed.
func attributes(file string) (map[string]string, error) {
	p, err := syscall.BytePtrFromString(file)
	if err != nil {
		return nil, err
	}
	n, _, errno := syscall.Syscall(syscall.SYS_LLISTXATTR, uintptr(unsafe.Pointer(p)), 0, 0)
	if errno == syscall.ENOTSUP || errno == 0 && n == 0 {
		return nil, nil
	}
	if errno != 0 {
		return nil, fmt.Errorf("extended attributes of %s: %w", file, errno)
	}
	list, value := make([]byte, maxAttribute), make([]byte, maxAttribute)
	n, _, errno = syscall.Syscall(syscall.SYS_LLISTXATTR, uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&list[0])), uintptr(len(list)))
	if errno != 0 {
		return nil, fmt.Errorf("extended attributes of %s: %w", file, errno)
	}
	all := map[string]string{}
	for name := range strings.SplitSeq(strings.Trim(string(list[:n]), "\x00"), "\x00") {
		k, err := syscall.BytePtrFromString(name)
		if err != nil {
			continue
		}
		m, _, errno := syscall.Syscall6(syscall.SYS_LGETXATTR, uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(k)),
			uintptr(unsafe.Pointer(&value[0])), uintptr(len(value)), 0, 0)
		if errno == 0 { // else gone, or not for us
			all[name] = string(value[:m])
		}
	}
	return all, nil
}

// setAttribute sets an extended attribute; links are not followed.
func setAttribute(file, name, value string) error {
	p, err := syscall.BytePtrFromString(file)
	if err != nil {
		return err
	}
	k, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	v := append([]byte(value), 0) // never empty, so that it has an address
	_, _, errno := syscall.Syscall6(syscall.SYS_LSETXATTR, uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(k)),
		uintptr(unsafe.Pointer(&v[0])), uintptr(len(value)), 0, 0)
	switch {
	case errno == 0, errors.Is(errno, syscall.ENOTSUP), errors.Is(errno, syscall.EPERM) && strings.HasPrefix(name, "user."):
		return nil // the file system, or this kind of file, has none
	}
	return fmt.Errorf("extended attribute %s of %s: %w", name, file, errno)
}
