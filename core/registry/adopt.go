package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// plainRoot is where distribution, v2 and v3, keeps its data in a storage.
const plainRoot = "/docker/registry/v2"

// AdoptOptions say what is taken over, and how.
type AdoptOptions struct {
	// From is the storage of distribution; nil: it lies in the registry's own, and content stays where it is.
	From storagedriver.StorageDriver
	// Link, if not nil, gives an object of From a second name in the registry's storage; where it cannot, content is copied.
	Link func(from, to string) error
	// Name makes a repository's name here of its name there; "": it is left out.
	Name func(repo string) string
	// Tags, if not nil, are tags that somebody else kept, as Harbor does, beside those in the storage: tag to digest.
	Tags func(repo string) (map[string]digest.Digest, error)
	// By is who the manifests are said to be pushed by.
	By     string
	DryRun bool
}

// Adopted is what was taken over, or would be.
type Adopted struct {
	Repositories, Manifests, Tags int
	Blobs                         int   // that the registry did not have
	Bytes                         int64 // of them
	InPlace, Linked, Copied       int   // how the blobs came
	Skipped                       int
	First                         []Fault // what was left out and why, 100 at most
}

func (a *Adopted) skip(kind, format string, args ...any) {
	if a.Skipped++; len(a.First) < 100 {
		a.First = append(a.First, Fault{kind, fmt.Sprintf(format, args...)})
	}
}

// Adopt takes over the repositories of a plain distribution, whose registry must not run any more. The projects must be
// there. What was taken over before stays as it is, also tags that have moved since, so that a run that was stopped is run
// again. Manifests without their content, and those of schema 1, are left out and told.
func (g *Registry) Adopt(ctx context.Context, o AdoptOptions) (Adopted, error) {
	a := &adopter{g: g, o: o, from: o.From}
	if a.from == nil {
		a.from = g.driver
	}
	if _, err := a.from.Stat(ctx, plainRoot); errors.As(err, &storagedriver.PathNotFoundError{}) {
		return a.did, fmt.Errorf("the storage has no %s: it is not that of a registry: %w", plainRoot, errdef.ErrNotFound)
	} else if err != nil {
		return a.did, err
	}
	for repo, err := range PlainRepositories(ctx, a.from) {
		if err == nil {
			err = a.repository(ctx, repo)
		}
		if err != nil {
			return a.did, err
		}
	}
	return a.did, nil
}

// PlainRepositories are the names of the repositories in the storage of a plain distribution.
func PlainRepositories(ctx context.Context, d storagedriver.StorageDriver) iter.Seq2[string, error] {
	root := plainRoot + "/repositories"
	var walk func(at string, yield func(string, error) bool) bool
	walk = func(at string, yield func(string, error) bool) bool {
		list, err := names(ctx, d, at)
		if err != nil {
			return yield("", err)
		}
		if slices.Contains(list, "_manifests") && !yield(strings.TrimPrefix(at, root+"/"), nil) {
			return false
		}
		for _, name := range list {
			if !strings.HasPrefix(name, "_") && !walk(at+"/"+name, yield) {
				return false
			}
		}
		return true
	}
	return func(yield func(string, error) bool) { walk(root, yield) }
}

// names are the entries of a folder, sorted; none if it is not there.
func names(ctx context.Context, d storagedriver.StorageDriver, at string) ([]string, error) {
	list, err := d.List(ctx, at)
	if errors.As(err, &storagedriver.PathNotFoundError{}) {
		return nil, nil
	}
	for i, p := range list {
		list[i] = path.Base(p)
	}
	slices.Sort(list)
	return list, err
}

// adopter is one run.
type adopter struct {
	g    *Registry
	o    AdoptOptions
	from storagedriver.StorageDriver
	did  Adopted
}

// found is a manifest in the storage of distribution.
type found struct {
	digest  digest.Digest
	pushed  time.Time
	media   string
	size    int64
	needs   []digest.Digest // other manifests
	tags    []string
	visited bool
}

func plainBlob(d digest.Digest) string {
	return fmt.Sprintf("%s/blobs/%s/%s/%s/data", plainRoot, d.Algorithm(), d.Encoded()[:2], d.Encoded())
}

