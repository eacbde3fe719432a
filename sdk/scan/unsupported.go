package scan

import (
	"context"
	"fmt"

	"github.com/openvic/vic/sdk/errdef"
)

// Unsupported has the methods that need a capability; each answers errdef.ErrUnsupported. Drivers embed
// it and write those that they have.
type Unsupported struct{}

func unsupported(method string) error { return fmt.Errorf("%s: %w", method, errdef.ErrUnsupported) }

// Scan is unsupported.
func (Unsupported) Scan(context.Context, ScanRequest, Sink) (Report, error) {
	return Report{}, unsupported("scan")
}

// Match is unsupported.
func (Unsupported) Match(context.Context, MatchRequest, Sink) (Report, error) {
	return Report{}, unsupported("scan of an SBOM")
}

// Import is unsupported.
func (Unsupported) Import(context.Context, ImportRequest) (Database, error) {
	return Database{}, unsupported("import of data")
}

// Update is unsupported.
func (Unsupported) Update(context.Context, func(Progress) error) (Database, error) {
	return Database{}, unsupported("update of the data")
}

// Changes is unsupported.
func (Unsupported) Changes(context.Context, ChangesRequest) (Changes, error) {
	return Changes{}, unsupported("changes of the data")
}
