package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/time/rate"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/replicate"
)

// driver serves the kind. It keeps nothing between two calls that an outcome depends on: limiters, and hints of where blobs
// may be mounted from.
type driver struct {
	chunk     int64 // bytes of one request that uploads
	perSecond float64
	patience  time.Duration // for a whole answer of a registry that is no content

	mu       sync.Mutex // guards what follows
	limiters map[string]*rate.Limiter
	hints    map[hint]string // the repository that had a blob

	indexes [64]sync.Mutex // of referrers by the tag scheme, by their names' hashes: one writer at a time
}

const (
	maxHosts = 10_000
	maxHints = 100_000

	patience = 5 * time.Minute
)

// hint is a blob at a registry, as an account there sees it.
type hint struct {
	host, user string
	digest     digest.Digest
}

func newDriver(chunk int64, perSecond float64) *driver {
	return &driver{chunk: chunk, perSecond: perSecond, patience: patience, limiters: map[string]*rate.Limiter{}, hints: map[hint]string{}}
}

var _ replicate.Driver = (*driver)(nil)

// Describe implements replicate.Driver.
func (*driver) Describe(context.Context) (replicate.Description, error) {
	return replicate.Description{Kind: "oci", Title: "OCI registry", Schemes: []string{"https", "http"},
		Filters: []string{replicate.FilterRepository, replicate.FilterTag}}, nil
}

var (
	namePattern = regexp.MustCompile(`^[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$`)
	tagPattern  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
)

// check refuses what would make another path of a repository, tag or digest; an empty tag or digest is none.
func check(repo, tag, dig string) error {
	switch {
	case !namePattern.MatchString(repo):
		return fmt.Errorf("%.100q is no name of a repository: %w", repo, errdef.ErrInvalid)
	case tag != "" && !tagPattern.MatchString(tag):
		return fmt.Errorf("%.100q is no tag: %w", tag, errdef.ErrInvalid)
	case dig != "" && (digest.Digest(dig).Validate() != nil || !digest.Digest(dig).Algorithm().Available()):
		return fmt.Errorf("%.100q is no digest that can be verified: %w", dig, errdef.ErrInvalid)
	}
	return nil
}

const checkPatience = 30 * time.Second

// ping asks the registry whether it is one and takes the credential.
func (c *client) ping(ctx context.Context) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	res, err := c.do(ctx, ask{method: http.MethodGet, url: c.base.Path + "/v2/"})
	if status(err) == http.StatusNotFound || status(err) == http.StatusMethodNotAllowed || status(err) == http.StatusBadRequest {
		return nil, fmt.Errorf("%s is no OCI registry: /v2/ is not there: %w", c.base.Host, errdef.ErrInvalid)
	}
	if err != nil {
		return nil, err
	}
	drain(res)
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		return nil, fmt.Errorf("%s is no OCI registry: /v2/ is a page: %w", c.base.Host, errdef.ErrInvalid)
	}
	return res, nil
}

// soon is when somebody should know that a certificate expires.
const soon = 14 * 24 * time.Hour

// Check implements replicate.Driver.
func (d *driver) Check(ctx context.Context, req replicate.CheckRequest) (replicate.Status, error) {
	c, err := d.open(req.Remote)
	if err != nil {
		return replicate.Status{}, err
	}
	defer c.close()
	res, err := c.ping(ctx) //nolint:bodyclose // ping has read the answer
	if err != nil {
		return replicate.Status{}, err
	}
	s := replicate.Status{Product: "OCI registry", MayPull: true, MayPush: req.Remote.Username != "" || req.Remote.Secret != ""}
	if harbor, version, err := c.harbor(ctx); err != nil {
		return s, err
	} else if harbor {
		s.Product, s.ReferrersAPI = strings.TrimSpace("Harbor "+version), true
	}
	if c.dockerHub {
		s.Product = "Docker Hub"
	}
	if res.TLS != nil && len(res.TLS.PeerCertificates) > 0 {
		if left := time.Until(res.TLS.PeerCertificates[0].NotAfter); left < soon {
			s.Warnings = append(s.Warnings, fmt.Sprintf("the certificate expires in %d days", int(left.Hours()/24)))
		}
	}
	if req.Remote.SkipVerify {
		s.Warnings = append(s.Warnings, "the certificate is not verified")
	}
	if !s.MayPush {
		s.MayPush = true // an open registry takes pushes of anybody; whether it does is seen at the first
		s.Warnings = append(s.Warnings, "there is no credential: a push may be refused")
	}
	return s, nil
}

// Prepare implements replicate.Driver: projects are made where there are such, and elsewhere a push makes the repository.
func (d *driver) Prepare(ctx context.Context, req replicate.PrepareRequest) error {
	if err := check(req.Repository, "", ""); err != nil {
		return err
	}
	c, err := d.open(req.Remote)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.ping(ctx); err != nil { //nolint:bodyclose // ping has read the answer
		return err
	}
	if ok, _, err := c.harbor(ctx); err != nil || !ok {
		return err
	}
	project, _, more := strings.Cut(req.Repository, "/")
	if !more {
		return fmt.Errorf("repository %s: %s has projects: want PROJECT/NAME: %w", req.Repository, c.base.Host, errdef.ErrInvalid)
	}
	return c.makeProject(ctx, project, req.Public)
}

// Delete implements replicate.Driver.
func (d *driver) Delete(ctx context.Context, req replicate.DeleteRequest) error {
	if err := check(req.Repository, req.Tag, req.Digest); err != nil {
		return err
	}
	c, err := d.open(req.Remote)
	if err != nil {
		return err
	}
	defer c.close()
	repo := c.name(req.Repository)
	scope := "repository:" + repo + ":pull,push,delete"
	ref := req.Digest
	if req.Tag != "" {
		ref = req.Tag
		is, err := c.head(ctx, repo, req.Tag, scope)
		if err != nil || is.Digest == "" {
			return err
		}
		if req.Digest != "" && is.Digest.String() != req.Digest {
			return fmt.Errorf("tag %s of %s means %s there: %w", req.Tag, repo, is.Digest, errdef.ErrConflict)
		}
	}
	_, err = c.do(ctx, ask{method: http.MethodDelete, url: c.path(repo, "manifests", ref), scope: scope}) //nolint:bodyclose // it has none
	switch {
	case err == nil, status(err) == http.StatusNotFound:
		return nil
	case status(err) == http.StatusConflict, status(err) == http.StatusPreconditionFailed:
		return fmt.Errorf("%w: %w", err, errdef.ErrConflict)
	case req.Tag != "" && (errors.Is(err, errdef.ErrUnsupported) || errors.Is(err, errdef.ErrInvalid)):
		if ok, _, herr := c.harbor(ctx); herr == nil && ok { // Harbor has its own way for tags
			return c.deleteTag(ctx, repo, req.Tag)
		}
	}
	return err
}
