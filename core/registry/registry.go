// Package registry is the hub's registry. The HTTP protocol of uploads, the error bodies and the storage drivers are
// github.com/distribution/distribution/v3; what is remembered is in the hub's database. Manifests, tags, referrers and
// the catalogue never touch the storage.
//
// Every object in the storage has exactly one row that names it: in upload while it is written, in blob while it lives,
// in trash until it is removed. The row is there before the object, and goes after it; what moves an object from one to
// the next is one transaction, and no object is ever moved in the storage. So whatever dies at any moment leaves nothing
// unknown, and garbage collection walks rows, never the storage, while pushes and pulls go on.
//
// A transaction that changes what a project has begins by locking the project's row, and locks blobs in the order of
// their digests: on PostgreSQL that orders those who meet, on SQLite there is one writer anyway.
package registry

import (
	"context"
	"crypto/rand"
	_ "crypto/sha256" // go-digest knows only the algorithms that are linked
	_ "crypto/sha512"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	registrymiddleware "github.com/distribution/distribution/v3/registry/middleware/registry"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/singleflight"

	"github.com/openvic/vic/core/store"
)

//go:embed schema.sql
var schema string

// schemaVersion numbers the states of a repository's manifests and tags: who changes any adds 1, and what was read at one number
// holds until then.
const schemaVersion = `ALTER TABLE repo ADD COLUMN version BIGINT NOT NULL DEFAULT 0`

// Schema is the registry's tables, projects among them.
func Schema() store.Schema {
	return store.Schema{Name: "registry", Watched: []string{"project(name, public)"}, Steps: []string{schema,
		// When a manifest was last pulled, by whatever name, and when by this tag; 0: never.
		`ALTER TABLE manifest ADD COLUMN pulled BIGINT NOT NULL DEFAULT 0; ALTER TABLE tag ADD COLUMN pulled BIGINT NOT NULL DEFAULT 0`,
		schemaVersion,
		// Lists of artifacts are of those alone that are not about another one.
		`CREATE INDEX manifest_list ON manifest(repo_id, pushed, id) WHERE subject IS NULL; DROP INDEX manifest_pushed`,
		// What people write of a repository.
		`ALTER TABLE repo ADD COLUMN description TEXT NOT NULL DEFAULT ''`}}
}

// Options of a registry. Authorizer and Log must be set.
type Options struct {
	Authorizer Authorizer
	Policy     Policy    // nil: everything may be pulled, tags move, untagged manifests stay
	Observer   Observer  // nil: nobody
	Upstreams  Upstreams // nil: no project is a proxy cache
	Log        *slog.Logger
	// ReadOnly says whether repositories must stay as they are at the moment; nil: never. The collector, which changes
	// nothing that anybody sees, goes on.
	ReadOnly func(ctx context.Context) (bool, error)

	// Sparse takes manifests in that name blobs, or indexes that name manifests, which are not there.
	Sparse bool
	// Redirect lets clients fetch blobs from the storage itself where it can (S3).
	Redirect bool

	// UploadLife is how long an upload is kept that nobody goes on with; 0: a day.
	UploadLife time.Duration
	// Grace is how long a blob stays that no manifest needs: from its push, or the deletion of the last manifest that
	// needed it, so that a push under way finds what it saw; 0: an hour.
	Grace time.Duration
	// TrashGrace is how long content stays in the storage that nothing names any more, for those who are reading it;
	// 0: half an hour, more than the life of a redirection.
	TrashGrace time.Duration
	// Now tells the time; nil: time.Now.
	Now func() time.Time
}

// Limits on what comes from clients.
const (
	maxManifest = 4 << 20 // bytes, as distribution and Harbor have it
	maxName     = 255     // characters of a repository's name
	maxPage     = 1000    // entries of a list in one answer
	maxRefs     = 20000   // descriptors in one manifest
	maxTags     = 100     // tags that one push of a manifest sets
)

