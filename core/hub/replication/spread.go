package replication

import (
	"context"
	"fmt"
	"slices"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/registries"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/replicate"
)

// can says whether a plugin has a capability.
func (d Driver) can(capability string) bool { return slices.Contains(d.Capabilities, capability) }

// spreading is the first task of a run, which adds one for each artifact. If it runs again some have two, of which the second
// finds nothing to do.
type spreading struct {
	r       *Replication
	j       *jobs.Job
	p       Policy
	waiting []jobs.TaskRequest
	added   int
	// places are the tags at the other end that the run gives a meaning, with the repository that they come from: where names are
	// shortened two may go to one place, and tasks run side by side.
	places map[string]string
	placed int // bytes of memory that places takes, about
}

// maxPlaced bounds the memory for the tags of a run, which another registry may list without an end; perPlace is what one takes
// beside its names. Bytes.
const (
	maxPlaced = 512 << 20
	perPlace  = 64
)

func (r *Replication) spread(ctx context.Context, j *jobs.Job, p Policy, e registries.Endpoint, d Driver) error {
	if p.Single {
		busy, err := r.busy(ctx, p.ID, j.Execution)
		if err != nil {
			return err
		}
		if busy {
			j.Logf("another run of the policy is under way: this one does nothing")
			return nil
		}
	}
	s := &spreading{r: r, j: j, p: p, places: map[string]string{}}
	find := s.here
	if p.Pull {
		find = func(ctx context.Context) error { return s.there(ctx, e, d) }
	}
	if err := find(ctx); err != nil {
		return err
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	j.Logf("%d artifacts are to be copied", s.added)
	return nil
}

// busy says whether an earlier run of a rule that is no event's is under way.
func (r *Replication) busy(ctx context.Context, policy, before int64) (bool, error) {
	for _, cause := range []jobs.Cause{jobs.ByHand, jobs.BySchedule} {
		for _, status := range []jobs.Status{jobs.Running, jobs.Pending} {
			list, _, err := r.o.Queue().Executions(ctx, jobs.Filter{Kind: Kind, Subject: &policy, Status: status, Cause: cause}, batch, 0)
			if err != nil {
				return false, err
			}
			if slices.ContainsFunc(list, func(e jobs.Execution) bool { return e.ID < before }) {
				return true, nil
			}
		}
	}
	return false, nil
}

// add adds a task for an artifact if the rule is for it.
func (s *spreading) add(ctx context.Context, x item, digest string) error {
	tags, ok := choose(s.p.Filters, x, s.r.o.Now())
	if !ok {
		return nil
	}
	to := rename(x.Repository, s.p.Namespace, s.p.Replace)
	if tags, ok = s.take(x.Repository, to, tags); !ok {
		return nil
	}
	if s.placed > maxPlaced {
		return jobs.Permanent(fmt.Errorf("the rule is for more tags than a run can hold, %d: narrow it by filters: %w", len(s.places), errdef.ErrInvalid))
	}
	if s.added++; s.added > maxTasks {
		return jobs.Permanent(fmt.Errorf("the rule is for more than %d artifacts: narrow it by filters: %w", maxTasks, errdef.ErrInvalid))
	}
	s.waiting = append(s.waiting, jobs.TaskRequest{Payload: params{Policy: s.p.ID, Operation: opCopy, Repository: x.Repository, Digest: digest,
		Tags: tags[:min(len(tags), maxTags)], To: to}})
	if len(s.waiting) < batch {
		return nil
	}
	return s.flush(ctx)
}

// take leaves out tags that another repository has taken at the same place; false: none is left of some.
func (s *spreading) take(from, to string, tags []string) ([]string, bool) {
	var left []string
	for _, tag := range tags {
		place := to + ":" + tag
		if other, ok := s.places[place]; ok && other != from {
			s.j.Logf("%s:%s and %s:%s would both become %s: only the first does; give them names of their own by dest_namespace, or a rule each", other, tag, from,
				tag, place)
			continue
		}
		if _, ok := s.places[place]; !ok {
			s.placed += len(place) + len(from) + perPlace
		}
		s.places[place] = from
		left = append(left, tag)
	}
	return left, len(left) > 0 || len(tags) == 0
}

func (s *spreading) flush(ctx context.Context) error {
	if len(s.waiting) == 0 {
		return nil
	}
	err := s.j.Add(ctx, s.waiting...)
	s.waiting = nil
	return err
}

// here finds artifacts of this hub.
func (s *spreading) here(ctx context.Context) error {
	reg := s.r.o.Registry()
	for last := ""; ; {
		list, _, err := reg.SelectRepositories(ctx, batch, 0, `repo.name > $1`, "repo.name", last)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, repo := range list {
			last = repo.Name
			if !s.maybe(repo.Name) {
				continue
			}
			if err := s.repository(ctx, reg, repo); err != nil {
				return err
			}
		}
	}
}

// maybe says whether the filters of names let a repository through.
func (s *spreading) maybe(name string) bool {
	return !slices.ContainsFunc(s.p.Filters, func(f Filter) bool { return f.Type == FilterName && !matches(f.Text, name) })
}

// whole leaves out the parts of indexes, which come with those.
const whole = `(EXISTS (SELECT 1 FROM tag t WHERE t.manifest_id = m.id) OR
	NOT EXISTS (SELECT 1 FROM manifest_ref x WHERE x.repo_id = m.repo_id AND x.digest = m.digest)) AND m.id > $1`

func (s *spreading) repository(ctx context.Context, reg *registry.Registry, repo registry.Repository) error {
	for last := int64(0); ; {
		list, _, err := reg.SelectManifests(ctx, repo, batch, 0, whole, "m.id", last)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, m := range list {
			last = m.ID
			x := item{Repository: repo.Name, Kind: kindOf(m.MediaType, m.ArtifactType), Pushed: m.Pushed}
			signature := false
			for _, t := range m.Tags {
				if schemeTag.MatchString(t.Name) {
					signature = true // it comes with what it is about
					continue
				}
				x.Tags = append(x.Tags, t.Name)
				if t.Pushed.After(x.Pushed) {
					x.Pushed = t.Pushed
				}
			}
			if signature && len(x.Tags) == 0 {
				continue
			}
			if wants(s.p.Filters, FilterLabel) {
				labels, err := s.r.o.Labels.Of(ctx, m.ID)
				if err != nil {
					return err
				}
				for _, l := range labels {
					x.Labels = append(x.Labels, l.Name)
				}
			}
			if err := s.add(ctx, x, m.Digest.String()); err != nil {
				return err
			}
		}
	}
}

// there finds artifacts of the other registry. Tags of one artifact that come one after another make one task.
func (s *spreading) there(ctx context.Context, e registries.Endpoint, d Driver) error {
	if !d.can(replicate.CapPull) {
		return jobs.Permanent(fmt.Errorf("the plugin %s cannot pull: %w", d.Name, errdef.ErrUnsupported))
	}
	remote, err := s.r.remote(e)
	if err != nil {
		return jobs.Permanent(err)
	}
	req := replicate.ListRequest{Remote: remote}
	for _, f := range s.p.Filters {
		switch {
		case f.Type == FilterName && f.Text != "" && req.Repositories == nil: // the others are looked at here
			req.Repositories = []string{f.Text}
		case f.Type == FilterTag && f.Text != "" && !f.Exclude && req.Tags == nil:
			req.Tags = []string{f.Text}
		case f.Type == FilterAge && !f.Exclude:
			req.Since = s.r.o.Now().AddDate(0, 0, -f.Days)
		}
	}
	var held item
	var digest string
	give := func() error {
		if digest == "" {
			return nil
		}
		return s.add(ctx, held, digest)
	}
	err = d.List(ctx, req, func(page []replicate.Artifact) error {
		for _, a := range page {
			if a.Digest != digest || a.Repository != held.Repository {
				if err := give(); err != nil {
					return err
				}
				digest, held = a.Digest, item{Repository: a.Repository, Labels: a.Labels, Pushed: a.Pushed}
			}
			if a.Tag != "" && len(held.Tags) < maxTags {
				held.Tags = append(held.Tags, a.Tag)
			}
			if a.Pushed.After(held.Pushed) {
				held.Pushed = a.Pushed
			}
		}
		s.j.Progress(int64(s.added), 0)
		return nil
	})
	if err != nil {
		return outcome(err)
	}
	return give()
}
