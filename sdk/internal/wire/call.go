package wire

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/openvic/vic/sdk/errdef"
)

// MaxErrorText bounds the text of an error that a plugin answered, in bytes.
const MaxErrorText = 4 << 10

// Call makes a unary call whose answer has at most max bytes, and gives its error a class. An answer
// that is too large is errdef.ErrInternal.
func Call[Req, Resp any](ctx context.Context, call func(context.Context, *Req, ...grpc.CallOption) (*Resp, error), req *Req, max int) (*Resp, error) {
	var trailer metadata.MD
	resp, err := call(ctx, req, grpc.MaxCallRecvMsgSize(max), grpc.Trailer(&trailer))
	if err != nil {
		return nil, Error(err, trailer, max)
	}
	return resp, nil
}

// Error gives the error of a call or of a stream its class. trailer tells what the plugin answered from
// what gRPC says of an answer of more than max bytes. The text is cut at MaxErrorText and has no
// control characters: it goes to logs and to people. A reason (errdef.Error) is dropped: the kinds that
// use this have none, so it could be anything.
func Error(err error, trailer metadata.MD, max int) error {
	s, ok := status.FromError(err)
	if !ok {
		return errdef.FromGRPC(err)
	}
	if s.Code() == codes.ResourceExhausted && len(trailer.Get(AnswerKey)) == 0 {
		return fmt.Errorf("the plugin answers with a message of more than %d bytes: %w", max, errdef.ErrInternal)
	}
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s.Message())
	if len(text) > MaxErrorText {
		text = strings.ToValidUTF8(text[:MaxErrorText], "") + "..."
	}
	return errdef.FromGRPC(status.Error(s.Code(), text))
}
