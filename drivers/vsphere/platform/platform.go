// Package platform answers administrators about vCenter: how the datastores of this VCH are, what
// happened to its VMs.
package platform

import (
	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/session"
	sdk "github.com/openvic/vic/sdk/platform"
)

// Platform answers for one VCH.
type Platform struct {
	session *session.Session
	cfg     *config.Config
}

var _ sdk.Driver = (*Platform)(nil)

// New uses the driver's session.
func New(s *session.Session, cfg *config.Config) *Platform { return &Platform{session: s, cfg: cfg} }
