package handover

import (
	"fmt"
	"net"
	"os"
	"strconv"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/kind"
)

// Pair makes a socket pair: the host's end, and the file that its plugin inherits.
func Pair() (*Receiver, *os.File, error) {
	ours, theirs, err := socketPair(packets)
	if err != nil {
		return nil, nil, err
	}
	conn, err := unixConn(ours)
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return newReceiver(conn), theirs, nil
}

// SocketPair makes two ends of a byte stream, the first of which can be handed over.
func SocketPair() (*Conn, net.Conn, error) {
	a, b, err := socketPair(bytes)
	if err != nil {
		return nil, nil, err
	}
	ours, err := unixConn(a)
	if err != nil {
		_ = b.Close()
		return nil, nil, err
	}
	theirs, err := unixConn(b)
	if err != nil {
		_ = ours.Close()
		return nil, nil, err
	}
	return NewConn(ours), theirs, nil
}

// Inherited is the plugin's end, as the variable EnvFD names it; nil without one.
func Inherited(number string) (*Sender, error) {
	if number == "" {
		return nil, nil
	}
	fd, err := strconv.Atoi(number)
	if err != nil {
		return nil, fmt.Errorf("handover: %s=%q is not a number: %w", EnvFD, number, errdef.ErrInvalid)
	}
	return Open(os.NewFile(uintptr(fd), "handover"))
}

// Open makes the plugin's end of the file, which it takes over.
func Open(f *os.File) (*Sender, error) {
	conn, err := unixConn(f)
	if err != nil {
		return nil, err
	}
	return newSender(conn)
}

// unixConn takes the file over; its own descriptor is not inherited by other programs.
func unixConn(f *os.File) (*net.UnixConn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("handover: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, fmt.Errorf("handover: descriptor is no unix socket: %w", errdef.ErrInvalid)
	}
	return u, nil
}

// Extension is for the kinds whose servers hand descriptors over: it makes the plugin's end of the
// pair, which calls then find with FromContext.
func Extension() kind.Extension {
	return kind.Extension{Name: "handover", Options: func(getenv func(string) string) ([]grpc.ServerOption, error) {
		s, err := Inherited(getenv(EnvFD))
		if s == nil || err != nil {
			return nil, err
		}
		return []grpc.ServerOption{grpc.ChainStreamInterceptor(s.Interceptor)}, nil
	}}
}
