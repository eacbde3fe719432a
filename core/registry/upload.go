package registry

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/registry/api/errcode"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/store"
)

const (
	// root is the folder of our objects in the storage. A plain registry's may lie beside it.
	root = "/vic-hub/objects/"
	// bufferSize is what an upload holds in memory.
	bufferSize = 256 << 10
	// claimLife is how long a request that writes an upload keeps others away when its process dies. It renews the
	// claim after a third of it.
	claimLife = time.Minute
)

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// busyUploads are the uploads that a request of this process writes at the moment. Two that wrote one object at once
// could leave content in it that nobody has hashed.
type busyUploads struct {
	mu  sync.Mutex
	ids map[string]struct{}
}

func (b *busyUploads) take(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.ids[id]; ok {
		return false
	}
	if b.ids == nil {
		b.ids = map[string]struct{}{}
	}
	b.ids[id] = struct{}{}
	return true
}

func (b *busyUploads) give(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.ids, id)
}

// writer is one request's part of writing a blob.
type writer struct {
	g        *Registry
	ctx      context.Context // of the request, without its cancellation: what came is kept
	q        *request
	id       string
	location string
	started  time.Time
	quota    int64 // of the project; below 0: none
	where    whereabouts

	size    int64
	saved   int64 // the size in the database
	hash    hash.Hash
	file    storagedriver.FileWriter // nil: not open
	claimed bool
	claim   string    // in the database; "": none
	renew   time.Time // when to renew it
	done    bool
}

var _ distribution.BlobWriter = (*writer)(nil)

// newWriter is for an upload of a number.
func (g *Registry) newWriter(ctx context.Context, q *request, id string) *writer {
	return &writer{g: g, ctx: context.WithoutCancel(ctx), q: q, id: id, hash: sha256.New()}
}

// newUpload begins an upload into the request's repository. held: this request goes on with it, and want is the digest of the
// whole, if it knows that.
func (g *Registry) newUpload(ctx context.Context, q *request, held bool, want digest.Digest) (*writer, error) {
	id := uuid.NewString()
	u := g.newWriter(ctx, q, id)
	u.location, u.started = root+id[:2]+"/"+id, g.o.Now()
	var until int64
	if held {
		g.busy.take(id) // nobody else knows it
		u.claimed = true
		if g.store.Kind() != "sqlite" {
			u.claim, u.renew, until = uuid.NewString(), g.o.Now().Add(claimLife/3), g.after(claimLife)
		}
	}
	// The row is on the disk before the object is made: open sees to that.
	err := g.store.LazyRow(ctx, []any{&u.where.project, &u.quota, &u.where.used, &u.where.repo, &u.where.there}, `
		INSERT INTO upload (id, project_id, repo, location, size, started, touched, claim, claimed_until)
		SELECT CAST($1 AS TEXT), id, CAST($2 AS TEXT), CAST($3 AS TEXT), 0, CAST($4 AS BIGINT), CAST($4 AS BIGINT), CAST($6 AS TEXT), CAST($7 AS BIGINT)
		FROM project WHERE name = $5 RETURNING project_id, (SELECT quota FROM project WHERE name = $5), (SELECT used FROM project WHERE name = $5),
		COALESCE((SELECT id FROM repo WHERE name = $2), 0), EXISTS (SELECT 1 FROM blob WHERE digest = $8)`,
		id, q.name, u.location, u.started.UnixMilli(), projectOf(q.name), u.claim, until, want.String())
	if errors.Is(err, sql.ErrNoRows) {
		err = codeNameUnknown.WithMessage(fmt.Sprintf("there is no project %q", projectOf(q.name)))
	}
	if err != nil {
		if held {
			u.release()
		}
		return nil, err
	}
	g.begun.keep(id, g.store.Soon())
	return u, nil
}

// uploadState is what is known of an upload u, and of where its content of the digest $1 goes.
const uploadState = `u.location, u.size, u.hash, u.started, u.project_id, (SELECT p.quota FROM project p WHERE p.id = u.project_id),
	(SELECT p.used FROM project p WHERE p.id = u.project_id), COALESCE((SELECT r.id FROM repo r WHERE r.name = u.repo), 0),
	EXISTS (SELECT 1 FROM blob b WHERE b.digest = $1)`

