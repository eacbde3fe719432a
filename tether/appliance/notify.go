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
func (n *notifier) read(report func(notice)) {
	buf := make([]byte, 4096)
	for {
		size, err := n.conn.Read(buf)
		if err != nil {
			return
		}
		if n := parseNotify(string(buf[:size])); n != (notice{}) {
			report(n)
		}
	}
}

// notice is what a service reports.
type notice struct {
	ready, failed bool
	status        string
}

func parseNotify(message string) (n notice) {
	for line := range strings.Lines(message) {
		k, v, _ := strings.Cut(strings.TrimRight(line, "\n"), "=")
		switch {
		case k == "READY" && v == "1":
			n.ready = true
		case k == "ERRNO" && v != "0":
			n.failed = true
		case k == "STATUS":
			n.status = v
		}
	}
	return n
}

func (n *notifier) close() {
	n.conn.Close()
	os.Remove(n.path)
}
