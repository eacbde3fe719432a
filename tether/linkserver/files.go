package linkserver

import (
	"context"
	"io/fs"

	"github.com/openvic/vic/sdk/guest/linkv1"
	"github.com/openvic/vic/sdk/guest/rootfs"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Spaces are the views of the container's files.
type Spaces struct {
	// Container has the volumes and the files that Docker puts over the image's.
	Container rootfs.View
	// Root is the root file system alone.
	Root rootfs.View
}

// changesPerMessage keeps a message small.
const changesPerMessage = 512

// StatPath implements linkv1.LinkServer.
func (s *Server) StatPath(_ context.Context, req *linkv1.StatPathRequest) (*linkv1.StatPathResponse, error) {
	v, err := s.Machine.Spaces()
	if err != nil {
		return nil, err
	}
	var st rootfs.Stat
	err = v.Container.Do(func() (err error) {
		st, err = rootfs.StatPath(req.GetPath())
		return err
	})
	return &linkv1.StatPathResponse{Stat: pathStat(st)}, err
}

func pathStat(s rootfs.Stat) *linkv1.PathStat {
	return &linkv1.PathStat{Name: s.Name, Size: s.Size, Mode: uint32(s.Mode), ModTime: timestamp(s.ModTime), LinkTarget: s.LinkTarget}
}

// CopyOut implements linkv1.LinkServer.
func (s *Server) CopyOut(req *linkv1.CopyOutRequest, stream grpc.ServerStreamingServer[linkv1.CopyOutResponse]) error {
	v, err := s.Machine.Spaces()
	if err != nil {
		return err
	}
	out := linkv1.Writer(func(p []byte) error { return stream.Send(&linkv1.CopyOutResponse{Data: p}) })
	if req.GetWhole() {
		return v.Root.Do(func() error {
			st := &linkv1.PathStat{Name: "/", Mode: uint32(fs.ModeDir), ModTime: timestamppb.Now()}
			if err := stream.Send(&linkv1.CopyOutResponse{Stat: st}); err != nil {
				return err
			}
			return rootfs.PackAll(out)
		})
	}
	return v.Container.Do(func() error {
		st, err := rootfs.StatPath(req.GetPath())
		if err != nil {
			return err
		}
		if err := stream.Send(&linkv1.CopyOutResponse{Stat: pathStat(st)}); err != nil {
			return err
		}
		return rootfs.Pack(out, req.GetPath())
	})
}

// CopyIn implements linkv1.LinkServer.
func (s *Server) CopyIn(stream grpc.ClientStreamingServer[linkv1.CopyInRequest, linkv1.CopyInResponse]) error {
	v, err := s.Machine.Spaces()
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	tar := linkv1.NewReader(func() ([]byte, error) {
		m, err := stream.Recv()
		return m.GetData(), err
	})
	o := rootfs.UnpackOptions{Path: first.GetPath(), KeepKinds: first.GetKeepKinds(), Owner: first.GetOwner()}
	if err := v.Container.Do(func() error { return rootfs.Unpack(tar, o) }); err != nil {
		return err
	}
	return stream.SendAndClose(&linkv1.CopyInResponse{})
}

// Changes implements linkv1.LinkServer.
func (s *Server) Changes(stream grpc.BidiStreamingServer[linkv1.ChangesRequest, linkv1.ChangesResponse]) error {
	v, err := s.Machine.Spaces()
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	base := linkv1.NewReader(func() ([]byte, error) {
		m, err := stream.Recv()
		return m.GetBase(), err
	})
	if first.GetLayer() {
		out := linkv1.Writer(func(p []byte) error { return stream.Send(&linkv1.ChangesResponse{Data: p}) })
		return v.Root.Do(func() error { return rootfs.WriteLayer(out, base) })
	}
	msg := &linkv1.ChangesResponse{}
	send := func() error {
		if len(msg.Changes) == 0 {
			return nil
		}
		err := stream.Send(msg)
		msg = &linkv1.ChangesResponse{}
		return err
	}
	err = v.Root.Do(func() error {
		return rootfs.Compare(base, func(c rootfs.Change) error {
			msg.Changes = append(msg.Changes, &linkv1.Change{Kind: linkv1.ChangeKind(c.Kind), Path: c.Path})
			if len(msg.Changes) < changesPerMessage {
				return nil
			}
			return send()
		})
	})
	if err != nil {
		return err
	}
	return send()
}