// state reads what read finds of an upload.
func (u *writer) state(read func(dest ...any) error) error {
	var hash []byte
	var started int64
	err := read(&u.location, &u.size, &hash, &started, &u.where.project, &u.quota, &u.where.used, &u.where.repo, &u.where.there)
	if err == nil && hash != nil {
		err = u.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(hash)
	}
	u.saved, u.started = u.size, time.UnixMilli(started)
	return err
}

// findUpload finds one that has begun; distribution.ErrBlobUploadUnknown.
func (g *Registry) findUpload(ctx context.Context, q *request, id string) (*writer, error) {
	u := g.newWriter(ctx, q, id)
	err := u.state(g.store.Point(ctx, `SELECT `+uploadState+` FROM upload u WHERE u.id = $2 AND u.repo = $3`, "", id, q.name).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		err = distribution.ErrBlobUploadUnknown
	}
	if err == nil && q.r != nil && q.r.Method == http.MethodGet {
		err = u.catchUp()
	}
	return u, err
}

var errTaken = errcode.ErrorCodeRangeInvalid.WithMessage("another request is writing to this upload, or has gone on with it; ask for its status")

// takeUpload is findUpload for a request that goes on with an upload, until Close, Commit or Cancel: it keeps others away from
// it. want is the digest of the whole, "" if that is not known yet.
func (g *Registry) takeUpload(ctx context.Context, q *request, id string, want digest.Digest) (_ *writer, err error) {
	if !g.busy.take(id) {
		return nil, errTaken
	}
	defer func() {
		if err != nil {
			g.busy.give(id)
		}
	}()
	if g.store.Kind() == "sqlite" { // no other process
		u := g.newWriter(ctx, q, id)
		err := u.state(g.store.Point(ctx, `SELECT `+uploadState+` FROM upload u WHERE u.id = $2 AND u.repo = $3`, want.String(), id, q.name).Scan)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, distribution.ErrBlobUploadUnknown
		}
		u.claimed = true
		return u, err
	}
	u := g.newWriter(ctx, q, id)
	u.claim, u.renew, u.claimed = uuid.NewString(), g.o.Now().Add(claimLife/3), true
	err = u.state(func(dest ...any) error {
		return g.store.LazyRow(u.ctx, dest, `UPDATE upload u SET claim = $4, claimed_until = $5, touched = $6
			WHERE u.id = $2 AND u.repo = $3 AND (u.claim = '' OR u.claimed_until < $6) RETURNING `+uploadState,
			want.String(), id, q.name, u.claim, g.after(claimLife), g.now())
	})
	if errors.Is(err, sql.ErrNoRows) {
		if _, err := g.findUpload(ctx, q, id); err != nil {
			return nil, err
		}
		return nil, errTaken
	}
	return u, err
}

// catchUp takes in what a process that died wrote of the object and did not say, for a client that asks how much there is: it
// goes on behind that. A storage whose unfinished objects cannot be read keeps it to itself, and open gives the upload up.
func (u *writer) catchUp() error {
	info, err := u.g.driver.Stat(u.ctx, u.location)
	if errors.As(err, &storagedriver.PathNotFoundError{}) || err == nil && info.Size() <= u.size {
		return nil
	}
	if err != nil {
		return err
	}
	if u.hold() != nil {
		return nil // a request is writing: the row says what was there before
	}
	defer u.release()
	r, err := u.g.driver.Reader(u.ctx, u.location, u.size)
	if err == nil {
		var n int64
		n, err = io.Copy(u.hash, io.LimitReader(r, info.Size()-u.size))
		u.size += n
		err = errors.Join(err, r.Close())
	}
	return errors.Join(err, u.save())
}

func (u *writer) Size() int64          { return u.size }
func (u *writer) ID() string           { return u.id }
func (u *writer) StartedAt() time.Time { return u.started }

