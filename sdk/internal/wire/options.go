package wire

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// The settings of a plugin's connection. It is local and carries byte streams: windows are so large
// that one stream is never held up by another's, and buffers so large that a chunk is few writes.
const (
	streamWindow = 4 << 20
	connWindow   = 32 << 20
	bufferSize   = 128 << 10
	// MaxMessage bounds one message: a List of thousands of VMs with their metadata.
	MaxMessage = 256 << 20
)

// AnswerKey is in the trailer of every error that a plugin answered, and not in one that gRPC made
// up because the connection broke.
const AnswerKey = "vic-answer"

// ServerOptions are the settings of a plugin's server.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.ReadBufferSize(bufferSize),
		grpc.WriteBufferSize(bufferSize),
		grpc.MaxRecvMsgSize(MaxMessage),
		grpc.ChainUnaryInterceptor(markUnary),
		grpc.ChainStreamInterceptor(markStream),
	}
}

// DialOptions are the settings of the host's side.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connWindow),
		grpc.WithReadBufferSize(bufferSize),
		grpc.WithWriteBufferSize(bufferSize),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessage)),
	}
}

func markUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	resp, err := next(ctx, req)
	if err != nil {
		_ = grpc.SetTrailer(ctx, metadata.Pairs(AnswerKey, "1"))
	}
	return resp, err
}

func markStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	err := next(srv, stream)
	if err != nil {
		stream.SetTrailer(metadata.Pairs(AnswerKey, "1"))
	}
	return err
}
