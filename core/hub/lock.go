package hub

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/openvic/vic/sdk/errdef"
)

// openLock keeps other processes from serving the same SQLite database, or from filling it, until close. The kernel ends
// the lock with the process, however that ends. PostgreSQL is for several hubs and has none.
func (h *Hub) openLock(context.Context) (err error) {
	if file, ok := strings.CutPrefix(h.cfg.Database.URL, "sqlite:"); ok {
		h.lock, err = lockFile(file+".lock", "the database "+file)
	}
	return err
}

// lockFile takes the lock of a file, which is made if it is not there and stays. what is for the message, which names the
// process that has it; errdef.ErrConflict.
func lockFile(path, what string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		if err = f.Truncate(0); err == nil {
			_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
		}
	}
	if err == nil {
		return f, nil
	}
	who := make([]byte, 32)
	n, _ := f.ReadAt(who, 0) // no more than a hint
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("%s is in use by another vic-hub (process %s): stop it first: %w", what, strings.TrimSpace(string(who[:n])), errdef.ErrConflict)
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}
