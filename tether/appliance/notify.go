package appliance

import (
	"fmt"
	"net"
	"os"
	"strings"
)

// notifier is the socket on which a service reports, as sd_notify(3) describes.
type notifier struct {
	path string
	conn *net.UnixConn
}

func listenNotify(path string) (*notifier, error) {
	os.Remove(path)
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("notify socket: %w", err)
	}
	return &notifier{path: path, conn: c}, nil
}

// read hands on what the service reports until the socket is closed.
func (n *notifier) read(report func(ready bool, status string)) {
	buf := make([]byte, 4096)
	for {
		size, err := n.conn.Read(buf)
		if err != nil {
			return
		}
		if ready, status := parseNotify(string(buf[:size])); ready || status != "" {
			report(ready, status)
		}
	}
}

func parseNotify(message string) (ready bool, status string) {
	for line := range strings.Lines(message) {
		k, v, _ := strings.Cut(strings.TrimRight(line, "\n"), "=")
		switch {
		case k == "READY" && v == "1":
			ready = true
		case k == "STATUS":
			status = v
		}
	}
	return ready, status
}

func (n *notifier) close() {
	n.conn.Close()
	os.Remove(n.path)
}
