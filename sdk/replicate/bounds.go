package replicate

import (
	"net/url"
	"slices"
	"time"

	"github.com/openvic/vic/sdk/internal/wire"
)

// The bounds of what crosses the wire. Texts are in bytes. Both sides enforce them.
const (
	MaxArtifacts  = 10_000_000 // of a list
	MaxURL        = 2 << 10
	MaxName       = 256 // of usernames, media types, products, schemes and the like
	MaxSecret     = 256 << 10
	MaxCA         = 256 << 10
	MaxOptions    = 64
	MaxOptionKey  = 128
	MaxOption     = 4 << 10
	MaxRepository = 512
	MaxTag        = 128
	MaxDigest     = 256
	MaxLabels     = 64
	MaxPatterns   = 100
	MaxPattern    = 512
	MaxWarnings   = 20
	MaxWarning    = 1 << 10
	MaxVia        = 16
	MaxID         = 128 // also of each hub in Via
	MaxCheckpoint = 64 << 10
	MaxParallel   = 32
	MaxLater      = 24 * time.Hour
	maxMessage    = 1 << 20
	batchBytes    = 256 << 10 // of artifacts in a message, roughly
)

type check struct{ wire.Check }

func (c *check) filled(field, s string, max int) {
	c.Line(field, s, max)
	c.That(s != "", "%s: is empty", field)
}

func (c *check) endpoint(field string, e Endpoint) {
	c.Line(field+": address", e.URL, MaxURL)
	if c.Err() != nil {
		return
	}
	u, err := url.Parse(e.URL)
	c.That(err == nil && u.Scheme != "" && u.User == nil, "%s: is no address with a scheme, or has a password in it", field)
	c.Line(field+": username", e.Username, MaxName)
	c.Secret(field+": secret", string(e.Secret), MaxSecret)
	c.Size(field+": CA", len(e.CA), MaxCA)
	c.Map(field+": options", e.Options, MaxOptions, MaxOptionKey, MaxOption)
}

func (d Description) check() error {
	var c check
	c.filled("kind", d.Kind, MaxName)
	c.filled("title", d.Title, MaxName)
	c.Lines("schemes", d.Schemes, MaxVia, MaxName)
	c.That(len(d.Schemes) > 0, "schemes: there are none")
	for _, f := range d.Filters {
		c.That(slices.Contains([]string{FilterRepository, FilterTag, FilterSince}, f), "filters: %q is none", f)
	}
	return c.Err()
}

func (r CheckRequest) check() error {
	var c check
	c.endpoint("remote", r.Remote)
	return c.Err()
}

func (s Status) check() error {
	var c check
	c.Line("product", s.Product, MaxName)
	c.Lines("warnings", s.Warnings, MaxWarnings, MaxWarning)
	return c.Err()
}

func (r ListRequest) check() error {
	var c check
	c.endpoint("remote", r.Remote)
	c.Lines("repositories", r.Repositories, MaxPatterns, MaxPattern)
	c.Lines("tags", r.Tags, MaxPatterns, MaxPattern)
	c.Time("since", r.Since)
	return c.Err()
}

func (a Artifact) check() error {
	var c check
	c.filled("repository", a.Repository, MaxRepository)
	c.Line("tag", a.Tag, MaxTag)
	c.filled("digest", a.Digest, MaxDigest)
	c.Line("media type", a.MediaType, MaxName)
	c.Lines("labels", a.Labels, MaxLabels, MaxName)
	c.That(a.Size >= 0, "size: %d is none", a.Size)
	c.Time("pushed", a.Pushed)
	return c.Err()
}

func (r CopyRequest) check() error {
	var c check
	c.filled("id", r.ID, MaxID)
	c.endpoint("from", r.From)
	c.endpoint("to", r.To)
	c.filled("repository", r.Repository, MaxRepository)
	c.filled("digest", r.Digest, MaxDigest)
	c.filled("repository to copy to", r.ToRepository, MaxRepository)
	c.Line("tag", r.ToTag, MaxTag)
	c.That(r.BytesPerSecond >= 0, "bytes per second: %d is none", r.BytesPerSecond)
	c.That(r.Parallel >= 1 && r.Parallel <= MaxParallel, "parallel: %d is not between 1 and %d", r.Parallel, MaxParallel)
	c.Size("checkpoint", len(r.Checkpoint), MaxCheckpoint)
	c.Lines("via", r.Via, MaxVia, MaxID)
	return c.Err()
}

func (p Progress) check() error {
	var c check
	c.That(p.Bytes >= 0 && p.Skipped >= 0 && p.Total >= 0, "progress: a number of bytes is none")
	c.Size("checkpoint", len(p.Checkpoint), MaxCheckpoint)
	return c.Err()
}

func (r Result) check() error {
	var c check
	c.That(r.Bytes >= 0 && r.Skipped >= 0 && r.Referrers >= 0, "result: a number is none")
	return c.Err()
}

func (r DeleteRequest) check() error {
	var c check
	c.endpoint("remote", r.Remote)
	c.filled("repository", r.Repository, MaxRepository)
	c.Line("tag", r.Tag, MaxTag)
	c.Line("digest", r.Digest, MaxDigest)
	c.That(r.Tag != "" || r.Digest != "", "delete: needs a tag or a digest")
	return c.Err()
}

func (r PrepareRequest) check() error {
	var c check
	c.endpoint("remote", r.Remote)
	c.filled("repository", r.Repository, MaxRepository)
	return c.Err()
}

// forward raises what fell since the progress before.
func forward(last, p Progress) Progress {
	p.Bytes, p.Skipped = max(p.Bytes, last.Bytes), max(p.Skipped, last.Skipped)
	return p
}
