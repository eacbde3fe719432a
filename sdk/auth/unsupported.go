package auth

import (
	"context"
	"fmt"

	"github.com/openvic/vic/sdk/errdef"
)

// Unsupported has the methods that need a capability; each answers errdef.ErrUnsupported. Drivers embed
// it and write those that they have.
type Unsupported struct{}

func unsupported(method string) error { return fmt.Errorf("%s: %w", method, errdef.ErrUnsupported) }

// Password is unsupported.
func (Unsupported) Password(context.Context, PasswordRequest) (Identity, error) {
	return Identity{}, unsupported("sign-in by password")
}

// Begin is unsupported.
func (Unsupported) Begin(context.Context, BeginRequest) (Redirect, error) {
	return Redirect{}, unsupported("sign-in by redirect")
}

// Finish is unsupported.
func (Unsupported) Finish(context.Context, FinishRequest) (Identity, error) {
	return Identity{}, unsupported("sign-in by redirect")
}

// Token is unsupported.
func (Unsupported) Token(context.Context, TokenRequest) (Identity, error) {
	return Identity{}, unsupported("sign-in by token")
}

// Lookup is unsupported.
func (Unsupported) Lookup(context.Context, LookupRequest) (Entry, error) {
	return Entry{}, unsupported("look-up of users and groups")
}

// Search is unsupported.
func (Unsupported) Search(context.Context, SearchRequest) (SearchResult, error) {
	return SearchResult{}, unsupported("search for users and groups")
}

// Save is unsupported.
func (Unsupported) Save(context.Context, SaveRequest) error {
	return unsupported("management of users and groups")
}

// Remove is unsupported.
func (Unsupported) Remove(context.Context, RemoveRequest) error {
	return unsupported("management of users and groups")
}
