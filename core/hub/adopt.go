package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/adopt"
	"github.com/openvic/vic/core/hub/immutable"
	"github.com/openvic/vic/core/hub/labels"
	"github.com/openvic/vic/core/hub/robots"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// takeOver is vic-hub adopt.
func takeOver(args []string, stdout, stderr io.Writer) int {
	c := newCommand("adopt", stdout, stderr)
	from := c.flags.String("from", "", "the `folder` (rootdirectory) of a plain registry; empty: it lies in the storage that hub.toml names, and stays there")
	project := c.flags.String("project", "library", "the `project` of repositories whose names have none")
	public := c.flags.Bool("public", false, "make projects that are not there public; else private")
	harbor := c.flags.String("harbor", "", "a `folder` with answers of Harbor's API (contrib/harbor/export.sh)")
	domain := c.flags.String("domain", "", "the `domain` in which Harbor's users and groups are known here")
	dry := c.flags.Bool("dry-run", false, "change nothing, and tell what would be taken over")
	return c.run(args, func(ctx context.Context, h *Hub) (report, error) {
		t := &taking{h: h, project: *project, public: *public, o: adopt.Options{Domain: *domain, DryRun: *dry}}
		if *harbor != "" {
			var err error
			if t.export, err = adopt.Open(*harbor); err != nil {
				return report{}, err
			}
		} else if *domain != "" {
			return report{}, errors.New("--domain is for --harbor: a plain registry knows no users")
		}
		o, err := t.storage(*from)
		if err != nil {
			return report{}, err
		}
		return t.run(ctx, o)
	})
}

// taking is one run of vic-hub adopt.
type taking struct {
	h       *Hub
	project string
	public  bool
	export  *adopt.Export // nil: no Harbor
	o       adopt.Options
}

// name is a repository's name here.
func (t *taking) name(repo string) string {
	if strings.Contains(repo, "/") {
		return repo
	}
	return t.project + "/" + repo
}

// storage says where the plain registry's content is.
func (t *taking) storage(from string) (registry.AdoptOptions, error) {
	o := registry.AdoptOptions{Name: t.name, By: "vic-hub adopt", DryRun: t.o.DryRun}
	if t.export != nil {
		o.Tags = t.export.Tags
	}
	own := t.h.cfg.Storage.Folder
	if from == "" || own != "" && filepath.Clean(from) == filepath.Clean(own) {
		return o, nil
	}
	if !filepath.IsAbs(from) {
		return o, fmt.Errorf("--from %q is not an absolute path: %w", from, errdef.ErrInvalid)
	}
	var err error
	if o.From, err = registry.Filesystem(from); err == nil && own != "" {
		o.Link = registry.LinkFiles(from, own)
	}
	return o, err
}

func (t *taking) run(ctx context.Context, o registry.AdoptOptions) (report, error) {
	h := t.h
	to := adopt.Hub{DB: h.db, Registry: h.registry, People: h.people, Labels: labels.New(h.db, nil), Immutable: immutable.New(h.db),
		Robots: robots.New(h.db, access.NewLimiter(access.LimitOptions{}), slog.New(slog.DiscardHandler), nil)}
	var first, rest adopt.Report
	var err error
	if t.export != nil {
		if first, err = t.export.Projects(ctx, to, t.o); err != nil {
			return report{}, err
		}
	}
	repos, made, err := t.projects(ctx, o)
	if err != nil {
		return report{}, err
	}
	first.Projects += made
	did, err := h.registry.Adopt(ctx, o)
	if err != nil {
		return report{}, err
	}
	if t.export != nil {
		if rest, err = t.export.Rest(ctx, to, t.o, repos); err != nil {
			return report{}, err
		}
	}
	return t.tell(did, first, rest), nil
}

// projects makes those of the repositories that are not there, and lists the repositories by their names here.
func (t *taking) projects(ctx context.Context, o registry.AdoptOptions) (repos []string, made int, err error) {
	from := o.From
	if from == nil {
		from = t.h.driver
	}
	seen := map[string]bool{}
	for repo, err := range registry.PlainRepositories(ctx, from) {
		if err != nil {
			return nil, 0, err
		}
		repos = append(repos, t.name(repo))
		name, _, _ := strings.Cut(t.name(repo), "/")
		if seen[name] {
			continue
		}
		seen[name] = true
		_, err := t.h.registry.FindProject(ctx, t.h.db, name)
		if !errors.Is(err, errdef.ErrNotFound) {
			if err != nil {
				return nil, 0, err
			}
			continue
		}
		if t.export == nil || !t.o.DryRun { // the export has counted them
			made++
		}
		if t.o.DryRun {
			continue
		}
		err = t.h.db.Tx(ctx, func(tx *store.Tx) error {
			_, err := t.h.registry.CreateProject(tx, registry.Project{Name: name, Public: t.public, Quota: -1, RepoQuota: -1})
			return err
		})
		if err != nil {
			return nil, 0, err
		}
	}
	return repos, made, nil
}

// tell reports what was taken over.
func (t *taking) tell(did registry.Adopted, first, rest adopt.Report) report {
	var text strings.Builder
	lost := append([]string{}, first.First...)
	for _, f := range did.First {
		lost = append(lost, f.Kind+": "+f.What)
	}
	lost = append(lost, rest.First...)
	for _, l := range lost {
		fmt.Fprintln(&text, l)
	}
	skipped := first.Skipped + did.Skipped + rest.Skipped
	what := "took over"
	if t.o.DryRun {
		what = "would take over"
	}
	fmt.Fprintf(&text, "%s %d repositories with %d manifests, %d tags and %d blobs of %d bytes (%d in place, %d linked, %d copied); "+
		"%d projects, %d members, %d labels, %d of them on artifacts, %d immutability rules, %d robots, which are disabled; left out %d\n", what, did.Repositories,
		did.Manifests, did.Tags, did.Blobs, did.Bytes, did.InPlace, did.Linked, did.Copied, first.Projects, first.Members, first.Labels, rest.Attached, rest.Rules,
		rest.Robots, skipped)
	return report{well: skipped == 0, text: text.String(), value: struct {
		DryRun       bool     `json:"dry_run"`
		Repositories int      `json:"repositories"`
		Manifests    int      `json:"manifests"`
		Tags         int      `json:"tags"`
		Blobs        int      `json:"blobs"`
		Bytes        int64    `json:"bytes"`
		InPlace      int      `json:"in_place"`
		Linked       int      `json:"linked"`
		Copied       int      `json:"copied"`
		Projects     int      `json:"projects"`
		Members      int      `json:"members"`
		Labels       int      `json:"labels"`
		Attached     int      `json:"labels_on_artifacts"`
		Rules        int      `json:"immutability_rules"`
		Robots       int      `json:"robots"`
		Skipped      int      `json:"skipped"`
		First        []string `json:"first"`
	}{t.o.DryRun, did.Repositories, did.Manifests, did.Tags, did.Blobs, did.Bytes, did.InPlace, did.Linked, did.Copied, first.Projects, first.Members,
		first.Labels, rest.Attached, rest.Rules, rest.Robots, skipped, lost}}
}
