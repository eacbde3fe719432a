package adopt

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/openvic/vic/core/hub/immutable"
	"github.com/openvic/vic/core/hub/labels"
	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/robots"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
)

// Hub is where things go to. The caller owns the parts.
type Hub struct {
	DB        *store.Store
	Registry  *registry.Registry
	People    *people.People
	Robots    *robots.Robots
	Labels    *labels.Labels
	Immutable *immutable.Rules
}

// Options say how.
type Options struct {
	// Domain is that of the identity source in which Harbor's users and groups are known here: "ann" becomes DOMAIN/ann.
	// "": members are left out.
	Domain string
	DryRun bool
}

// Report is what came along, or would.
type Report struct {
	Projects int      `json:"projects"`
	Members  int      `json:"members"`
	Labels   int      `json:"labels"`
	Robots   int      `json:"robots"` // disabled, until they get a new secret
	Rules    int      `json:"immutability_rules"`
	Attached int      `json:"labels_on_artifacts"`
	Skipped  int      `json:"skipped"`
	First    []string `json:"first"` // what was left out and why, 100 at most
}

func (r *Report) skip(format string, args ...any) {
	if r.Skipped++; len(r.First) < 100 {
		r.First = append(r.First, fmt.Sprintf(format, args...))
	}
}

// importer is one run.
type importer struct {
	h Hub
	e *Export
	o Options
	r *Report
}

// Projects makes the projects of an export that are not there, with publicity, quotas, members and labels. It comes before
// the storage is taken over. What is there already stays as it is.
func (e *Export) Projects(ctx context.Context, h Hub, o Options) (Report, error) {
	i := &importer{h, e, o, &Report{First: []string{}}}
	list, err := read[project](e, "projects")
	if err != nil {
		return *i.r, err
	}
	quotas, err := read[quota](e, "quotas")
	if err != nil {
		return *i.r, err
	}
	bounds := map[string]int64{}
	for _, q := range quotas {
		bounds[q.Ref.Name] = q.Hard.Storage
	}
	if err := i.labels(ctx, "labels", 0); err != nil {
		return *i.r, err
	}
	for _, p := range list {
		bound, ok := bounds[p.Name]
		if !ok || bound == 0 {
			bound = -1
		}
		if err := i.project(ctx, p, bound); err != nil {
			return *i.r, fmt.Errorf("project %s: %w", p.Name, err)
		}
	}
	return *i.r, nil
}

