// Package handover lets a plugin give the host a descriptor instead of carrying bytes: the socket
// behind a Connect, the pipe of a layer. Bulk data then flows past the plugin's connection, which
// encrypts and frames it, and past the plugin's process where that only forwards it.
//
// Host and plugin share a socket pair that is made when the process starts and that nobody else can
// open; only descriptors pass it, from the plugin to the host, each with a number that the host chose.
// The call itself stays on gRPC: its metadata carries the number, its header says that the
// descriptor was given, its end and its error mean what they always mean. Where there is no socket
// pair, or an older partner, or a stream that is no socket, the bytes go over gRPC.
//
// A driver takes part by returning a NewConn from Connect; everything else is the SDK's.
package handover

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/openvic/vic/sdk/errdef"
)

// EnvFD is the variable that names the plugin's end of the socket pair.
const EnvFD = "VIC_HANDOVER_FD"

// key is the metadata key: in a call it holds the number, in a header "1" for given.
const key = "vic-handover"

const messageSize = 8

// Receiver is the host's end. A nil one receives nothing.
type Receiver struct {
	conn *net.UnixConn

	greeted chan struct{} // closed when the plugin has shown that it knows the protocol

	mu    sync.Mutex
	ready bool // it has, and is still there
	last  uint64
	open  map[uint64]chan *os.File // closed when nothing can come any more
	err   error
}

// newReceiver receives until the other end or Close closes the socket.
func newReceiver(conn *net.UnixConn) *Receiver {
	r := &Receiver{conn: conn, greeted: make(chan struct{}), open: map[uint64]chan *os.File{}}
	go r.run()
	return r
}

func (r *Receiver) run() {
	buf, oob := make([]byte, messageSize), make([]byte, rightsSpace)
	for {
		n, m, _, _, err := r.conn.ReadMsgUnix(buf, oob)
		if err != nil || n == 0 {
			break
		}
		files := parse(oob[:m])
		if n != messageSize || len(files) > 1 {
			closeAll(files)
			continue
		}
		r.arrived(binary.BigEndian.Uint64(buf), files)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ready, r.err = false, errdef.ErrPluginDown
	for n, c := range r.open {
		delete(r.open, n)
		close(c)
	}
}

// arrived keeps the file that somebody waits for; others are closed.
func (r *Receiver) arrived(number uint64, files []*os.File) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ready {
		r.ready = true
		close(r.greeted)
	}
	c := r.open[number]
	if len(files) == 0 {
		return
	}
	if c == nil {
		closeAll(files)
		return
	}
	delete(r.open, number)
	c <- files[0] // has room for one
}

// Ready tells whether the plugin takes part. It says so when it starts.
func (r *Receiver) Ready() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready
}

// Close ends receiving.
func (r *Receiver) Close() error { return r.conn.Close() }

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// expect reserves a number; 0 if the plugin has no handover.
func (r *Receiver) expect() (uint64, chan *os.File) {
	if r == nil {
		return 0, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ready {
		return 0, nil
	}
	r.last++
	c := make(chan *os.File, 1)
	r.open[r.last] = c
	return r.last, c
}

func (r *Receiver) forget(number uint64, c chan *os.File) {
	r.mu.Lock()
	delete(r.open, number)
	r.mu.Unlock()
	select {
	case f := <-c:
		if f != nil {
			_ = f.Close()
		}
	default:
	}
}

// Sender is the plugin's end.
type Sender struct{ conn *net.UnixConn }

// newSender shows the host that this plugin can hand over.
func newSender(conn *net.UnixConn) (*Sender, error) {
	s := &Sender{conn}
	return s, s.send(0, nil)
}

func (s *Sender) send(number uint64, rights []byte) error {
	_, _, err := s.conn.WriteMsgUnix(binary.BigEndian.AppendUint64(nil, number), rights, nil)
	return err
}

// Sink takes the descriptor of one call.
type Sink struct {
	sender *Sender
	number uint64
}

// Give sends a duplicate of a descriptor.
func (s *Sink) Give(fd int) error { return s.sender.send(s.number, rights(fd)) }

type sinkKey struct{}

// FromContext returns the sink of a call whose caller can take a descriptor, or nil.
func FromContext(ctx context.Context) *Sink {
	s, _ := ctx.Value(sinkKey{}).(*Sink)
	return s
}

// Given is the header of a call whose descriptor was given.
func Given() metadata.MD { return metadata.Pairs(key, "1") }

var errNotGiven = errors.New("the plugin gave no descriptor")

// Offer is a call option: this caller takes a descriptor instead of bytes. An Offer is for one call
// and must be closed.
type Offer struct {
	grpc.EmptyCallOption
	receiver *Receiver
	number   uint64
	file     chan *os.File
}

// NewOffer makes an offer, to be added to a call's options.
func NewOffer() *Offer { return &Offer{} }

// Bind connects the offers among a call's options with the process that the call goes to, and
// returns the context for the call. The host calls it in its NewStream.
func Bind(ctx context.Context, opts []grpc.CallOption, r *Receiver) context.Context {
	for _, o := range opts {
		offer, ok := o.(*Offer)
		if !ok {
			continue
		}
		if number, c := r.expect(); number != 0 {
			offer.receiver, offer.number, offer.file = r, number, c
			ctx = metadata.AppendToOutgoingContext(ctx, key, format(number))
		}
	}
	return ctx
}

// Made tells whether the offer reached the plugin: it then answers with a header at once.
func (o *Offer) Made() bool { return o.number != 0 }

// Take returns the descriptor, or nil if the header says that none was given.
func (o *Offer) Take(ctx context.Context, header metadata.MD) (*os.File, error) {
	if len(header.Get(key)) == 0 {
		return nil, nil
	}
	if !o.Made() {
		return nil, errNotGiven
	}
	select {
	case f := <-o.file:
		if f == nil {
			return nil, errdef.ErrPluginDown
		}
		return f, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close takes the offer back; what was taken stays the caller's.
func (o *Offer) Close() {
	if o.Made() {
		o.receiver.forget(o.number, o.file)
	}
}
