package registry

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store"
)

// What an Authorizer and a Caller answer. All other errors are failures of theirs: the client is told that the registry
// cannot say, with status 500.
var (
	// ErrUnauthenticated: the credentials are wrong, or there are none, or others would do. The client gets 401 and
	// the Authorizer's challenge.
	ErrUnauthenticated = errors.New("authentication required")
	// ErrDenied: this caller may not, whatever else they show. The client gets 403.
	ErrDenied = errors.New("access denied")
	// ErrHidden: this caller may not know that the repository is there. The client gets 404, as for one that is not.
	ErrHidden = errors.New("not to be told")
)

// Action is what somebody wants to do with a repository.
type Action string

// The actions, with the words of Docker's token protocol.
const (
	Pull   Action = "pull"
	Push   Action = "push"
	Delete Action = "delete"
	All    Action = "*" // of the catalogue
)

// Access is one thing that somebody wants to do. The zero Access is to talk to the registry at all, which is what
// docker login tries.
type Access struct {
	Type   string // "repository" or "registry"
	Name   string // of the repository, or "catalog"
	Action Action
}

// Caller is who sent a request.
type Caller interface {
	// Name is for logs and events; "" for one who did not sign in.
	Name() string
	// May returns nil, ErrUnauthenticated, ErrDenied or ErrHidden. It is asked about other repositories than the
	// request's too: whether a blob may be mounted from there.
	May(ctx context.Context, wanted Access) error
}

// Authorizer finds out who callers are. The registry itself knows no users.
type Authorizer interface {
	// Authenticate returns the caller, also one without a name, or ErrUnauthenticated when the credentials are wrong.
	Authenticate(r *http.Request) (Caller, error)
	// Challenge is the value of the header WWW-Authenticate that tells a client how to get what it wanted.
	Challenge(r *http.Request, wanted []Access) string
}

// Artifact is a manifest in a repository.
type Artifact struct {
	Project      string
	ProjectID    int64  // 0 if who tells does not know it; a Policy always does
	Repository   string // with the project: project/name
	Digest       digest.Digest
	MediaType    string
	ArtifactType string
	Subject      digest.Digest // "" for most
	Size         int64         // bytes of the manifest
	Total        int64         // bytes with all that it names
}

// Policy decides by rules of projects. A method that returns an *Error chooses what the client is told.
type Policy interface {
	// MayPull is asked at each GET of a manifest and of each that is copied, after the caller's right to pull. tag is "" when
	// it was asked for by digest. A HEAD is answered without it: who pushes asks what is there, and a refusal has no text.
	MayPull(ctx context.Context, c Caller, a Artifact, tag string) error
	// Immutable says whether a tag that exists may neither move nor go. It is asked within the transaction that would
	// do so, and must not begin one.
	Immutable(ctx context.Context, tx *store.Tx, a Artifact, tag string) (bool, error)
	// Untagged says how long a manifest of a project stays that has no tag, that no index names and whose subject, if
	// it has one, is not there. Below 0: for ever. It is asked outside of transactions.
	Untagged(ctx context.Context, project string) (time.Duration, error)
}

// EventKind is what happened.
type EventKind string

// The kinds. A tag that goes alone is EventUntag; all tags of a deleted manifest go with EventDelete.
const (
	EventPull   EventKind = "pull"
	EventPush   EventKind = "push"
	EventDelete EventKind = "delete"
	EventUntag  EventKind = "untag"
	// EventQuota is a push that the project's quota of bytes refused; the Artifact has no more than its repository.
	EventQuota EventKind = "quota"
)

// Event is a manifest that was pulled, pushed or deleted, or a push that was refused for a quota. Blobs have no events: clients move them only on behalf of
// manifests.
type Event struct {
	Kind     EventKind
	Time     time.Time
	Caller   string // "" for one without a name; "gc" for the collector
	Address  string // of the client
	Agent    string // the client's User-Agent
	Artifact Artifact
	// ProjectID is the number of the artifact's project.
	ProjectID int64
	Tags      []string
	// Via names the hubs that a pushed artifact has passed, the last one last: the header Vic-Replicated-Via.
	Via []string
	// Unchanged is a push of what was there already, with the same tags.
	Unchanged bool
}

// Observer is told what happens.
type Observer interface {
	// Changing is told of pushes and deletes within their transaction; an error undoes it. It may run more than once
	// for what happens once, and only the last run is kept, so it does nothing but write to tx.
	Changing(tx *store.Tx, e Event) error
	// Happened is told of everything when it is done. It must not block: a client waits.
	Happened(ctx context.Context, e Event)
}

// laissezFaire is the Policy and the Observer of a registry that has none.
type laissezFaire struct{}

func (laissezFaire) MayPull(context.Context, Caller, Artifact, string) error { return nil }
func (laissezFaire) Immutable(context.Context, *store.Tx, Artifact, string) (bool, error) {
	return false, nil
}
func (laissezFaire) Untagged(context.Context, string) (time.Duration, error) { return -1, nil }
func (laissezFaire) Changing(*store.Tx, Event) error                         { return nil }
func (laissezFaire) Happened(context.Context, Event)                         {}
