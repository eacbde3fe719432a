package serve

import (
	"context"
	"fmt"

	"github.com/openvic/vic/sdk/errdef"
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
