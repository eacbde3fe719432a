package replicate

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// Fake is a driver in memory for tests: it moves artifacts between registries that are made of it too.
type Fake struct {
	// Capabilities are what it serves; set by NewFake to all. Change them before the first call.
	Capabilities []string

	mu         sync.Mutex
	registries map[string]*FakeRegistry // by address
	failures   map[string]error
}

var _ Driver = (*Fake)(nil)

// FakeRegistry is a registry in memory. The Fake's lock guards it.
type FakeRegistry struct {
	endpoint Endpoint
	mu       *sync.Mutex
	repos    map[string]*fakeRepo
	uploads  map[string]int64 // bytes that arrived, by repository and blob
	received int64            // bytes of all uploads
	breaks   int64            // after so many bytes; 0: never
}

type fakeRepo struct {
	tags      map[string]string
	blobs     map[string]int64
	manifests map[string]FakeManifest
}

// FakeManifest is an artifact: blobs by digest, with their sizes, and what it refers to, if it does.
type FakeManifest struct {
	Digest  string
	Blobs   map[string]int64
	Subject string
	Corrupt bool // the blobs are not what their digests say
}

// NewFake makes a driver with registries at the endpoints: whoever shows another username or secret is
// denied.
func NewFake(endpoints ...Endpoint) *Fake {
	f := &Fake{Capabilities: Capabilities(), registries: map[string]*FakeRegistry{}, failures: map[string]error{}}
	for _, e := range endpoints {
		f.registries[e.URL] = &FakeRegistry{endpoint: e, mu: &f.mu, repos: map[string]*fakeRepo{}, uploads: map[string]int64{}}
	}
	return f
}

// Registry returns the one at an address.
func (f *Fake) Registry(address string) *FakeRegistry { return f.registries[address] }

func (r *FakeRegistry) repo(name string) *fakeRepo {
	if r.repos[name] == nil {
		r.repos[name] = &fakeRepo{tags: map[string]string{}, blobs: map[string]int64{}, manifests: map[string]FakeManifest{}}
	}
	return r.repos[name]
}

// Put stores an artifact, under a tag if that is not empty.
func (r *FakeRegistry) Put(repository, tag string, m FakeManifest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	to := r.repo(repository)
	maps.Copy(to.blobs, m.Blobs)
	to.manifests[m.Digest] = m
	if tag != "" {
		to.tags[tag] = m.Digest
	}
}

// Tag is the digest of a tag, empty if there is none.
func (r *FakeRegistry) Tag(repository, tag string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.repo(repository).tags[tag]
}

// Referrers counts what refers to a digest.
func (r *FakeRegistry) Referrers(repository, digest string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.repo(repository).referrers(digest))
}

// Received is how many bytes of blobs arrived.
func (r *FakeRegistry) Received() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.received
}

// Break lets the registry break the connection once, after so many more bytes.
func (r *FakeRegistry) Break(after int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.breaks = after
}

func (r *fakeRepo) referrers(digest string) []FakeManifest {
	var list []FakeManifest
	for _, d := range slices.Sorted(maps.Keys(r.manifests)) {
		if r.manifests[d].Subject == digest {
			list = append(list, r.manifests[d])
		}
	}
	return list
}

// Fail makes the next call of a method ("Copy") fail.
func (f *Fake) Fail(method string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures[method] = err
}

// enter locks and returns the failure that a test asked for. The caller unlocks.
func (f *Fake) enter(ctx context.Context, method, capability string) error {
	f.mu.Lock()
	if err := f.failures[method]; err != nil {
		delete(f.failures, method)
		return err
	}
	if capability != "" && !slices.Contains(f.Capabilities, capability) {
		return unsupported(method)
	}
	return ctx.Err()
}

