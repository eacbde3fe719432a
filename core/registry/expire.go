package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// companionPattern is a tag under which clients keep what belongs to another manifest: see companionTag.
var companionPattern = regexp.MustCompile(`^sha(256|384|512)-[0-9a-f]{32,}(\.[a-z]+)?$`)

// Candidate is a manifest that a rule might remove.
type Candidate struct {
	Stored
	// Named says that an index of the repository names it.
	Named bool
}

// EachCandidate gives, by number, the manifests of a repository that stand for themselves: not those that are about another
// one, by their subject or by the tag that older clients give them. It ends with the first error of f.
func (g *Registry) EachCandidate(ctx context.Context, repo Repository, f func(Candidate) error) error {
	const page = 500
	after, more := int64(0), true
	for more {
		var list []Candidate
		var err error
		list, more, err = store.List(ctx, g.store, page, func(r *sql.Rows) (c Candidate, err error) {
			c.Stored, err = scanStored(r.Scan, repo, &c.Named)
			return c, err
		}, `SELECT `+storedColumns+`, EXISTS (SELECT 1 FROM manifest_ref f JOIN manifest i ON i.id = f.manifest_id
			WHERE f.repo_id = m.repo_id AND f.digest = m.digest)
			FROM manifest m WHERE m.repo_id = $1 AND m.subject IS NULL AND m.id > $2 ORDER BY m.id LIMIT $3`, repo.ID, after)
		if err != nil {
			return err
		}
		for _, c := range list {
			after = c.ID
			if c.Tags, err = g.tagsOf(ctx, c.ID); err != nil {
				return err
			}
			if len(c.Tags) > 0 && !slices.ContainsFunc(c.Tags, func(t Tag) bool { return !companionPattern.MatchString(t.Name) }) {
				continue
			}
			if err := f(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// Expire deletes a manifest with its tags by a rule, if it is still as it was seen: nobody pushed, tagged or pulled it since.
// by is the name in the event. errdef.ErrConflict says why it stays: a change, an immutable tag, an index that names it.
// errdef.ErrNotFound: somebody was quicker.
func (g *Registry) Expire(ctx context.Context, by string, seen Stored) error {
	if err := g.mayChange(ctx, seen.Repository, false); err != nil {
		return fmt.Errorf("%w: %w", err, errdef.ErrConflict)
	}
	var e Event
	err := g.store.Tx(ctx, func(tx *store.Tx) error {
		p, err := lockRepo(tx, seen.Repository)
		if err != nil {
			return err
		}
		m, err := load(tx, p, seen.Repository, seen.Digest)
		if err != nil {
			return err
		}
		if err := g.unchanged(tx, m, seen); err != nil {
			return err
		}
		for _, t := range m.tags {
			held, err := g.policy.Immutable(tx.Context(), tx, m.Artifact, t)
			if err != nil {
				return err
			}
			if held {
				return fmt.Errorf("tag %s is immutable: %w", t, errdef.ErrConflict)
			}
		}
		index, err := needed(tx, p, m.Digest)
		if err != nil {
			return err
		}
		if index != "" {
			return fmt.Errorf("the index %s names it: %w", index, errdef.ErrConflict)
		}
		if err := g.dropManifest(tx, p, m); err != nil {
			return err
		}
		e, err = g.changing(tx, Event{Kind: EventDelete, Time: g.o.Now(), Caller: by, Artifact: m.Artifact, Tags: m.tags})
		return err
	})
	var own errcode.Error
	switch {
	case errors.Is(err, sql.ErrNoRows), errors.As(err, &own) && own.Code == codeNameUnknown:
		return fmt.Errorf("%s@%s: %w", seen.Repository, seen.Digest, errdef.ErrNotFound)
	case err != nil:
		return err
	}
	g.watch.Happened(ctx, e)
	return nil
}

// unchanged refuses a manifest that is not as it was seen.
func (g *Registry) unchanged(tx *store.Tx, m *stored, seen Stored) error {
	changed := fmt.Errorf("it was tagged, pushed or pulled since: %w", errdef.ErrConflict)
	var pulled int64
	if err := tx.Row(`SELECT pulled FROM manifest WHERE id = $1`, m.id).Scan(&pulled); err != nil {
		return err
	}
	if m.id != seen.ID || len(m.tags) != len(seen.Tags) || since(pulled).After(seen.Pulled) {
		return changed
	}
	for i, t := range seen.Tags {
		var at int64
		err := tx.Row(`SELECT pushed FROM tag WHERE manifest_id = $1 AND name = $2`, m.id, t.Name).Scan(&at)
		if errors.Is(err, sql.ErrNoRows) || err == nil && (m.tags[i] != t.Name || at != t.Pushed.UnixMilli()) {
			return changed
		}
		if err != nil {
			return err
		}
	}
	return nil
}
