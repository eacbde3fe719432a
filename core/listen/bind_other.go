//go:build !linux

package listen

import (
	"fmt"
	"runtime"

	"github.com/openvic/vic/sdk/errdef"
)

// bind is for systems on which administrators run clients alone.
func bind(uintptr, string) error {
	return fmt.Errorf("%s ties no socket to a network interface: %w", runtime.GOOS, errdef.ErrUnsupported)
}
