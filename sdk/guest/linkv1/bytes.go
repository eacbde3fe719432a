package linkv1

import (
	"io"

	"github.com/openvic/vic/sdk/internal/wire"
)

// Send reads r to its end and hands its bytes to send in pieces that fit a message. An error of send is
// a *SendError, one of r is itself.
func Send(r io.Reader, send func([]byte) error) error { return wire.Send(r, send) }

// SendError tells a failure of the other side from one of the reader.
type SendError = wire.SendError

// NewReader reads the bytes of messages; recv returns the next one's, io.EOF at the end.
func NewReader(recv func() ([]byte, error)) io.Reader { return wire.NewReader(recv) }

// Writer hands what is written to send in pieces that fit a message.
type Writer func([]byte) error

// Write implements io.Writer.
func (w Writer) Write(p []byte) (int, error) { return wire.Write(p, w) }
