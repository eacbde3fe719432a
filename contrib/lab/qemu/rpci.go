package qemu

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

const maxRequest = 4 << 20 // longer lines are refused; guestinfo values are far shorter

// channel serves the guestinfo port: each line is a request and gets one line of answer.
type channel struct {
	conn   net.Conn
	answer func(string) string
	mu     sync.Mutex // one line at a time
	resets atomic.Uint64
}

// send writes one line to the guest.
func (c *channel) send(line string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := io.WriteString(c.conn, line+"\n")
	return err
}

// reset forgets a request that the guest had begun when it was reset.
func (c *channel) reset() { c.resets.Add(1) }

func (c *channel) serve() {
	var pending []byte
	buf := make([]byte, 64<<10)
	resets := c.resets.Load()
	for {
		n, err := c.conn.Read(buf)
		if err != nil {
			return
		}
		if r := c.resets.Load(); r != resets {
			resets, pending = r, nil
		}
		pending = append(pending, buf[:n]...)
		for {
			i := bytes.IndexByte(pending, '\n')
			if i < 0 {
				break
			}
			line := string(bytes.TrimRight(pending[:i], "\r"))
			pending = pending[i+1:]
			if c.send(c.answer(line)) != nil {
				return
			}
		}
		if len(pending) > maxRequest {
			pending = nil
			if c.send("0 Request too long") != nil {
				return
			}
		}
	}
}
