// Package auth is the plugin kind that knows people: vCenter Single Sign-On, local users, LDAP, an
// OpenID provider. This file is all a driver's author has to read: the interface, its vocabulary, an
// example and the errors; bounds.go has the numbers.
//
// The host owns sessions, cookies, roles, robots, its own tokens, limits on tries, and the audit log. A
// driver says who somebody is and which groups they are in. It never decides what they may do.
//
// # Rules
//
//   - A principal's ID is "<domain>/<name>" (see ID). It does not change, is never given to somebody
//     else, and is compared byte by byte: a platform that ignores the case of names has them in lower
//     case here. Its domain is one that Describe lists; the host refuses others (see Confine).
//   - Groups are all groups, nested ones too, by ID, no ID twice. A group need not be one on the
//     platform: "vsphere.local/vch-administrators" may stand for those who have a privilege there. It is
//     a fact about the user; what follows from it is the host's decision.
//   - A driver keeps nothing between two calls but what its platform keeps: the next call may reach
//     another process. What Finish needs of Begin travels in Redirect.Sealed, what Verify needs of the
//     sign-in travels in Identity.Session. The host keeps both encrypted, Sealed bound to the browser.
//   - The host makes state and nonce, compares the state before it calls Finish, and takes each state once. The driver checks
//     the nonce, the signature and the audience of what came back.
//   - The host calls Verify when an identity is older than Description.Refresh. errdef.ErrDenied ends the
//     session. errdef.ErrUnavailable does not: sessions go on until they expire, nobody new gets in.
//   - Save and Remove are idempotent. Whoever is removed or disabled is denied from the next call on.
//   - Calls may come at the same time.
//   - Capabilities say which methods there are. Describe and Verify always are; a method without its
//     capability answers errdef.ErrUnsupported.
//
// # Example
//
// A driver for passwords in a file, with the capability CapPassword:
//
//	type users struct {
//		auth.Unsupported               // answers for all the methods that are not here
//		hashes map[string]argon2.Hash  // by ID
//		groups map[string][]string     // by ID, nested ones too
//	}
//
//	func (u *users) Password(ctx context.Context, req auth.PasswordRequest) (auth.Identity, error) {
//		id := auth.ID("file", strings.ToLower(req.Name))
//		hash, known := u.hashes[id]
//		// Verify takes as long for the zero Hash, so that time does not tell whether a name is known.
//		if !hash.Verify(string(req.Password)) || !known {
//			return auth.Identity{}, fmt.Errorf("name or password is wrong: %w", errdef.ErrDenied)
//		}
//		return u.identity(id), nil
//	}
//
//	func (u *users) Verify(ctx context.Context, req auth.VerifyRequest) (auth.Identity, error) {
//		if _, ok := u.hashes[req.ID]; !ok {
//			return auth.Identity{}, fmt.Errorf("%s is not there any more: %w", req.ID, errdef.ErrDenied)
//		}
//		return u.identity(req.ID), nil
//	}
//
// # Errors
//
// Each method says what it returns beside errdef.ErrUnavailable (the platform does not answer) and
// errdef.ErrUnsupported. A request that breaks a bound is errdef.ErrInvalid before the driver sees it; an
// answer that breaks one reaches the host as errdef.ErrInternal, and as nothing else.
package auth

import (
	"context"
	"time"

	"github.com/openvic/vic/sdk/secret"
)

// Driver is what an auth plugin serves.
type Driver interface {
	// Describe says which domains the driver knows, and how. It does not ask the platform.
	Describe(ctx context.Context) (Description, error)
	// Password signs in with name and password (CapPassword). ErrDenied, with one text, for a wrong name,
	// a wrong password, and a user who is disabled or locked; it takes as long for each. ErrConflict: both
	// are right, but the password has expired and must be changed first. ErrExhausted: the user is in more
	// than MaxGroups groups. An empty password is never right.
	Password(ctx context.Context, req PasswordRequest) (Identity, error)
	// Begin gives the address to send a browser to (CapRedirect).
	Begin(ctx context.Context, req BeginRequest) (Redirect, error)
	// Finish takes what the browser came back with (CapRedirect). ErrDenied: the provider refused, or what
	// came back is forged, expired or used. ErrExhausted as in Password.
	Finish(ctx context.Context, req FinishRequest) (Identity, error)
	// Token signs in with a token that the platform issued for itself or for this product (CapToken). A
	// token made for anybody else is ErrDenied, as is one that is expired or forged. ErrExhausted as in
	// Password.
	Token(ctx context.Context, req TokenRequest) (Identity, error)
	// Verify says whether a session is still allowed, and tells the groups of now. ErrDenied: no more.
	// ErrExhausted as in Password.
	Verify(ctx context.Context, req VerifyRequest) (Identity, error)
	// Lookup tells of one principal as it is now (CapLookup): for members who left, and for users who come
	// with a secret that the host gave them. ErrNotFound. ErrExhausted as in Password.
	Lookup(ctx context.Context, req LookupRequest) (Entry, error)
	// Search finds users and groups, for the form that adds members (CapSearch). It ignores case and
	// looks anywhere in name and full name.
	Search(ctx context.Context, req SearchRequest) (SearchResult, error)
	// Save makes or changes a user or group (CapManage); the same again changes nothing. ErrInvalid: the
	// platform's rules refuse the name or the password; the text says which rule. ErrNotFound: a group of
	// the request is not there. ErrExists: see SaveRequest.OnlyNew. ErrConflict: there is a group of this
	// ID and the request has a user, or the other way round; groups would contain each other.
	Save(ctx context.Context, req SaveRequest) error
	// Remove removes a user or group (CapManage); no error if it is gone. ErrDenied: it is not the
	// plugin's to remove.
	Remove(ctx context.Context, req RemoveRequest) error
}

