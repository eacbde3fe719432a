package operation

import (
	"context"
	"errors"

	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
)

// Deletion is what delete did.
type Deletion struct {
	// Nothing says why there was nothing to delete, which is no failure; nil if there was something.
	Nothing error
	Others  string // the VCHs that there are, then
}

// Delete removes a VCH, or what is left of one.
func Delete(ctx context.Context, s *session.Session, o vch.DeleteOptions, log *progress.Log) (Deletion, error) {
	log.Step("delete")
	log.Printf("looking for VCH %s", o.Query)
	err := vch.Delete(ctx, s, o, log)
	if errors.Is(err, errdef.ErrNotFound) {
		return Deletion{Nothing: err, Others: vch.Others(ctx, s)}, nil
	}
	if err == nil {
		log.Printf("VCH %s is gone", o.Query)
	}
	return Deletion{}, err
}
