// Package replicate is the plugin kind that moves artifacts between this registry and another store of
// them: another hub, Harbor, a cloud's registry, a directory. This file is all a driver's author has to
// read: the interface, its vocabulary, an example and the errors; bounds.go has the numbers.
//
// The host owns rules, triggers, filters, queues, retries and the log. A driver knows one kind of remote:
// how to list, to copy one artifact, to delete one, to make room for a repository.
//
// # Rules
//
//   - Endpoints travel with every call; a driver keeps nothing between two calls. One side of Copy is this
//     registry, which the host names with a short-lived credential; the other is the remote. A credential
//     goes to its own endpoint and to the token service that the endpoint names, and not along with
//     redirects.
//   - Every call is idempotent: the host makes it again after a crash. Calls may come at the same time.
//   - Copy sends what the destination does not have: blobs first, then the manifests from the leaves to
//     the root, then what refers to it, then the tag. A reader of the destination never sees a tag whose
//     content is not there.
//   - Progress.Checkpoint is all that a driver needs to go on from there, as far as the destination still
//     knows of it. The host stores the last one and gives it to the next attempt. A checkpoint that the
//     driver cannot use, of another version for example, is no error.
//   - Functions that a request's caller passes are called by one goroutine at a time. If one returns an
//     error, the driver stops and returns that. The SDK gives signs of life while a driver says nothing.
//   - An artifact is what its digest says: a driver verifies what it copies, on the way.
//   - Capabilities say which methods there are. Describe and Check always are; a method without its
//     capability answers errdef.ErrUnsupported.
//
// # Example
//
// The copy of a driver whose remote is a directory of OCI layouts, with the capability CapPush:
//
//	func (d *directory) Copy(ctx context.Context, req replicate.CopyRequest, progress func(replicate.Progress) error) (replicate.Result, error) {
//		from, to, err := d.open(req)
//		if err != nil {
//			return replicate.Result{}, err
//		}
//		var p replicate.Progress
//		err = walk(ctx, from, req.Digest, func(blob descriptor) error { // leaves first
//			if to.Has(blob.Digest) {
//				p.Skipped += blob.Size
//			} else if err := to.Put(ctx, blob, from.Open(ctx, blob)); err != nil {
//				return err
//			} else {
//				p.Bytes += blob.Size
//			}
//			return progress(p)
//		})
//		if err == nil && req.ToTag != "" {
//			err = to.Tag(req.ToTag, req.Digest, req.Override) // ErrExists: it means another digest
//		}
//		return replicate.Result{Bytes: p.Bytes, Skipped: p.Skipped}, err
//	}
//
// # Errors
//
// Each method says what it returns beside errdef.ErrUnavailable (no answer, or too many requests: the host
// tries again, see Later), errdef.ErrDenied (the credential is not accepted, or may not do this),
// errdef.ErrInvalid (the endpoint is none of the driver's kind, or its certificate is not trusted) and
// errdef.ErrUnsupported. A request that breaks a bound is errdef.ErrInvalid before the driver sees it; an
// answer that breaks one reaches the host as errdef.ErrInternal, and as nothing else.
package replicate

import (
	"context"
	"errors"
	"time"

	"github.com/openvic/vic/sdk/secret"
)

// Driver is what a replicate plugin serves.
type Driver interface {
	// Describe says what kind of remote it is.
	Describe(ctx context.Context) (Description, error)
	// Check tries an endpoint before it is saved: address, certificate, credential.
	Check(ctx context.Context, req CheckRequest) (Status, error)
	// List gives the remote's artifacts to page, some at a time (CapPull). It narrows by the request as
	// far as the remote can; the host filters again.
	List(ctx context.Context, req ListRequest, page func([]Artifact) error) error
	// Copy copies one artifact (CapPull: from the remote; CapPush: to it). progress may be nil. ErrNotFound:
	// it is gone. ErrExists: the tag means another digest, and may not be moved. ErrInvalid also: content is
	// not what its digest says. ErrExhausted: the destination is full; trying again does not help.
	Copy(ctx context.Context, req CopyRequest, progress func(Progress) error) (Result, error)
	// Delete removes a tag, or a manifest, at the remote (CapDelete); no error if it is gone. ErrConflict:
	// the tag means another digest, or may not go.
	Delete(ctx context.Context, req DeleteRequest) error
	// Prepare makes sure that a repository can be pushed to: it makes the project, for example (CapPrepare).
	Prepare(ctx context.Context, req PrepareRequest) error
}

