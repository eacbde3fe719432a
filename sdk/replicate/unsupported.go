package replicate

import (
	"context"
	"fmt"

	"github.com/openvic/vic/sdk/errdef"
)

// Unsupported has the methods that need a capability; each answers errdef.ErrUnsupported. Drivers embed
// it and write those that they have.
type Unsupported struct{}

func unsupported(method string) error { return fmt.Errorf("%s: %w", method, errdef.ErrUnsupported) }

// List is unsupported.
func (Unsupported) List(context.Context, ListRequest, func([]Artifact) error) error {
	return unsupported("list of artifacts")
}

// Copy is unsupported.
func (Unsupported) Copy(context.Context, CopyRequest, func(Progress) error) (Result, error) {
	return Result{}, unsupported("copy")
}

// Delete is unsupported.
func (Unsupported) Delete(context.Context, DeleteRequest) error { return unsupported("delete") }

// Prepare is unsupported.
func (Unsupported) Prepare(context.Context, PrepareRequest) error {
	return unsupported("making of projects")
}
