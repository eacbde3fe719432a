package registry

import "sync"

// recent holds manifests and pages of tags that were read a short time ago. Each holds as long as the repository has the version that it was read
// after, which every pull looks at. It may be used by several goroutines.
type recent struct {
	mu   sync.Mutex
	size int
	kept map[recentKey]recentManifest
}

type recentKey struct {
	repo int64
	ref  string // tag or digest; "?" and more is a page of the tags
}

type recentManifest struct {
	Artifact
	payload []byte // nobody changes it
	next    string // of a page of tags, the header that names the next one
	version int64
}

// Bounds of recent, in bytes: of one manifest, and of all. Beyond it begins anew.
const (
	recentLargest = 64 << 10
	recentMost    = 16 << 20
	recentRow     = 512 // what one costs beside its payload
)

func (c *recent) find(repo int64, ref string, version int64) (recentManifest, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.kept[recentKey{repo, ref}]
	return m, ok && m.version == version
}

func (c *recent) keep(repo int64, ref string, m recentManifest) {
	if len(m.payload) > recentLargest {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := recentKey{repo, ref}
	if old, ok := c.kept[key]; ok {
		c.size -= len(old.payload) + recentRow
	}
	if c.size += len(m.payload) + recentRow; c.kept == nil || c.size > recentMost {
		c.kept, c.size = map[recentKey]recentManifest{}, len(m.payload)+recentRow
	}
	c.kept[key] = m
}