func (a *adopter) repository(ctx context.Context, there string) error {
	here := a.o.Name(there)
	if here == "" {
		return nil
	}
	if len(here) > maxName {
		a.did.skip("repository whose name is too long", "%s", here)
		return nil
	}
	all, err := a.manifests(ctx, there, here)
	if err == nil {
		err = a.tags(ctx, there, here, all)
	}
	if err != nil {
		return fmt.Errorf("repository %s: %w", there, err)
	}
	if len(all) == 0 {
		return nil
	}
	a.did.Repositories++
	var visit func(m *found) error
	visit = func(m *found) error { // what an index names comes before it
		if m.visited {
			return nil
		}
		m.visited = true
		for _, d := range m.needs {
			if n := all[d]; n != nil {
				if err := visit(n); err != nil {
					return err
				}
			}
		}
		return a.manifest(ctx, here, m)
	}
	for _, d := range sortedByTime(all) {
		if err := visit(all[d]); err != nil {
			return fmt.Errorf("repository %s: %s: %w", there, d, err)
		}
	}
	return nil
}

func sortedByTime(all map[digest.Digest]*found) []digest.Digest {
	list := make([]digest.Digest, 0, len(all))
	for d := range all {
		list = append(list, d)
	}
	slices.SortFunc(list, func(x, y digest.Digest) int {
		if n := all[x].pushed.Compare(all[y].pushed); n != 0 {
			return n
		}
		return strings.Compare(string(x), string(y))
	})
	return list
}

// manifests finds those that are linked in a repository, and what they are.
func (a *adopter) manifests(ctx context.Context, there, here string) (map[digest.Digest]*found, error) {
	root := plainRoot + "/repositories/" + there + "/_manifests/revisions"
	all := map[digest.Digest]*found{}
	algorithms, err := names(ctx, a.from, root)
	if err != nil {
		return nil, err
	}
	for _, algorithm := range algorithms {
		list, err := names(ctx, a.from, root+"/"+algorithm)
		if err != nil {
			return nil, err
		}
		for _, hex := range list {
			d := digest.NewDigestFromEncoded(digest.Algorithm(algorithm), hex)
			link, err := a.from.Stat(ctx, root+"/"+algorithm+"/"+hex+"/link")
			if errors.As(err, &storagedriver.PathNotFoundError{}) || d.Validate() != nil {
				continue // it was deleted
			}
			if err != nil {
				return nil, err
			}
			doc, payload, err := a.read(ctx, d)
			if err != nil {
				a.did.skip("manifest that cannot be taken over", "%s@%s: %v", here, d, err)
				continue
			}
			m := &found{digest: d, pushed: link.ModTime(), media: doc.MediaType, size: int64(len(payload))}
			for _, x := range doc.Manifests {
				m.needs = append(m.needs, x.Digest)
			}
			all[d] = m
		}
	}
	return all, nil
}

// read reads a manifest and checks it.
func (a *adopter) read(ctx context.Context, d digest.Digest) (*document, []byte, error) {
	r, err := a.from.Reader(ctx, plainBlob(d), 0)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	payload, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err != nil {
		return nil, nil, err
	}
	if len(payload) > maxManifest {
		return nil, nil, fmt.Errorf("it has more than %d bytes", maxManifest)
	}
	if d.Algorithm().FromBytes(payload) != d {
		return nil, nil, errors.New("its content is not what its digest says")
	}
	doc, err := readDocument(mediaOf(payload), payload)
	if err != nil {
		return nil, nil, fmt.Errorf("%s", plainText(err))
	}
	return doc, payload, nil
}

// mediaOf guesses the type of a manifest that does not tell it, which OCI's may leave out.
func mediaOf(payload []byte) string {
	var x struct {
		MediaType string          `json:"mediaType"`
		Manifests json.RawMessage `json:"manifests"`
	}
	_ = json.Unmarshal(payload, &x) // readDocument tells
	switch {
	case x.MediaType != "":
		return x.MediaType
	case x.Manifests != nil:
		return v1.MediaTypeImageIndex
	}
	return v1.MediaTypeImageManifest
}

func plainText(err error) string {
	var e Error
	if errors.As(err, &e) && e.Detail != nil {
		return fmt.Sprint(e.Message, ": ", e.Detail)
	}
	return err.Error()
}

