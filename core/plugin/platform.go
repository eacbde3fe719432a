package plugin

import (
	"context"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/platform"
	pluginv1 "github.com/openvic/vic/sdk/proto/plugin/v1"
)

// Authenticate asks a plugin whether a user of its platform may administer. errdef.ErrDenied: no;
// errdef.ErrUnsupported: the platform knows no users.
func (h *Host) Authenticate(ctx context.Context, name, user, password string) error {
	s, err := h.find(name)
	if err != nil {
		return err
	}
	_, err = pluginv1.NewPluginServiceClient(&handle{s}).Authenticate(ctx, &pluginv1.AuthenticateRequest{User: user, Password: password})
	return errdef.FromGRPC(err)
}

// Platform asks a plugin how its platform is, with the latest events. errdef.ErrUnsupported if it has
// nothing to tell.
func (h *Host) Platform(ctx context.Context, name string, events int) (platform.Report, error) {
	s, err := h.find(name)
	if err != nil {
		return platform.Report{}, err
	}
	m, err := pluginv1.NewPluginServiceClient(&handle{s}).Platform(ctx, &pluginv1.PlatformRequest{Events: int32(min(max(events, 0), 1000))})
	if err != nil {
		return platform.Report{}, errdef.FromGRPC(err)
	}
	return platform.FromProto(m), nil
}