// hold keeps other requests away from the upload until Close, Commit or Cancel.
func (u *writer) hold() error {
	if u.claimed {
		return nil
	}
	if !u.g.busy.take(u.id) {
		return errTaken
	}
	err := u.take()
	if errors.Is(err, sql.ErrNoRows) {
		err = errTaken
	}
	if err != nil {
		u.g.busy.give(u.id)
		return err
	}
	u.claimed = true
	return nil
}

// take makes sure that nothing has changed since the upload was found, sql.ErrNoRows, and where other processes share
// the database takes it from them.
func (u *writer) take() error {
	if u.g.store.Kind() == "sqlite" {
		var one int
		return u.g.store.Point(u.ctx, `SELECT 1 FROM upload WHERE id = $1 AND size = $2`, u.id, u.saved).Scan(&one)
	}
	claim := uuid.NewString()
	n, err := u.g.store.LazyExec(u.ctx, `UPDATE upload SET claim = $1, claimed_until = $2, touched = $5
		WHERE id = $3 AND size = $4 AND (claim = '' OR claimed_until < $5)`, claim, u.g.after(claimLife), u.id, u.saved, u.g.now())
	if err == nil && n == 0 {
		err = sql.ErrNoRows
	}
	u.claim, u.renew = claim, u.g.o.Now().Add(claimLife/3)
	return err
}

// keep renews the claim of an upload that takes long.
func (u *writer) keep() error {
	if u.claim == "" || u.g.o.Now().Before(u.renew) {
		return nil
	}
	u.renew = u.g.o.Now().Add(claimLife / 3)
	n, err := u.g.store.LazyExec(u.ctx, `UPDATE upload SET claimed_until = $1, touched = $2 WHERE id = $3 AND claim = $4`,
		u.g.after(claimLife), u.g.now(), u.id, u.claim)
	if err == nil && n == 0 {
		err = distribution.ErrBlobUploadUnknown
	}
	return err
}

func (u *writer) open() error {
	if err := u.hold(); err != nil || u.file != nil {
		return err
	}
	if u.size == 0 {
		if err := u.g.begun.durable(u.id, u.g.store); err != nil {
			return err
		}
	}
	file, err := u.g.driver.Writer(u.ctx, u.location, u.size > 0)
	if errors.As(err, &storagedriver.PathNotFoundError{}) || (err == nil && file.Size() != u.size) {
		// The process died between writing the object and saying how much of it there is, or the storage lost it.
		if err == nil {
			_ = file.Close()
		}
		return errors.Join(distribution.ErrBlobUploadUnknown, u.abandon())
	}
	u.file = file
	return err
}

// Write takes content. When the storage does not, the upload is over: what it took of the disk is given back.
func (u *writer) Write(p []byte) (int, error) {
	n, err := u.write(p)
	if err != nil {
		if u.file != nil {
			err = errors.Join(err, u.Cancel(u.ctx))
		}
		_ = u.q.note(err)
	}
	return n, err
}

func (u *writer) write(p []byte) (int, error) {
	if u.quota >= 0 && u.size+int64(len(p)) > u.quota {
		return 0, overQuota(fmt.Sprintf("the blob alone is larger than the project's quota of %d bytes", u.quota))
	}
	if err := u.open(); err != nil {
		return 0, err
	}
	if err := u.keep(); err != nil {
		return 0, err
	}
	n, err := u.file.Write(p)
	u.hash.Write(p[:n])
	u.size += int64(n)
	return n, err
}

// ReadFrom takes content in pieces of the buffer's size, whatever the network gives at a time.
func (u *writer) ReadFrom(r io.Reader) (int64, error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	var total int64
	for {
		n, err := io.ReadFull(r, *buf)
		if n > 0 {
			if _, werr := u.Write((*buf)[:n]); werr != nil {
				return total, werr
			}
			total += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return total, nil
		case err != nil:
			return total, err
		}
	}
}

// Close keeps what came, so that a later request goes on from there.
func (u *writer) Close() error {
	if !u.claimed {
		return nil
	}
	defer u.release()
	if u.done {
		return nil
	}
	if u.file != nil {
		err := u.file.Close()
		u.file = nil
		if err != nil {
			return errors.Join(u.q.note(err), u.abandon())
		}
	}
	if u.size == u.saved && u.claim == "" {
		return nil
	}
	return u.q.note(u.save())
}

