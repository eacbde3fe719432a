package rpci

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/vmware/vmw-guestinfo/bdoor"
	"golang.org/x/sys/unix"
)

// cmdTimeFull tells the time of the host (open-vm-tools, BDOOR_CMD_GETTIMEFULL of
// lib/include/backdoor_def.h): EAX stays the magic number, ESI:EDX are the seconds, EBX the
// microseconds. GETTIMEFULL_WITH_LAG adds by how much ESXi's emulated timers are late, which a clock
// that runs by the TSC has nothing of.
const cmdTimeFull = 46

// backdoorPorts is how many I/O ports a read of the 32 bits at the backdoor's touches.
const backdoorPorts = 4

// Time implements Transport.
func (b *Backdoor) Time(context.Context) (t time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	err = atPort(func() error {
		p := &bdoor.BackdoorProto{}
		p.CX.AsUInt32().Low = cmdTimeFull
		t, err = timeOf(p.InOut())
		return err
	})
	return t, err
}

func timeOf(out *bdoor.BackdoorProto) (time.Time, error) {
	seconds := int64(uint64(uint32(out.SI.Value()))<<32 | uint64(uint32(out.DX.Value())))
	if uint32(out.AX.Value()) != uint32(bdoor.BackdoorMagic) || seconds <= 0 {
		return time.Time{}, fmt.Errorf("the host does not tell the time: %w", errdef.ErrUnsupported)
	}
	return time.Unix(seconds, int64(uint32(out.BX.Value()))*1000), nil
}

// atPort runs f on a thread that may use the backdoor's port: where the administrator restricts the
// backdoor, ESXi wants the permission for it. It ends with f, that no container inherits it.
func atPort(f func() error) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := ioperm(true); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ioperm(false)) }()
	return f()
}

func ioperm(on bool) error {
	var turn uintptr
	if on {
		turn = 1
	}
	if _, _, e := unix.Syscall(unix.SYS_IOPERM, uintptr(bdoor.BackdoorPort), backdoorPorts, turn); e != 0 {
		return fmt.Errorf("the backdoor's port: %w", e)
	}
	return nil
}

// Time implements Transport.
func (s *Stream) Time(ctx context.Context) (time.Time, error) {
	answer, ok, err := s.Call(ctx, guest.TimeCommand)
	if err != nil {
		return time.Time{}, err
	}
	if !ok {
		return time.Time{}, fmt.Errorf("the host does not tell the time: %s: %w", answer, errdef.ErrUnsupported)
	}
	seconds, micros, _ := strings.Cut(answer, " ")
	n, err := strconv.ParseInt(seconds, 10, 64)
	m, merr := strconv.ParseInt(micros, 10, 64)
	if err := errors.Join(err, merr); err != nil {
		return time.Time{}, fmt.Errorf("the host's time %.40q: %w: %w", answer, errdef.ErrInvalid, err)
	}
	return time.Unix(n, m*1000), nil
}
