package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/openvic/vic/sdk/errdef"
)

// System calls of mounts that package syscall has no names for; one number on all platforms.
const (
	sysOpenTree     = 428
	sysMoveMount    = 429
	sysMountSetattr = 442

	atFDCWD             = -100
	atEmptyPath         = 0x1000
	openTreeClone       = 1
	moveMountFromEmpty  = 0x4
	moveMountToSymlinks = 0x10
	mountAttrReadOnly   = 0x1
)

// Do runs fn on a thread whose root directory is the view. Goroutines that fn starts see the
// caller's root. When it returns, the view's mounts are gone: what they are of can be unmounted and
// detached. It needs root's rights, and /proc.
func (v View) Do(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread, which is like no other, ends with the goroutine
		done <- v.run(fn)
	}()
	return <-done
}

func (v View) run(fn func() error) error {
	home, err := os.Open("/proc/thread-self/ns/mnt")
	if err != nil {
		return fmt.Errorf("mount namespace: %w", err)
	}
	defer home.Close()
	err = v.enter()
	if err == nil {
		err = fn()
	}
	// Back home: the view's namespace, and the mounts in it, end with its last thread. The end of the
	// thread itself would come at some later time.
	if _, _, errno := syscall.Syscall(sysSetns, home.Fd(), syscall.CLONE_NEWNS, 0); errno != 0 && err == nil {
		err = fmt.Errorf("leave the view: %w", errno)
	}
	return err
}

func (v View) enter() error {
	if err := syscall.Unshare(syscall.CLONE_FS | syscall.CLONE_NEWNS); err != nil {
		return fmt.Errorf("mount namespace: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	root, err := cloneTree(v.Root, v.ReadOnly)
	if err != nil {
		return fmt.Errorf("root file system %s: %w", v.Root, err)
	}
	defer syscall.Close(root)
	binds := make([]int, len(v.Binds))
	for i, b := range v.Binds {
		if binds[i], err = cloneTree(b.Source, b.ReadOnly); err != nil {
			return fmt.Errorf("mount %s: %w", b.Target, err)
		}
		defer syscall.Close(binds[i])
	}
	if err := moveMount(root, v.Root); err != nil {
		return fmt.Errorf("root file system %s: %w", v.Root, err)
	}
	if err := errors.Join(syscall.Chroot(v.Root), syscall.Chdir("/")); err != nil {
		return fmt.Errorf("root file system %s: %w", v.Root, err)
	}
	for i, b := range v.Binds {
		if err := attach(binds[i], b); err != nil {
			return fmt.Errorf("mount %s: %w", b.Target, err)
		}
	}
	return nil
}

// attach puts a cloned mount at its target. It runs inside the view, so that links lead nowhere else.
func attach(fd int, b Bind) error {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return err
	}
	if _, err := os.Stat(b.Target); err != nil {
		if err := makeTarget(b.Target, st.Mode&syscall.S_IFMT == syscall.S_IFDIR); err != nil {
			return err
		}
	}
	return moveMount(fd, b.Target)
}

func makeTarget(target string, dir bool) error {
	if dir {
		return os.MkdirAll(target, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

func cloneTree(path string, readOnly bool) (int, error) {
	p, err := syscall.BytePtrFromString(path)
	if err != nil {
		return -1, err
	}
	cwd := atFDCWD
	fd, _, errno := syscall.Syscall(sysOpenTree, uintptr(cwd), uintptr(unsafe.Pointer(p)), openTreeClone|syscall.O_CLOEXEC)
	if errno != 0 {
		return -1, errno
	}
	if !readOnly {
		return int(fd), nil
	}
	attr := struct{ set, clear, propagation, userns uint64 }{set: mountAttrReadOnly}
	empty, _ := syscall.BytePtrFromString("")
	_, _, errno = syscall.Syscall6(sysMountSetattr, fd, uintptr(unsafe.Pointer(empty)), atEmptyPath, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		_ = syscall.Close(int(fd))
		return -1, errno
	}
	return int(fd), nil
}

func moveMount(fd int, target string) error {
	p, err := syscall.BytePtrFromString(target)
	if err != nil {
		return err
	}
	empty, _ := syscall.BytePtrFromString("")
	cwd := atFDCWD
	_, _, errno := syscall.Syscall6(sysMoveMount, uintptr(fd), uintptr(unsafe.Pointer(empty)),
		uintptr(cwd), uintptr(unsafe.Pointer(p)), moveMountFromEmpty|moveMountToSymlinks, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// classify gives an error of the file system its class.
func classify(err error) error {
	var f *failure
	class := error(nil)
	switch {
	case err == nil || errors.As(err, &f):
		return err
	case errors.Is(err, fs.ErrNotExist):
		class = errdef.ErrNotFound
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		class = errdef.ErrExhausted
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		class = errdef.ErrDenied
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENAMETOOLONG):
		class = errdef.ErrInvalid
	default:
		return err
	}
	return fail(class, "%v", err)
}
