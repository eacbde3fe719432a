// Package sdnotify tells a program's supervisor how it is, as sd_notify(3) says.
package sdnotify

import (
	"fmt"
	"net"
	"os"
)

// Send tells the supervisor (the tether, or systemd), for example "READY=1". Without one it does nothing.
func Send(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	c, err := net.Dial("unixgram", path)
	if err != nil {
		return fmt.Errorf("notify the supervisor: %w", err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(state)); err != nil {
		return fmt.Errorf("notify the supervisor: %w", err)
	}
	return nil
}