func (i *importer) project(ctx context.Context, p project, bound int64) error {
	made, err := i.h.Registry.FindProject(ctx, i.h.DB, p.Name)
	if errors.Is(err, errdef.ErrNotFound) {
		i.r.Projects++
		if !i.o.DryRun {
			err = i.h.DB.Tx(ctx, func(tx *store.Tx) (err error) {
				made, err = i.h.Registry.CreateProject(tx, registry.Project{Name: p.Name, Public: p.Metadata["public"] == "true", Quota: bound, RepoQuota: -1})
				return err
			})
			if errors.Is(err, errdef.ErrInvalid) {
				i.r.Projects--
				i.r.skip("%v", err)
				return nil
			}
		} else {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	if err := i.members(ctx, p.Name, made.ID); err != nil {
		return err
	}
	return i.labels(ctx, in(p.Name, "labels"), made.ID)
}

// roles are Harbor's numbers. A maintainer has more than a developer and less than an administrator: the hub has no such
// role and gives the lower one.
var roles = map[int]role.Role{1: role.DevOpsAdmin, 2: role.Developer, 3: role.Viewer, 4: role.Developer, 5: role.Viewer}

func (i *importer) members(ctx context.Context, name string, id int64) error {
	list, err := read[member](i.e, in(name, "members"))
	if err != nil {
		return err
	}
	for _, m := range list {
		r, ok := roles[m.Role]
		who := auth.Principal{ID: i.o.Domain + "/" + m.Name, Kind: auth.User, Name: m.Name + "@" + i.o.Domain}
		if m.Type == "g" {
			who.Kind = auth.Group
		}
		switch {
		case i.o.Domain == "":
			i.r.skip("member %s of %s: no --domain says whose user or group it is here", m.Name, name)
			continue
		case !ok || m.Name == "" || len(who.ID) > auth.MaxID:
			i.r.skip("member %.100q of %s: role %d or name cannot be", m.Name, name, m.Role)
			continue
		}
		if i.o.DryRun {
			i.r.Members++
			continue
		}
		_, err := i.h.People.AddMember(ctx, id, who, r)
		if err == nil {
			i.r.Members++
		} else if !errors.Is(err, errdef.ErrExists) {
			return err
		}
	}
	return nil
}

func (i *importer) labels(ctx context.Context, file string, project int64) error {
	list, err := read[label](i.e, file)
	if err != nil {
		return err
	}
	for _, l := range list {
		if i.o.DryRun {
			i.r.Labels++
			continue
		}
		_, err := i.h.Labels.Make(ctx, labels.Label{Project: project, Name: l.Name, Description: l.Description, Color: l.Color})
		switch {
		case err == nil:
			i.r.Labels++
		case errors.Is(err, errdef.ErrInvalid):
			i.r.skip("label %.100q: %v", l.Name, err)
		case !errors.Is(err, errdef.ErrExists):
			return err
		}
	}
	return nil
}

// Rest brings what needs the artifacts: their labels, the rules that hold tags, and the robots. It comes after the storage
// was taken over, and repos are the repositories in it.
func (e *Export) Rest(ctx context.Context, h Hub, o Options, repos []string) (Report, error) {
	i := &importer{h, e, o, &Report{First: []string{}}}
	for _, repo := range repos {
		if err := i.attach(ctx, repo); err != nil {
			return *i.r, fmt.Errorf("labels of %s: %w", repo, err)
		}
	}
	if err := i.robots(ctx, "robots", 0, ""); err != nil {
		return *i.r, err
	}
	list, err := read[project](e, "projects")
	if err != nil {
		return *i.r, err
	}
	for _, p := range list {
		made, err := h.Registry.FindProject(ctx, h.DB, p.Name)
		if errors.Is(err, errdef.ErrNotFound) && o.DryRun {
			err = nil
		} else if errors.Is(err, errdef.ErrNotFound) {
			continue // its name cannot be: it was told
		}
		if err == nil {
			err = errors.Join(i.rules(ctx, p.Name, made.ID), i.robots(ctx, in(p.Name, "robots"), made.ID, p.Name))
		}
		if err != nil {
			return *i.r, fmt.Errorf("project %s: %w", p.Name, err)
		}
	}
	return *i.r, nil
}

// attach gives a repository's artifacts their labels.
func (i *importer) attach(ctx context.Context, repo string) error {
	list, err := i.e.artifacts(repo)
	if err != nil {
		return err
	}
	for _, a := range list {
		for _, l := range a.Labels {
			if i.o.DryRun {
				i.r.Attached++
				continue
			}
			if err := i.attachOne(ctx, repo, a, l); err != nil {
				return err
			}
		}
	}
	return nil
}

func (i *importer) attachOne(ctx context.Context, repo string, a artifact, l label) error {
	var project, manifest, id int64
	err := i.h.DB.QueryRow(ctx, `SELECT r.project_id, m.id FROM manifest m JOIN repo r ON r.id = m.repo_id WHERE r.name = $1 AND m.digest = $2`,
		repo, a.Digest).Scan(&project, &manifest)
	if err == nil {
		of := project
		if l.Scope == "g" {
			of = 0
		}
		err = i.h.DB.QueryRow(ctx, `SELECT id FROM label WHERE COALESCE(project, 0) = $1 AND name = $2`, of, l.Name).Scan(&id)
	}
	if errors.Is(err, sql.ErrNoRows) {
		i.r.skip("label %.100q of %s@%s: the artifact or the label is not there", l.Name, repo, a.Digest)
		return nil
	}
	if err != nil {
		return err
	}
	err = i.h.Labels.Attach(ctx, project, manifest, id)
	switch {
	case err == nil:
		i.r.Attached++
	case errors.Is(err, errdef.ErrInvalid):
		i.r.skip("label %.100q of %s@%s: %v", l.Name, repo, a.Digest, err)
	case !errors.Is(err, errdef.ErrExists):
		return err
	}
	return nil
}

func (i *importer) rules(ctx context.Context, name string, project int64) error {
	list, err := read[rule](i.e, in(name, "immutabletagrules"))
	if err != nil {
		return err
	}
	for _, x := range list {
		if i.o.DryRun {
			i.r.Rules++
			continue
		}
		_, err := i.h.Immutable.Make(ctx, immutable.Rule{Project: project, Disabled: x.Disabled,
			Spec: immutable.Spec{Repositories: x.Scope["repository"], Tags: x.Tags}})
		switch {
		case err == nil:
			i.r.Rules++
		case errors.Is(err, errdef.ErrInvalid):
			i.r.skip("immutability rule of %s: %v", name, err)
		case !errors.Is(err, errdef.ErrExists):
			return err
		}
	}
	return nil
}

// administrator is who runs the command: whoever may write to the database may give a robot what they like.
type administrator struct{}

// Name implements robots.Maker.
func (administrator) Name() string { return "vic-hub adopt" }

// Holds implements robots.Maker.
func (administrator) Holds(context.Context, role.Permission, string) (bool, error) { return true, nil }

// CloudAdmin implements robots.Maker.
func (administrator) CloudAdmin(context.Context) (bool, error) { return true, nil }

func (i *importer) robots(ctx context.Context, file string, project int64, name string) error {
	list, err := read[robot](i.e, file)
	if err != nil {
		return err
	}
	for _, x := range list {
		s := i.spec(x, project, name)
		if len(s.Permissions) == 0 {
			i.r.skip("robot %.100q: no permission of its is one here", x.Name)
			continue
		}
		if i.o.DryRun {
			i.r.Robots++
			continue
		}
		_, _, err := i.h.Robots.Make(ctx, administrator{}, s)
		switch {
		case err == nil:
			i.r.Robots++
		case errors.Is(err, errdef.ErrInvalid), errors.Is(err, errdef.ErrNotFound):
			i.r.skip("robot %.100q: %v", x.Name, err)
		case !errors.Is(err, errdef.ErrExists):
			return err
		}
	}
	return nil
}

// spec is a robot as it is here: disabled, since Harbor tells nobody its secret, and with those permissions that are some here.
func (i *importer) spec(x robot, project int64, name string) robots.Spec {
	short := x.Name[strings.LastIndexAny(x.Name, "$+")+1:]
	s := robots.Spec{Project: project, Name: short, Description: x.Description, Duration: x.Duration, Disabled: true}
	for _, p := range x.Permissions {
		scope, to := role.Project, robots.Permission{Namespace: p.Namespace}
		if p.Kind == "system" {
			scope, to.Namespace = role.Global, robots.WholeHub
		}
		for _, a := range p.Access {
			z, err := robots.ParsePermission(a.Resource, a.Action, scope)
			if err != nil || a.Effect != "" && a.Effect != "allow" {
				i.r.skip("robot %.100q: %.50s:%.50s is no permission here", x.Name, a.Resource, a.Action)
				continue
			}
			// As Harbor says it: the permission that a pair is a part of may be more.
			to.Access, to.Said = append(to.Access, z), append(to.Said, a.Resource+":"+a.Action)
		}
		if project != 0 && to.Namespace != name {
			i.r.skip("robot %.100q: what it may in %.100q is left out, since it belongs to %s", x.Name, to.Namespace, name)
			continue
		}
		if len(to.Access) > 0 {
			s.Permissions = append(s.Permissions, to)
		}
	}
	return s
}
