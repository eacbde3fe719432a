package plugin

import (
	"context"

	"github.com/openvic/vic/sdk/errdef"
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
