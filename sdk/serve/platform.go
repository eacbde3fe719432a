package serve

import (
	"context"
	"fmt"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/platform"
	pluginv1 "github.com/openvic/vic/sdk/proto/plugin/v1"
)

// Authenticate asks the plugin about a user.
func (s *Server[C]) Authenticate(ctx context.Context, req *pluginv1.AuthenticateRequest) (*pluginv1.AuthenticateResponse, error) {
	if err := s.ready("every"); err != nil {
		return nil, errdef.ToGRPC(err)
	}
	f := s.get().Authenticate
	if f == nil {
		return nil, errdef.ToGRPC(fmt.Errorf("plugin %s knows no users: %w", s.plugin.Name, errdef.ErrUnsupported))
	}
	if err := f(ctx, req.GetUser(), req.GetPassword()); err != nil {
		return nil, errdef.ToGRPC(err)
	}
	return &pluginv1.AuthenticateResponse{}, nil
}

// Platform asks the plugin how its platform is.
func (s *Server[C]) Platform(ctx context.Context, req *pluginv1.PlatformRequest) (*pluginv1.PlatformResponse, error) {
	if err := s.ready("every"); err != nil {
		return nil, errdef.ToGRPC(err)
	}
	f := s.get().Platform
	if f == nil {
		return nil, errdef.ToGRPC(fmt.Errorf("plugin %s has nothing to tell: %w", s.plugin.Name, errdef.ErrUnsupported))
	}
	r, err := f(ctx, int(req.GetEvents()))
	if err != nil {
		return nil, errdef.ToGRPC(err)
	}
	return platform.ToProto(r), nil
}
