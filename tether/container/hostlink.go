package container

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/tether/linkserver"
	"github.com/openvic/vic/tether/netcfg"
)

// hostLink is how the tether dials the host. The NIC that it dials from may change while the container
// runs, when networks come and go; what holds stands in guest.KeyLink.
//
// The link's goroutine dials, and follows a change before it dials again; a Configure call, which comes over
// the link, only closes the connection, so that the other dials anew.
type hostLink struct {
	m  *Machine
	ns *netcfg.Namespace // use's alone, which Run calls first and the link's goroutine later

	mu      sync.Mutex // guards what follows; not held over a dial or a call to the host
	now     guest.Link // what dialer is for
	dialer  linkserver.Dialer
	current net.Conn
	dialed  bool
	unwatch context.CancelFunc // of the watch of current
}

// use makes the dialer for a link, moving its NIC to a namespace if it is the tether's alone.
func (h *hostLink) use(ctx context.Context, l guest.Link) error {
	ctx, cancel := context.WithTimeout(ctx, deviceWait)
	defer cancel()
	name, err := netcfg.WaitNIC(ctx, h.m.Events, l.MAC)
	if err != nil {
		return err
	}
	var in func(func() error) error
	if l.Isolated {
		if h.ns == nil {
			if h.ns, err = netcfg.NewNamespace(); err != nil {
				return err
			}
		}
		if err := h.ns.Take(name); err != nil {
			return err
		}
		in = h.ns.Do
	}
	d, err := linkserver.NewDialer(l.Address, name, in)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now, h.dialer = l, d
	return nil
}

// uses says that the link needs a NIC that is not the tether's alone.
func (h *hostLink) uses(mac string) bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.EqualFold(h.now.MAC, mac)
}

// dial implements linkserver.Dialer.
func (h *hostLink) dial(ctx context.Context) (net.Conn, error) {
	h.mu.Lock()
	again := h.dialed
	h.dialed = true
	h.mu.Unlock()
	if again {
		if err := h.follow(ctx); err != nil {
			return nil, err
		}
	}
	h.mu.Lock()
	d, l := h.dialer, h.now
	h.mu.Unlock()
	c, err := d(ctx)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unwatch != nil {
		h.unwatch()
	}
	watched, cancel := context.WithCancel(ctx)
	h.current, h.unwatch = c, cancel
	if !l.Isolated {
		go h.watch(watched, l.MAC, c)
	}
	return c, nil
}

// follow takes up a link that has changed.
func (h *hostLink) follow(ctx context.Context) error {
	changed, l, err := h.changed(ctx)
	if err != nil || !changed {
		return err
	}
	return h.use(ctx, l)
}

func (h *hostLink) changed(ctx context.Context) (bool, guest.Link, error) {
	var l guest.Link
	if err := h.m.Keys.GetJSON(ctx, guest.KeyLink, &l); err != nil {
		return false, l, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return l != h.now, l, nil
}

// watch closes a connection whose NIC has gone: nobody else would for seconds.
func (h *hostLink) watch(ctx context.Context, mac string, c net.Conn) {
	if netcfg.AwaitGone(ctx, h.m.Events, mac) == nil {
		_ = c.Close()
	}
}

// refresh has the tether dial anew if the link has changed, some time after the answer to the call
// that it was called from.
func (h *hostLink) refresh(ctx context.Context) {
	changed, _, err := h.changed(ctx)
	if err != nil || !changed {
		return
	}
	h.mu.Lock()
	c := h.current
	h.mu.Unlock()
	if c != nil {
		time.AfterFunc(5*answerTime, func() { _ = c.Close() })
	}
}