// The capabilities of an auth component.
const (
	CapPassword = "password" // Password
	CapRedirect = "redirect" // Begin and Finish
	CapToken    = "token"    // Token
	CapLookup   = "lookup"   // Lookup
	CapSearch   = "search"   // Search
	CapManage   = "manage"   // Save and Remove: the users are the plugin's own
)

// Capabilities are all of them.
func Capabilities() []string {
	return []string{CapPassword, CapRedirect, CapToken, CapLookup, CapSearch, CapManage}
}

// Kind is what a principal is.
type Kind string

// The kinds of principals.
const (
	User  Kind = "user"
	Group Kind = "group"
)

// Principal is a user or a group.
type Principal struct {
	ID   string
	Kind Kind
	// Name is as people write it: "dev@vsphere.local". It may change.
	Name     string
	FullName string
	Email    string
	Disabled bool
}

// Identity is who signed in, by the platform's word.
type Identity struct {
	Principal Principal // a user who is not disabled
	Groups    []string
	// Expires is when the platform's word ends, and the host's session with it; zero: the host decides.
	Expires time.Time
	// Session is for Verify; the host keeps the one of the latest answer. Empty if the driver needs none.
	Session secret.Text
	// LogoutURL is where a browser goes to sign out of the platform too; empty if nowhere.
	LogoutURL string
}

// Description is what a driver knows.
type Description struct {
	// Title is on the button and in the list of choices: "vCenter Single Sign-On".
	Title string
	// Domains are what IDs begin with. At least one.
	Domains []string
	// Administrators are IDs of groups that the host makes administrators at its first start, if its own
	// configuration names none.
	Administrators []string
	// Refresh is after how long the host calls Verify: MinRefresh to MaxRefresh.
	Refresh time.Duration
}

// PasswordRequest is a sign-in by password.
type PasswordRequest struct {
	// Name is as it was typed: "dev", "dev@vsphere.local", `VSPHERE\dev`.
	Name     string
	Password secret.Text
}

// BeginRequest begins a sign-in by redirect.
type BeginRequest struct {
	// Callback is the host's address that the browser comes back to.
	Callback string
	// State comes back with the browser (RelayState in SAML).
	State string
	// Nonce is in what the provider signs.
	Nonce string
}

// Redirect is where a browser goes.
type Redirect struct {
	URL    string
	Sealed secret.Text
	// FormPost says that the browser comes back with a form, by POST, the state in the field RelayState or state; else it
	// comes by GET.
	FormPost bool
}

// FinishRequest finishes a sign-in by redirect.
type FinishRequest struct {
	Callback string // as in BeginRequest
	Nonce    string // likewise
	Sealed   secret.Text
	// Parameters are those of the query or of the form, without the state. They are as hostile as any
	// browser.
	Parameters map[string]string
}

// TokenRequest is a sign-in by a token of the platform: a JWT, a SAML assertion.
type TokenRequest struct {
	Token secret.Text
}

// VerifyRequest asks for a session.
type VerifyRequest struct {
	ID      string
	Session secret.Text
}

// LookupRequest names a principal by one of the two.
type LookupRequest struct {
	ID   string
	Name string // as in PasswordRequest
}

// Entry is a principal and the groups that it is in.
type Entry struct {
	Principal Principal
	Groups    []string // nested ones too
}

// SearchRequest looks for principals.
type SearchRequest struct {
	Text  string // empty: all
	Kind  Kind   // empty: both
	Limit int    // 1 to MaxLimit
	Page  string // SearchResult.NextPage of the answer before; empty: from the beginning
}

// SearchResult is one page of what was found.
type SearchResult struct {
	Principals []Principal // at most SearchRequest.Limit
	NextPage   string      // empty: that was all
}

// SaveRequest makes or changes a principal. The host chooses the ID.
type SaveRequest struct {
	Principal Principal
	// Password is the new one; empty: as it is. A new user needs one.
	Password secret.Text
	// Groups are the IDs of the groups that it is directly in, if SetGroups; else they stay as they are.
	Groups    []string
	SetGroups bool
	// OnlyNew makes it ErrExists if there is one with this ID that the request would change.
	OnlyNew bool
}

// RemoveRequest names a principal to remove.
type RemoveRequest struct {
	ID string
}
