// Package notary is the hub's Notary service of version 1, for Docker Content Trust: clients of docker up to 28 sign tags with
// "docker trust sign", and pull signed ones alone with DOCKER_CONTENT_TRUST=1. It is on the registry's own port, where those
// clients look unless they are told otherwise.
//
// A repository has The Update Framework's metadata: root, targets and delegations are signed by people, who keep the keys; snapshot
// and timestamp by the hub, which keeps theirs sealed. What is published is one transaction under the lock of the repository's row:
// signatures, thresholds and versions are checked against what is there by github.com/theupdateframework/notary/tuf, and all of it
// counts, or none.
//
// Clients name a repository with the host that they know the hub by (a GUN: hub.example.com/demo/app), and the root's certificate
// says it. The hub keeps one set of metadata for a repository, for the name that it was first made for.
package notary

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/theupdateframework/notary/tuf/data"

	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
)

// Schema is the tables, over the registry's. A target is a tag that somebody has signed: what the roles that docker's clients read
// say, as far as they were valid when something was last published.
func Schema() store.Schema {
	return store.Schema{Name: "notary", Steps: []string{`
CREATE TABLE tuf_repo (
	id @id, project BIGINT NOT NULL REFERENCES project(id) ON DELETE CASCADE, name @ascii NOT NULL UNIQUE, gun TEXT NOT NULL, made BIGINT NOT NULL
);
CREATE TABLE tuf_meta (
	repo BIGINT NOT NULL REFERENCES tuf_repo(id) ON DELETE CASCADE, role @ascii NOT NULL, version BIGINT NOT NULL, sum @ascii NOT NULL,
	content @bytes NOT NULL, made BIGINT NOT NULL, PRIMARY KEY (repo, role, version)
);
CREATE TABLE tuf_key (
	repo BIGINT NOT NULL REFERENCES tuf_repo(id) ON DELETE CASCADE, id @ascii NOT NULL, role @ascii NOT NULL, public @bytes NOT NULL,
	sealed @bytes NOT NULL, made BIGINT NOT NULL, PRIMARY KEY (repo, id)
);
CREATE TABLE tuf_target (
	repo BIGINT NOT NULL REFERENCES tuf_repo(id) ON DELETE CASCADE, role @ascii NOT NULL, tag @ascii NOT NULL, digest @ascii NOT NULL,
	expires BIGINT NOT NULL, keys TEXT NOT NULL, made BIGINT NOT NULL, PRIMARY KEY (repo, role, tag)
);
CREATE INDEX tuf_target_digest ON tuf_target(repo, digest)`}}
}

// Bounds.
const (
	maxUpload   = 16 << 20 // bytes of one publication
	maxRole     = 4 << 20  // of one role's metadata in it
	maxRoot     = 64 << 10 // of a root's
	maxKept     = 64 << 20 // of all that a repository has
	maxRoleName = 255      // bytes
	maxRoles    = 100      // of a repository
	maxRoots    = 500      // versions of a root: clients walk from the one that they know to the last
	maxRepos    = 10_000   // repositories of a project that have metadata
	maxTargets  = 20_000   // tags that one role signs
	maxTag      = 128      // characters of a tag; what is longer names none
	keptOlder   = 5        // versions of the other roles: a client may be in the middle of reading one
	unpublished = 24 * time.Hour
	renewBefore = 24 * time.Hour // a timestamp is made anew that ends so soon
)

// Options are what a Notary is made of.
type Options struct {
	DB     *store.Store
	Sealer *seal.Sealer
	// Auth says who asks and what they may, as in the registry.
	Auth registry.Authorizer
	// Name is the name in the registry of what a client calls a repository, with a host before it.
	Name func(r *http.Request, gun string) string
	// ReadOnly says whether repositories must stay as they are; nil: never.
	ReadOnly func(ctx context.Context) (bool, error)
	// Changed is told of what a client has changed: "create" or "delete"; nil: nobody is.
	Changed func(r *http.Request, who registry.Caller, project int64, repository, operation string)
	Log     *slog.Logger
	Now     func() time.Time // nil: time.Now; the library's own checks of expiry go by the machine's clock
}

