package handover

import (
	"context"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

func format(number uint64) string { return strconv.FormatUint(number, 10) }

// Interceptor gives streaming calls their sinks.
func (s *Sender) Interceptor(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	if v := md.Get(key); len(v) == 1 {
		if n, err := strconv.ParseUint(v[0], 10, 64); err == nil {
			ctx := context.WithValue(stream.Context(), sinkKey{}, &Sink{s, n})
			stream = withContext{stream, ctx}
		}
	}
	return next(srv, stream)
}

type withContext struct {
	grpc.ServerStream
	ctx context.Context
}

func (s withContext) Context() context.Context { return s.ctx }