// tags finds out which names the manifests have.
func (a *adopter) tags(ctx context.Context, there, here string, all map[digest.Digest]*found) error {
	root := plainRoot + "/repositories/" + there + "/_manifests/tags"
	list, err := names(ctx, a.from, root)
	if err != nil {
		return err
	}
	tags := map[string]digest.Digest{}
	for _, tag := range list {
		text, err := a.from.GetContent(ctx, root+"/"+tag+"/current/link")
		if errors.As(err, &storagedriver.PathNotFoundError{}) {
			continue
		}
		if err != nil {
			return err
		}
		tags[tag] = digest.Digest(strings.TrimSpace(string(text)))
	}
	if a.o.Tags != nil {
		more, err := a.o.Tags(there)
		if err != nil {
			return err
		}
		for tag, d := range more {
			tags[tag] = d
		}
	}
	for tag, d := range tags {
		switch m := all[d]; {
		case !tagPattern.MatchString(tag):
			a.did.skip("tag that cannot be", "%s:%s", here, tag)
		case m == nil:
			a.did.skip("tag of a manifest that is not there", "%s:%s, %s", here, tag, d)
		default:
			m.tags = append(m.tags, tag)
		}
	}
	return nil
}

// manifest takes one over with what it names.
func (a *adopter) manifest(ctx context.Context, here string, m *found) error {
	doc, payload, err := a.read(ctx, m.digest)
	if err != nil {
		return err // it was there a moment ago
	}
	slices.Sort(m.tags)
	for _, b := range doc.blobs() {
		why, err := a.blob(ctx, here, b)
		if err != nil {
			return err
		}
		if why != "" {
			a.did.skip("manifest without its content", "%s@%s: %s: %s", here, m.digest, b.Digest, why)
			return nil
		}
	}
	if a.o.DryRun {
		a.did.Manifests++
		a.did.Tags += len(m.tags)
		return nil
	}
	p := &pushed{doc: doc, payload: payload, by: a.o.By, Artifact: Artifact{Project: projectOf(here), Repository: here, Digest: m.digest,
		MediaType: doc.MediaType, ArtifactType: doc.ArtifactType, Subject: doc.subject(), Size: m.size, Total: doc.total(m.size)}}
	var fresh bool
	var tagged int
	err = a.g.store.Tx(ctx, func(tx *store.Tx) (err error) {
		fresh, tagged, err = a.keep(tx, p, m)
		return err
	})
	if err != nil && isRefusal(err) {
		a.did.skip("manifest that the registry refuses", "%s@%s: %s", here, m.digest, plainText(err))
		return nil
	}
	if fresh && err == nil {
		a.did.Manifests++
	}
	if err == nil {
		a.did.Tags += tagged
	}
	return err
}

// isRefusal says that a client would have been told the same: the manifest is at fault, not the registry.
func isRefusal(err error) bool {
	code := status(answer(err))
	return code >= 400 && code < 500
}

// keep writes a manifest and those of its tags that are not there, with the time of its push.
func (a *adopter) keep(tx *store.Tx, p *pushed, m *found) (fresh bool, tagged int, err error) {
	var id, now int64
	at, err := a.g.ensureRepo(tx, p.Repository)
	if err != nil {
		return false, 0, err
	}
	err = tx.Row(`SELECT id FROM manifest WHERE repo_id = $1 AND digest = $2`, at.repo, m.digest.String()).Scan(&id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, 0, err
	}
	fresh, p.tags = id == 0, nil
	for _, t := range m.tags {
		var one int
		err := tx.Row(`SELECT 1 FROM tag WHERE repo_id = $1 AND name = $2`, at.repo, t).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			p.tags = append(p.tags, t)
		} else if err != nil {
			return false, 0, err
		}
	}
	if !fresh && len(p.tags) == 0 {
		return false, 0, nil
	}
	if _, err := a.g.keepManifest(tx, p); err != nil {
		return false, 0, err
	}
	now = m.pushed.UnixMilli()
	if fresh {
		if _, err := tx.Exec(`UPDATE manifest SET pushed = $1 WHERE repo_id = $2 AND digest = $3`, now, at.repo, m.digest.String()); err != nil {
			return false, 0, err
		}
	}
	for _, t := range p.tags {
		if _, err := tx.Exec(`UPDATE tag SET pushed = $1 WHERE repo_id = $2 AND name = $3`, now, at.repo, t); err != nil {
			return false, 0, err
		}
	}
	return fresh, len(p.tags), nil
}
