package storage

import (
	"context"
	"io"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/openvic/vic/sdk/handover"
	"github.com/openvic/vic/sdk/internal/wire"
	storagev1 "github.com/openvic/vic/sdk/proto/storage/v1"
)

// takePipe returns the pipe that the plugin gave, or nil if the bytes go over gRPC.
func takePipe(ctx context.Context, stream grpc.ClientStream, offer *handover.Offer) (*os.File, error) {
	if !offer.Made() {
		return nil, nil
	}
	header, err := stream.Header()
	if err != nil {
		return nil, err
	}
	return offer.Take(ctx, header)
}

// sendLayer sends a layer's bytes. A *wire.SendError means that the plugin does not take them, and
// that its answer says why; any other error is the reader's.
func sendLayer(ctx context.Context, stream grpc.ClientStreamingClient[storagev1.WriteLayerRequest, storagev1.WriteLayerResponse],
	offer *handover.Offer, tar io.Reader) error {
	pipe, err := takePipe(ctx, stream, offer)
	if err != nil {
		return &wire.SendError{Err: err}
	}
	if pipe == nil {
		return wire.Send(tar, func(p []byte) error { return stream.Send(&storagev1.WriteLayerRequest{Data: p}) })
	}
	defer pipe.Close()
	return wire.Send(tar, func(p []byte) error {
		_, err := pipe.Write(p)
		return err
	})
}

// layerBytes is a layer's stream: from a pipe, if the host takes one, and from the messages. The end
// of the pipe is the end of the bytes; whether it is a good one, the stream says. done must be called.
func layerBytes(stream grpc.ServerStream, messages io.Reader) (tar io.Reader, done func() error, err error) {
	none := func() error { return nil }
	sink := handover.FromContext(stream.Context())
	if sink == nil {
		return messages, none, nil
	}
	pipe, perr := sink.GiveWriter()
	if perr != nil { // the host waits for the header
		return messages, none, stream.SendHeader(metadata.MD{})
	}
	if err := stream.SendHeader(handover.Given()); err != nil {
		_ = pipe.Close()
		return nil, nil, err
	}
	return io.MultiReader(pipe, messages), pipe.Close, nil
}

// exportBytes sends an export: through a pipe, if the host takes one, or in messages.
func exportBytes(stream grpc.ServerStreamingServer[storagev1.ExportResponse], tar io.Reader) error {
	var pipe *os.File
	if sink := handover.FromContext(stream.Context()); sink != nil {
		if p, err := sink.GiveReader(); err == nil {
			pipe = p
			defer pipe.Close()
			if err := stream.SetHeader(handover.Given()); err != nil {
				return err
			}
		}
	}
	if err := stream.Send(&storagev1.ExportResponse{}); err != nil {
		return err
	}
	return wire.Send(tar, func(p []byte) error {
		if pipe == nil {
			return stream.Send(&storagev1.ExportResponse{Data: p})
		}
		_, err := pipe.Write(p)
		return err
	})
}

// export is the host's end of an Export.
type export struct {
	io.Reader
	cancel context.CancelFunc
	pipe   *os.File // nil: the bytes come over gRPC
}

// Close ends the stream, also in the middle.
func (e *export) Close() error {
	e.cancel()
	if e.pipe != nil {
		return e.pipe.Close()
	}
	return nil
}