// Notary serves it. It may be used by several goroutines.
type Notary struct{ o Options }

// expiries are those of docker's own service; the library keeps them in a variable for the whole process.
var expiries = sync.OnceFunc(func() { data.SetDefaultExpiryTimes(data.NotaryDefaultExpiries) })

// New makes a Notary on a store that was opened with Schema.
func New(o Options) *Notary {
	expiries()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.ReadOnly == nil {
		o.ReadOnly = func(context.Context) (bool, error) { return false, nil }
	}
	if o.Changed == nil {
		o.Changed = func(*http.Request, registry.Caller, int64, string, string) {}
	}
	return &Notary{o}
}

// The roles whose targets docker's clients read.
const roleReleases = data.RoleName("targets/releases")

// Signed says whether somebody has signed a manifest of a repository under a tag, or, for "", under any.
func (n *Notary) Signed(ctx context.Context, repository, tag, digest string) (bool, error) {
	var found int
	err := n.o.DB.QueryRow(ctx, `SELECT COUNT(*) FROM tuf_target t JOIN tuf_repo r ON r.id = t.repo
		WHERE r.name = $1 AND t.digest = $2 AND (CAST($3 AS TEXT) = '' OR t.tag = $3) AND t.expires > $4`,
		repository, digest, tag, n.o.Now().UnixMilli()).Scan(&found)
	return found > 0, err
}

// Held finds one of some tags, or a manifest if digest is not empty, that is signed: neither goes before its signature.
func Held(tx *store.Tx, repository, digest string, tags []string) (string, error) {
	var repo int64
	err := tx.Row(`SELECT id FROM tuf_repo WHERE name = $1`, repository).Scan(&repo)
	find := func(condition, arg string) (tag string) {
		if err != nil {
			return ""
		}
		err = tx.Row(`SELECT tag FROM tuf_target WHERE repo = $1 AND `+condition+` LIMIT 1`, repo, arg).Scan(&tag)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return tag
	}
	if digest != "" {
		if tag := find("digest = $2", digest); tag != "" {
			return tag, nil
		}
	}
	for _, t := range tags {
		if tag := find("tag = $2", t); tag != "" {
			return tag, nil
		}
	}
	if errors.Is(err, sql.ErrNoRows) { // nothing was ever signed
		err = nil
	}
	return "", err
}

// Any finds a tag of a repository that is signed; "" if none is.
func Any(ctx context.Context, q store.Querier, repository string) (tag string, err error) {
	err = q.QueryRow(ctx, `SELECT t.tag FROM tuf_target t JOIN tuf_repo r ON r.id = t.repo WHERE r.name = $1 LIMIT 1`, repository).Scan(&tag)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return tag, err
}

// Target is a tag that somebody has signed.
type Target struct {
	Role, Tag string
	// Keys are the IDs of the keys that signed it, as docker trust inspect tells them.
	Keys          string
	Made, Expires time.Time
}

// Targets are the signatures of a manifest of a repository, at most 100.
func Targets(ctx context.Context, q store.Querier, repository, digest string) ([]Target, error) {
	const most = 100
	list, _, err := store.List(ctx, q, most, func(r *sql.Rows) (t Target, err error) {
		var made, expires int64
		err = r.Scan(&t.Role, &t.Tag, &t.Keys, &made, &expires)
		t.Made, t.Expires = time.UnixMilli(made), time.UnixMilli(expires)
		return t, err
	}, `SELECT t.role, t.tag, t.keys, t.made, t.expires FROM tuf_target t JOIN tuf_repo r ON r.id = t.repo
		WHERE r.name = $1 AND t.digest = $2 ORDER BY t.role, t.tag LIMIT $3`, repository, digest)
	return list, err
}

// Forget removes the metadata of a repository that goes.
func Forget(tx *store.Tx, repository string) (bool, error) {
	n, err := tx.Exec(`DELETE FROM tuf_repo WHERE name = $1`, repository)
	return n > 0, err
}
