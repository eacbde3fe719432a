package retention

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openvic/vic/core/hub/immutable"
	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/labels"
	"github.com/openvic/vic/core/hub/selector"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Kind is the name of the jobs, Harbor's. Their subject is the policy's number. The first task of an execution finds the
// repositories and adds one task for each.
const Kind = "RETENTION"

// Caller is who removes artifacts, in events and the audit log.
const Caller = "retention"

// Bounds of one run.
const (
	maxArtifacts = 200_000 // of one repository
	longest      = 6 * time.Hour
	page         = 100 // repositories
)

// Params are what a run is told.
type Params struct {
	Policy int64 `json:"policy"` // its number
	DryRun bool  `json:"dry_run"`
	// Repository is the whole name of the one that a task is for; "" for the first task.
	Repository string `json:"repository,omitempty"`
}

// Report is what a task for a repository has found.
type Report struct {
	Total    int `json:"total"`
	Retained int `json:"retained"`
	Removed  int `json:"removed"` // or would be, in a dry run
}

// Parts are what a run works with.
type Parts struct {
	DB        *store.Store
	Policies  *Policies
	Labels    *labels.Labels
	Immutable *immutable.Rules
	Registry  func() *registry.Registry // asked for when a task begins
	Now       func() time.Time          // nil: time.Now
}

// Jobs is the kind.
func (p Parts) Jobs() jobs.Kind {
	if p.Now == nil {
		p.Now = time.Now
	}
	return jobs.Kind{Name: Kind, Timeout: longest, Attempts: 3, Run: p.run, Alone: func(policy int64) string { return fmt.Sprint(policy) }}
}

// Start adds a run of a policy, within a transaction. errdef.ErrConflict if one is under way.
func Start(tx *store.Tx, q *jobs.Queue, policy int64, dryRun bool) (int64, error) {
	id, err := q.Enqueue(tx, jobs.Request{Kind: Kind, Subject: policy, Payload: Params{Policy: policy, DryRun: dryRun}})
	if errors.Is(err, errdef.ErrConflict) {
		err = fmt.Errorf("a run of the policy is under way; wait until it has ended, or stop it: %w", errdef.ErrConflict)
	}
	return id, err
}

func (p Parts) run(ctx context.Context, j *jobs.Job) error {
	var params Params
	if err := j.Decode(&params); err != nil {
		return err
	}
	reg := p.Registry()
	policy, err := p.Policies.Get(ctx, params.Policy)
	if errors.Is(err, errdef.ErrNotFound) {
		return jobs.Permanent(errors.New("the policy has been removed"))
	}
	if err != nil {
		return err
	}
	if params.Repository == "" {
		return p.spread(ctx, reg, j, policy, params)
	}
	return p.repository(ctx, reg, j, policy, params)
}

// spread adds a task for each repository that a rule is for. If it runs again some have two, of which the second finds
// nothing to do.
func (p Parts) spread(ctx context.Context, reg *registry.Registry, j *jobs.Job, policy Policy, params Params) error {
	added, last := 0, ""
	for {
		list, _, err := reg.SelectRepositories(ctx, page, 0, `repo.project_id = $1 AND repo.name > $2`, "repo.name", policy.Project, last)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			j.Logf("%d repositories have rules", added)
			return nil
		}
		var tasks []jobs.TaskRequest
		for _, x := range list {
			last = x.Name
			if _, name, _ := strings.Cut(x.Name, "/"); For(policy.Rules, name) {
				tasks = append(tasks, jobs.TaskRequest{Payload: Params{Policy: policy.ID, DryRun: params.DryRun, Repository: x.Name}})
			}
		}
		if len(tasks) > 0 {
			if err := j.Add(ctx, tasks...); err != nil {
				return err
			}
			added += len(tasks)
		}
	}
}

// repository decides about one and removes what does not stay.
func (p Parts) repository(ctx context.Context, reg *registry.Registry, j *jobs.Job, policy Policy, params Params) error {
	repo, err := reg.Repository(ctx, params.Repository)
	if errors.Is(err, errdef.ErrNotFound) || err == nil && repo.Project != policy.Project {
		j.Logf("%s is not there any more", params.Repository)
		return nil
	}
	if err != nil {
		return err
	}
	seen, all, err := p.artifacts(ctx, reg, repo, policy)
	if err != nil {
		return err
	}
	_, name, _ := strings.Cut(repo.Name, "/")
	decisions := Evaluate(policy.Rules, name, all, p.Now())
	order := make([]int, len(decisions)) // what goes comes first in a log that has an end
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rank(decisions[a]), rank(decisions[b])) })
	r := Report{Total: len(decisions)}
	for n, i := range order {
		if err := ctx.Err(); err != nil {
			return err
		}
		kept, why := decisions[i].Keep, decisions[i].Reason
		if !kept && !params.DryRun {
			if kept, why, err = p.remove(ctx, reg, seen[i], why); err != nil {
				return err
			}
		}
		if kept {
			r.Retained++
		} else {
			r.Removed++
		}
		j.Logf("%s %s %s: %s", verb(kept, params.DryRun), all[i].Digest, strings.Join(all[i].Tags, " "), why)
		j.Progress(int64(n+1), int64(len(order)))
		j.Tell(r)
	}
	j.Logf("%d of %d artifacts stay", r.Retained, r.Total)
	j.Tell(r)
	return nil
}

func rank(d Decision) int {
	if d.Keep {
		return 1
	}
	return 0
}

func verb(kept, dryRun bool) string {
	switch {
	case kept:
		return "stays:"
	case dryRun:
		return "would go:"
	}
	return "removed:"
}

// remove removes an artifact. It stays if it has changed since it was decided about.
func (p Parts) remove(ctx context.Context, reg *registry.Registry, x registry.Stored, why string) (kept bool, reason string, err error) {
	err = reg.Expire(ctx, Caller, x)
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return false, "somebody else has deleted it", nil
	case errors.Is(err, errdef.ErrConflict):
		return true, err.Error(), nil
	}
	return false, why, err
}

// artifacts are what there is to decide about in a repository, in the registry's form and in Evaluate's.
func (p Parts) artifacts(ctx context.Context, reg *registry.Registry, repo registry.Repository, policy Policy) (seen []registry.Stored, all []Artifact,
	err error) {
	held, err := p.Immutable.Held(ctx, p.DB, policy.Project)
	if err != nil {
		return nil, nil, err
	}
	labelled := slices.ContainsFunc(policy.Rules, func(r Rule) bool {
		return slices.ContainsFunc(r.Tags, func(s selector.Selector) bool { return s.Kind == selector.Label })
	})
	err = reg.EachCandidate(ctx, repo, func(c registry.Candidate) error {
		if len(all) == maxArtifacts {
			return jobs.Permanent(fmt.Errorf("%s has more than %d artifacts: nothing of it is decided", repo.Name, maxArtifacts))
		}
		a := Artifact{Digest: c.Digest.String(), Pushed: c.Pushed, Pulled: c.Pulled, Named: c.Named}
		for _, t := range c.Tags {
			a.Tags = append(a.Tags, t.Name)
			if t.Pushed.After(a.Pushed) { // to tag it again is to push it
				a.Pushed = t.Pushed
			}
			if a.Immutable == "" && held(repo.Name, t.Name) {
				a.Immutable = t.Name
			}
		}
		if labelled {
			list, err := p.Labels.Of(ctx, c.ID)
			if err != nil {
				return err
			}
			for _, l := range list {
				a.Labels = append(a.Labels, l.Name)
			}
		}
		seen, all = append(seen, c.Stored), append(all, a)
		return nil
	})
	return seen, all, err
}
