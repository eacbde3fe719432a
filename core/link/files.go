package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest/linkv1"
	"github.com/openvic/vic/sdk/guest/rootfs"
)

// Streams of files are not taken up again after a break: the caller gets ErrUnavailable.

// StatPath describes a file of the container.
func (l *Link) StatPath(ctx context.Context, path string) (rootfs.Stat, error) {
	var st rootfs.Stat
	err := l.call(ctx, func() error {
		r, err := l.client.StatPath(ctx, &linkv1.StatPathRequest{Path: path})
		st = toStat(r.GetStat())
		return err
	})
	return st, err
}

func toStat(s *linkv1.PathStat) rootfs.Stat {
	return rootfs.Stat{Name: s.GetName(), Size: s.GetSize(), Mode: fs.FileMode(s.GetMode()), ModTime: toTime(s.GetModTime()),
		LinkTarget: s.GetLinkTarget()}
}

// reading is a stream of bytes from the tether.
type reading struct {
	io.Reader
	cancel context.CancelFunc
}

// Close ends the stream, also in the middle.
func (r *reading) Close() error {
	r.cancel()
	return nil
}

// CopyOut streams a file or directory as tar; whole is the root file system without what is mounted
// in it.
func (l *Link) CopyOut(ctx context.Context, path string, whole bool) (rootfs.Stat, io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	var first *linkv1.CopyOutResponse
	s, err := l.client.CopyOut(ctx, &linkv1.CopyOutRequest{Path: path, Whole: whole})
	if err == nil {
		first, err = s.Recv()
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("link to %s: no answer: %w", l.id, errdef.ErrUnavailable)
	}
	if err != nil {
		err = l.class(ctx, err)
		cancel()
		return rootfs.Stat{}, nil, err
	}
	r := linkv1.NewReader(func() ([]byte, error) {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return m.GetData(), l.class(ctx, err)
	})
	return toStat(first.GetStat()), &reading{Reader: r, cancel: cancel}, nil
}

// CopyIn unpacks a tar stream in the container.
func (l *Link) CopyIn(ctx context.Context, o rootfs.UnpackOptions, tar io.Reader) error {
	// Only CloseAndRecv ends the stream well: every other way out cancels it.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := l.client.CopyIn(ctx)
	if err != nil {
		return l.class(ctx, err)
	}
	first := &linkv1.CopyInRequest{Path: o.Path, KeepKinds: o.KeepKinds, Owner: o.Owner}
	if err := s.Send(first); err != nil && !errors.Is(err, io.EOF) {
		return l.class(ctx, err)
	}
	err = linkv1.Send(tar, func(p []byte) error { return s.Send(&linkv1.CopyInRequest{Data: p}) })
	var refused *linkv1.SendError
	if err != nil && !errors.As(err, &refused) {
		return err // the reader's
	}
	_, err = s.CloseAndRecv() // after a refusal the answer says why
	return l.class(ctx, err)
}

// Changes calls fn with what differs from a tree (package rootfs).
func (l *Link) Changes(ctx context.Context, base io.Reader, fn func(rootfs.Change)) error {
	return l.compare(ctx, false, base, func(m *linkv1.ChangesResponse) error {
		for _, c := range m.GetChanges() {
			fn(rootfs.Change{Kind: rootfs.ChangeKind(c.GetKind()), Path: c.GetPath()})
		}
		return nil
	})
}

// Diff writes what differs from a tree as an OCI layer.
func (l *Link) Diff(ctx context.Context, base io.Reader, layer io.Writer) error {
	return l.compare(ctx, true, base, func(m *linkv1.ChangesResponse) error {
		_, err := layer.Write(m.GetData())
		return err
	})
}

func (l *Link) compare(outer context.Context, layer bool, base io.Reader, fn func(*linkv1.ChangesResponse) error) error {
	ctx, cancel := context.WithCancel(outer)
	defer cancel()
	s, err := l.client.Changes(ctx)
	if err != nil {
		return l.class(ctx, err)
	}
	if err := s.Send(&linkv1.ChangesRequest{Layer: layer}); err != nil && !errors.Is(err, io.EOF) {
		return l.class(ctx, err)
	}
	// The tether answers while it reads: both ways at once.
	sent := make(chan error, 1)
	go func() {
		err := linkv1.Send(base, func(p []byte) error { return s.Send(&linkv1.ChangesRequest{Base: p}) })
		var refused *linkv1.SendError
		if err != nil && !errors.As(err, &refused) {
			cancel() // the reader's own: the tether must not take what it has for the whole
			sent <- err
			return
		}
		_ = s.CloseSend()
		sent <- nil
	}()
	for {
		m, err := s.Recv()
		if err != nil {
			cancel()
			if broken := <-sent; broken != nil {
				return broken
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return l.class(outer, err)
		}
		if err := fn(m); err != nil {
			cancel()
			<-sent //nolint:errcheck // its error is this one's doing
			return err
		}
	}
}
