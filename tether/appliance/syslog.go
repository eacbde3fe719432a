package appliance

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// Limits of what waits for the syslog server.
const (
	syslogQueue   = 4096 // lines; more are dropped
	syslogLine    = 8 << 10
	syslogTimeout = 5 * time.Second
	syslogRetry   = 5 * time.Second
	// facility daemon (3), severity informational (6), as RFC 5424 has it.
	syslogPriority = 3<<3 | 6
)

// syslog sends lines to a server as RFC 5424 describes: over UDP one line a datagram, over TCP with
// the octet counting of RFC 6587. It never makes a service wait: write drops what the queue has no room for.
// One goroutine (run) takes lines and alone uses the connection.
type syslog struct {
	host  string
	lines chan string

	mu      sync.Mutex // guards what follows; not held over the network
	address string
	rest    map[string][]byte // by service: the line that has not ended yet
}

// newSyslog sends, once it has an address, until ctx ends.
func newSyslog(ctx context.Context, host string) *syslog {
	s := &syslog{host: host, lines: make(chan string, syslogQueue), rest: map[string][]byte{}}
	go s.run(ctx)
	return s
}

// send gives the server's address; empty: none.
func (s *syslog) send(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.address = address
}

func (s *syslog) server() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.address
}

// write takes output of a service; nil takes nothing.
func (s *syslog) write(service string, b []byte) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.address == "" {
		return
	}
	b = append(s.rest[service], b...)
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 && len(b) < syslogLine {
			break
		}
		end := i + 1
		if i < 0 || i > syslogLine {
			i, end = syslogLine, syslogLine
		}
		s.queue(service, string(b[:i]))
		b = b[end:]
	}
	s.rest[service] = bytes.Clone(b)
}

func (s *syslog) queue(service, line string) {
	select {
	case s.lines <- s.format(service, line, time.Now()):
	default:
		// A server that is away must cost no memory: the log file has the line.
	}
}

// format makes the message; a host name holds no space by the rules for VCHs' names.
func (s *syslog) format(service, line string, at time.Time) string {
	return fmt.Sprintf("<%d>1 %s %s %s - - - %s", syslogPriority, at.UTC().Format("2006-01-02T15:04:05.000000Z"), s.host, service, line)
}

func (s *syslog) run(ctx context.Context) {
	var c *connection
	defer func() { c.close() }()
	for {
		var line string
		select {
		case line = <-s.lines:
		case <-ctx.Done():
			return
		}
		for ctx.Err() == nil {
			address := s.server()
			if address == "" {
				break
			}
			if c == nil || c.address != address {
				c.close()
				c = dialSyslog(ctx, address)
			}
			if c != nil && c.write(line) == nil {
				break
			}
			c.close()
			c = nil
			select {
			case <-time.After(syslogRetry):
			case <-ctx.Done():
			}
		}
	}
}

// connection is one to the server.
type connection struct {
	net.Conn
	address string
	counted bool
}

// dialSyslog returns nil if the server cannot be reached.
func dialSyslog(ctx context.Context, address string) *connection {
	proto, rest, _ := strings.Cut(address, "://")
	c, err := (&net.Dialer{Timeout: syslogTimeout}).DialContext(ctx, proto, rest)
	if err != nil {
		return nil
	}
	return &connection{Conn: c, address: address, counted: proto == "tcp"}
}

func (c *connection) write(line string) error {
	if c.counted {
		line = fmt.Sprintf("%d %s", len(line), line)
	}
	if err := c.SetWriteDeadline(time.Now().Add(syslogTimeout)); err != nil {
		return err
	}
	_, err := c.Write([]byte(line))
	return err
}

func (c *connection) close() {
	if c != nil {
		_ = c.Conn.Close()
	}
}