// The capabilities of a replicate component.
const (
	CapPull      = "pull"      // List, and Copy from the remote
	CapPush      = "push"      // Copy to the remote
	CapDelete    = "delete"    // Delete
	CapPrepare   = "prepare"   // Prepare
	CapResume    = "resume"    // Copy goes on in the middle of a blob
	CapReferrers = "referrers" // Copy copies referrers
)

// Capabilities are all of them.
func Capabilities() []string {
	return []string{CapPull, CapPush, CapDelete, CapPrepare, CapResume, CapReferrers}
}

// HeaderVia is the header of CopyRequest.Via, separated by commas.
const HeaderVia = "Vic-Replicated-Via"

// Description is what kind of remote a driver knows.
type Description struct {
	Kind  string // "oci"
	Title string // in the list of choices: "OCI registry"
	// Schemes are those of the endpoints' addresses: "https", "file". At least one.
	Schemes []string
	// Filters are what List narrows by itself.
	Filters []string
}

// What List may narrow by itself.
const (
	FilterRepository = "repository"
	FilterTag        = "tag"
	FilterSince      = "since"
)

// Endpoint is a registry, or what stands for one. One with a Secret and no Username is this registry itself: the Secret is a
// bearer token. The keys of package outbound in Options say where a driver may connect to on behalf of the endpoint.
type Endpoint struct {
	URL        string
	Username   string
	Secret     secret.Text
	CA         []byte // PEM; empty: the system's
	SkipVerify bool
	Options    map[string]string // the kind's own
}

// CheckRequest asks about an endpoint.
type CheckRequest struct {
	Remote Endpoint
}

// Status is how an endpoint is.
type Status struct {
	Product          string // "Harbor 2.15", as far as it tells
	MayPull, MayPush bool
	ReferrersAPI     bool     // else the tag scheme is used
	Warnings         []string // "the certificate expires in 3 days"
}

// ListRequest asks for artifacts.
type ListRequest struct {
	Remote       Endpoint
	Repositories []string  // doublestar patterns; none: all
	Tags         []string  // likewise
	Since        time.Time // pushed then or later; zero: ever
}

// Artifact is one at the remote.
type Artifact struct {
	Repository string
	Tag        string // empty: untagged
	Digest     string
	MediaType  string
	Labels     []string
	Size       int64 // bytes; 0: not known
	Pushed     time.Time
}

// CopyRequest asks for a copy.
type CopyRequest struct {
	ID           string // the host's, for logs
	From, To     Endpoint
	Repository   string // at From
	Digest       string
	ToRepository string
	ToTag        string // empty: no tag
	Override     bool   // a tag that means another digest is moved
	Referrers    bool   // signatures, SBOMs and other referrers too, as deep as they go
	// BytesPerSecond is the most to send; 0: no limit.
	BytesPerSecond int64
	Parallel       int         // blobs at once: 1 to MaxParallel
	Checkpoint     secret.Text // of the attempt before; may be empty
	// Via names the hubs that the artifact has passed, this one last: see HeaderVia.
	Via []string
}

// Progress is how far a copy is.
type Progress struct {
	Bytes   int64 // that were sent by this call; it never falls
	Skipped int64 // that the destination had
	Total   int64 // of both in the end, as far as it is known; 0: it is not
	// Checkpoint is what to go on from; empty: as before.
	Checkpoint secret.Text
}

// Result is a copy that is complete.
type Result struct {
	Bytes     int64
	Skipped   int64
	Referrers int // that are at the destination now
}

// DeleteRequest names a tag or a manifest. With a tag only the tag goes, and only if it means Digest, if
// that is set. Without one the manifest goes, with all its tags.
type DeleteRequest struct {
	Remote     Endpoint
	Repository string
	Tag        string
	Digest     string
}

// PrepareRequest names a repository.
type PrepareRequest struct {
	Remote     Endpoint
	Repository string
	Public     bool // of a project that is made; one that is there stays as it is
}

// Later is an error of Copy with a time: the remote said when to try again.
type Later struct {
	After time.Duration // at most MaxLater
	Err   error         // errdef.ErrUnavailable
}

// Error is the error's.
func (l *Later) Error() string { return l.Err.Error() }

// Unwrap is the error.
func (l *Later) Unwrap() error { return l.Err }

// After is when to try again, if the error says so.
func After(err error) (time.Duration, bool) {
	var l *Later
	if !errors.As(err, &l) {
		return 0, false
	}
	return l.After, true
}