// save writes how much there is, and the state of its digest, and lets the claim go.
func (u *writer) save() error {
	state, err := u.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return err
	}
	// If a crash takes this away the object is longer than the row says, until catchUp.
	n, err := u.g.store.LazyExec(u.ctx, `UPDATE upload SET size = $1, hash = $2, touched = $3, claim = '', claimed_until = 0 WHERE id = $4 AND claim = $5`,
		u.size, state, u.g.now(), u.id, u.claim)
	if err == nil && n == 0 {
		err = distribution.ErrBlobUploadUnknown
	}
	u.saved = u.size
	if errors.Is(err, distribution.ErrBlobUploadUnknown) {
		err = errors.Join(err, u.abandon())
	}
	return err
}

func (u *writer) release() {
	u.claimed = false
	u.g.busy.give(u.id)
}

// Commit checks the content and makes it a blob of the repository, in one transaction.
func (u *writer) Commit(ctx context.Context, want v1.Descriptor) (v1.Descriptor, error) {
	got, err := u.complete(want.Digest.Algorithm())
	if err != nil {
		return v1.Descriptor{}, u.q.note(err)
	}
	if got != want.Digest {
		return v1.Descriptor{}, distribution.ErrBlobInvalidDigest{Digest: want.Digest, Reason: fmt.Errorf("content has %s", got)}
	}
	if err := u.publish(ctx, got); err != nil {
		return v1.Descriptor{}, u.q.note(err)
	}
	u.done = true
	return v1.Descriptor{MediaType: octets, Digest: got, Size: u.size}, nil
}

// complete ends the object and tells its digest. Another algorithm than SHA-256 costs reading it once more.
func (u *writer) complete(a digest.Algorithm) (digest.Digest, error) {
	if !a.Available() {
		return "", distribution.ErrBlobDigestUnsupported
	}
	if err := u.hold(); err != nil {
		return "", err
	}
	if u.size == 0 {
		return a.FromBytes(nil), nil
	}
	if err := u.finish(); err != nil {
		return "", err
	}
	if a == digest.SHA256 {
		return digest.NewDigest(a, u.hash), nil
	}
	f, err := u.g.driver.Reader(u.ctx, u.location, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return a.FromReader(f)
}

// finish ends the object. A file that is closed is complete as it is, if it has all that the row says.
func (u *writer) finish() error {
	if u.file == nil && u.size == u.saved && u.g.files {
		file, err := u.g.driver.Stat(u.ctx, u.location)
		if err == nil && file.Size() == u.size {
			return nil
		}
	}
	if err := u.open(); err != nil {
		return err
	}
	err := u.file.Commit(u.ctx)
	err = errors.Join(err, u.file.Close())
	u.file = nil
	return err
}

// Cancel gives the upload up.
func (u *writer) Cancel(context.Context) error {
	if u.done {
		return u.Close()
	}
	if err := u.hold(); err != nil {
		return u.q.note(err)
	}
	defer u.release()
	if u.file != nil {
		// Where the disk is full this makes the room that the database may need. It is in the trash all the same.
		_ = u.file.Cancel(u.ctx)
		u.file = nil
	}
	return u.q.note(u.abandon())
}

// abandon moves the object from upload to trash. If the row went while this request wrote, the object may have been made
// anew after it was removed: then it goes to the trash once more, unless another row names it.
func (u *writer) abandon() error {
	u.done = true
	return u.g.store.Tx(u.ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM upload WHERE id = $1 AND claim = $2`, u.id, u.claim)
		if err != nil {
			return err
		}
		if n == 0 {
			var there bool
			err := tx.Row(`SELECT EXISTS (SELECT 1 FROM upload WHERE location = $1) OR EXISTS (SELECT 1 FROM blob WHERE location = $1)`, u.location).Scan(&there)
			if err != nil || there {
				return err
			}
		}
		return trash(tx, u.location, u.size, u.g.now(), true)
	})
}
