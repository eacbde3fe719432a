package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"golang.org/x/sync/errgroup"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/replicate"
)

// List implements replicate.Driver. Harbor and the hub tell labels and times; other registries names and digests alone.
func (d *driver) List(ctx context.Context, req replicate.ListRequest, page func([]replicate.Artifact) error) error {
	for _, p := range append(req.Repositories[:len(req.Repositories):len(req.Repositories)], req.Tags...) {
		if !doublestar.ValidatePattern(p) {
			return fmt.Errorf("%.100q is no pattern: %w", p, errdef.ErrInvalid)
		}
	}
	c, err := d.open(req.Remote)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.ping(ctx); err != nil { //nolint:bodyclose // ping has read the answer
		return err
	}
	l := &lister{c: c, req: req, page: page}
	if l.harbor, _, err = c.harbor(ctx); err != nil {
		return err
	}
	return l.repositories(ctx, l.repository)
}

// lister is one call of List.
type lister struct {
	c      *client
	req    replicate.ListRequest
	page   func([]replicate.Artifact) error
	harbor bool
}

func match(patterns []string, name string) bool {
	for _, p := range patterns {
		if ok, _ := doublestar.Match(p, name); ok {
			return true
		}
	}
	return len(patterns) == 0
}

// literal says that all patterns are names.
func literal(patterns []string) bool {
	for _, p := range patterns {
		if strings.ContainsAny(p, `*?[{\`) {
			return false
		}
	}
	return len(patterns) > 0
}

// repositories calls f with the name of each that is wanted.
func (l *lister) repositories(ctx context.Context, f func(context.Context, string) error) error {
	if literal(l.req.Repositories) {
		for _, name := range l.req.Repositories {
			if err := check(name, "", ""); err != nil {
				return err
			}
			if err := f(ctx, name); err != nil {
				return err
			}
		}
		return nil
	}
	wanted := func(name string) error {
		if !match(l.req.Repositories, name) {
			return nil
		}
		return f(ctx, name)
	}
	if l.harbor {
		return l.c.harborRepositories(ctx, wanted)
	}
	err := l.c.catalogue(ctx, wanted)
	if s := status(err); s == http.StatusUnauthorized || s == http.StatusForbidden || s == http.StatusNotFound || errors.Is(err, errNoCatalogue) {
		return fmt.Errorf("registry %s does not list its repositories: name them, without patterns: %w", l.c.base.Host, errdef.ErrUnsupported)
	}
	return err
}

var errNoCatalogue = errors.New("no catalogue")

// pages follows a list by its links: f is called with the path of each page and returns its header.
func (c *client) pages(path string, f func(path string) (http.Header, error)) error {
	const most = 100_000
	for range most {
		h, err := f(path)
		if err != nil {
			return err
		}
		if path = next(h, path); path == "" {
			return nil
		}
	}
	return fmt.Errorf("registry %s has a list without an end: %w", c.base.Host, errdef.ErrInvalid)
}

// next is the path that the header Link names as the next page; "" if there is none. A list stays at its server.
func next(h http.Header, path string) string {
	for _, l := range h.Values("Link") {
		target, rest, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(l), "<"), ">")
		if !ok || !strings.Contains(rest, `rel="next"`) && !strings.Contains(rest, "rel=next") {
			continue
		}
		base, err := url.Parse(path)
		if err != nil {
			return ""
		}
		u, err := base.Parse(target)
		if err != nil || u.RequestURI() == base.RequestURI() {
			return ""
		}
		return u.RequestURI()
	}
	return ""
}

// catalogue calls f with the name of each repository.
func (c *client) catalogue(ctx context.Context, f func(string) error) error {
	if c.dockerHub {
		return errNoCatalogue
	}
	return c.pages(c.base.Path+"/v2/_catalog?n=1000", func(path string) (http.Header, error) {
		var m struct{ Repositories []string }
		h, err := c.json(ctx, ask{method: http.MethodGet, url: path, scope: "registry:catalog:*"}, &m)
		if err != nil {
			return nil, err
		}
		for _, name := range m.Repositories {
			if check(name, "", "") != nil {
				continue
			}
			if err := f(name); err != nil {
				return nil, err
			}
		}
		return h, nil
	})
}

func (l *lister) repository(ctx context.Context, name string) error {
	if l.harbor && strings.Contains(name, "/") {
		return l.c.harborArtifacts(ctx, name, func(all []replicate.Artifact) error { return l.give(all) })
	}
	at := l.c.name(name)
	return l.c.pages(l.c.path(at, "tags", "list?n=1000"), func(path string) (http.Header, error) {
		var m struct{ Tags []string }
		h, err := l.c.json(ctx, ask{method: http.MethodGet, url: path, scope: pulls(at)}, &m)
		if status(err) == http.StatusNotFound {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for some := range slices.Chunk(m.Tags, tagsOnce) { // a page may have all there are, whatever was asked for
			if err := l.tags(ctx, name, some); err != nil {
				return nil, err
			}
		}
		return h, nil
	})
}

// How many tags are asked for at once, and how many are kept until they are passed on.
const (
	atOnce   = 8
	tagsOnce = 1000
)

// tags finds out what tags mean.
func (l *lister) tags(ctx context.Context, name string, tags []string) error {
	at := l.c.name(name)
	found := make([]replicate.Artifact, len(tags))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, tag := range tags {
		if !tagPattern.MatchString(tag) || !match(l.req.Tags, tag) || schemeTag(tag) {
			continue
		}
		g.Go(func() error {
			x, err := l.c.head(gctx, at, tag, pulls(at))
			if err == nil && x.Digest != "" {
				found[i] = replicate.Artifact{Repository: name, Tag: tag, Digest: x.Digest.String(), MediaType: x.MediaType}
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return l.give(found)
}

// give passes on what is wanted.
func (l *lister) give(all []replicate.Artifact) error {
	var out []replicate.Artifact
	for _, a := range all {
		switch {
		case a.Digest == "", schemeTag(a.Tag), len(l.req.Tags) > 0 && (a.Tag == "" || !match(l.req.Tags, a.Tag)):
		case !l.req.Since.IsZero() && !a.Pushed.IsZero() && a.Pushed.Before(l.req.Since):
		default:
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return l.page(out)
}