// Registry serves /v2/.
type Registry struct {
	store  *store.Store
	driver storagedriver.StorageDriver
	app    *handlers.App
	log    *slog.Logger
	auth   Authorizer
	policy Policy
	watch  Observer
	o      Options
	id     string // see ID
	files  bool   // the storage is a folder: what is written to it is there when it is closed
	busy   busyUploads
	begun  begunUploads
	ctx    context.Context // the registry's
	fills  fills
	// fetches are the manifests that proxy caches fetch at the moment.
	fetches singleflight.Group
	pulled  recent
}

// New makes a registry on a store, opened with Schema, and a storage driver. ctx ends with the registry.
func New(ctx context.Context, s *store.Store, driver storagedriver.StorageDriver, o Options) (*Registry, error) {
	if o.Authorizer == nil || o.Log == nil {
		return nil, errors.New("a registry needs an Authorizer and a Log")
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.UploadLife, 24*time.Hour)
	def(&o.Grace, time.Hour)
	def(&o.TrashGrace, 30*time.Minute)
	if o.Now == nil {
		o.Now = time.Now
	}
	g := &Registry{store: s, driver: driver, log: o.Log, auth: o.Authorizer, policy: o.Policy, watch: o.Observer, o: o, ctx: ctx,
		files: driver.Name() == filesystemName}
	if g.policy == nil {
		g.policy = laissezFaire{}
	}
	if g.watch == nil {
		g.watch = laissezFaire{}
	}
	secret, err := uploadSecret(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	if g.id, err = registryID(ctx, s); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	if err := g.start(ctx, secret); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return g, nil
}

// uploadSecret signs the state of uploads in their URLs. It is the same for all processes on one database.
func uploadSecret(ctx context.Context, s *store.Store) (secret []byte, err error) {
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // never fails
	err = s.Tx(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO registry_setting (name, value) VALUES ('upload-secret', $1) ON CONFLICT (name) DO NOTHING`, fresh); err != nil {
			return err
		}
		return tx.Row(`SELECT value FROM registry_setting WHERE name = 'upload-secret'`).Scan(&secret)
	})
	return secret, err
}

// middleware is the name under which distribution's App finds our Namespace.
const middleware = "vic-hub"

// Distribution's registrations are global and by name: once, and the registry itself comes with the options. Its App
// logs each request to logrus's standard logger at several levels; the registry's own log says what matters of it.
var registerOnce = sync.OnceValue(func() error {
	logrus.SetOutput(io.Discard)
	logrus.SetLevel(logrus.PanicLevel)
	registerDriver()
	return registrymiddleware.Register(middleware, func(_ context.Context, _ distribution.Namespace, _ storagedriver.StorageDriver,
		o map[string]any) (distribution.Namespace, error) {
		g, ok := o["registry"].(*Registry)
		if !ok {
			return nil, errors.New("no registry in the options")
		}
		return &namespace{g: g}, nil
	})
})

// start makes distribution's App, which panics on what it does not like.
func (g *Registry) start(ctx context.Context, secret []byte) (err error) {
	if err := registerOnce(); err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("distribution: %v", p)
		}
	}()
	c := &configuration.Configuration{Storage: configuration.Storage{
		given:    {"driver": g.driver},
		"delete": {"enabled": true},
		// The purger walks the storage; our collector knows the uploads by their rows.
		"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
	}}
	c.HTTP.Secret = string(secret)
	c.HTTP.RelativeURLs = true
	c.Middleware = map[string][]configuration.Middleware{"registry": {{Name: middleware, Options: configuration.Parameters{"registry": g}}}}
	g.app = handlers.NewApp(ctx, c)
	return nil
}

// now is the registry's time as the database has it.
func (g *Registry) now() int64 { return g.o.Now().UnixMilli() }

// after is a time from now as the database has it.
func (g *Registry) after(d time.Duration) int64 { return g.o.Now().Add(d).UnixMilli() }

// unknownName is the answer for a repository or a project that is not there.
func unknownName(name string) error {
	return codeNameUnknown.WithDetail(map[string]string{"name": name})
}
