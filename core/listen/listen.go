// Package listen ties listeners to network interfaces.
package listen

import (
	"fmt"
	"syscall"
)

// Control is for net.ListenConfig: the socket takes only what comes in on the network interface dev,
// whatever addresses that has or will have (SO_BINDTODEVICE, socket(7)). An empty dev ties it to none.
func Control(dev string) func(network, address string, c syscall.RawConn) error {
	if dev == "" {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error {
		var bound error
		if err := c.Control(func(fd uintptr) { bound = bind(fd, dev) }); err != nil {
			return err
		}
		if bound != nil {
			return fmt.Errorf("network interface %s: %w", dev, bound)
		}
		return nil
	}
}