// open finds the registry of an endpoint.
func (f *Fake) open(e Endpoint) (*FakeRegistry, error) {
	r := f.registries[e.URL]
	switch {
	case !strings.HasPrefix(e.URL, "https://"):
		return nil, fmt.Errorf("%s: the scheme is not https: %w", e.URL, errdef.ErrInvalid)
	case r == nil:
		return nil, fmt.Errorf("%s: no answer: %w", e.URL, errdef.ErrUnavailable)
	case r.endpoint.Username != e.Username || r.endpoint.Secret != e.Secret:
		return nil, fmt.Errorf("%s: the credential is not accepted: %w", e.URL, errdef.ErrDenied)
	}
	return r, nil
}

// Describe tells of itself.
func (f *Fake) Describe(ctx context.Context) (Description, error) {
	err := f.enter(ctx, "Describe", "")
	defer f.mu.Unlock()
	return Description{Kind: "fake", Title: "Fake registry", Schemes: []string{"https"}, Filters: []string{FilterRepository, FilterTag}}, err
}

// Check opens the endpoint.
func (f *Fake) Check(ctx context.Context, req CheckRequest) (Status, error) {
	err := f.enter(ctx, "Check", "")
	defer f.mu.Unlock()
	if err == nil {
		_, err = f.open(req.Remote)
	}
	if err != nil {
		return Status{}, err
	}
	return Status{Product: "Fake 1", MayPull: true, MayPush: true, ReferrersAPI: true}, nil
}

// List gives a repository at a time. Its patterns know no "**".
func (f *Fake) List(ctx context.Context, req ListRequest, page func([]Artifact) error) error {
	pages, err := f.list(ctx, req)
	if err != nil {
		return err
	}
	for _, p := range pages {
		if err := page(p); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fake) list(ctx context.Context, req ListRequest) ([][]Artifact, error) {
	err := f.enter(ctx, "List", CapPull)
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	r, err := f.open(req.Remote)
	if err != nil {
		return nil, err
	}
	var pages [][]Artifact
	for _, name := range slices.Sorted(maps.Keys(r.repos)) {
		var list []Artifact
		for tag, digest := range r.repos[name].tags {
			if fakeMatch(req.Repositories, name) && fakeMatch(req.Tags, tag) {
				list = append(list, Artifact{Repository: name, Tag: tag, Digest: digest, Size: r.repos[name].manifests[digest].size(),
					MediaType: "application/vnd.oci.image.manifest.v1+json", Pushed: time.Unix(1, 0).UTC()})
			}
		}
		pages = append(pages, list)
	}
	return pages, nil
}

func (m FakeManifest) size() int64 {
	var n int64
	for _, s := range m.Blobs {
		n += s
	}
	return n
}

func fakeMatch(patterns []string, name string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return ok || err != nil || strings.Contains(p, "**")
	})
}

// Delete removes a tag or a manifest.
func (f *Fake) Delete(ctx context.Context, req DeleteRequest) error {
	err := f.enter(ctx, "Delete", CapDelete)
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	r, err := f.open(req.Remote)
	if err != nil {
		return err
	}
	repo := r.repo(req.Repository)
	if req.Tag == "" {
		delete(repo.manifests, req.Digest)
		maps.DeleteFunc(repo.tags, func(_, digest string) bool { return digest == req.Digest })
		return nil
	}
	if is := repo.tags[req.Tag]; is != "" && req.Digest != "" && is != req.Digest {
		return fmt.Errorf("tag %s: means %s: %w", req.Tag, is, errdef.ErrConflict)
	}
	delete(repo.tags, req.Tag)
	return nil
}

// Prepare makes the repository.
func (f *Fake) Prepare(ctx context.Context, req PrepareRequest) error {
	err := f.enter(ctx, "Prepare", CapPrepare)
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	r, err := f.open(req.Remote)
	if err == nil {
		r.repo(req.Repository)
	}
	return err
}

// fakeCheckpoint is the upload that is under way.
type fakeCheckpoint struct {
	Blob   string
	Offset int64
}

func (c fakeCheckpoint) text() secret.Text {
	data, _ := json.Marshal(c) // a string and a number: it cannot fail
	return secret.Text(data)
}
