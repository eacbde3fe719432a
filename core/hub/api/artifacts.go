package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/distribution/reference"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/hub/labels"
	"github.com/openvic/vic/core/hub/query"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/scanning"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/sdk/errdef"
)

type tagForm struct {
	ID           int64  `json:"id"`
	RepositoryID int64  `json:"repository_id"`
	ArtifactID   int64  `json:"artifact_id"`
	Name         string `json:"name"`
	Pushed       string `json:"push_time"`
	Pulled       string `json:"pull_time,omitempty"`
	Immutable    bool   `json:"immutable"`
}

type artifactForm struct {
	ID           int64           `json:"id"`
	ProjectID    int64           `json:"project_id"`
	RepositoryID int64           `json:"repository_id"`
	Repository   string          `json:"repository_name"`
	Digest       string          `json:"digest"`
	MediaType    string          `json:"media_type"`
	Manifest     string          `json:"manifest_media_type"`
	ArtifactType string          `json:"artifact_type"`
	Type         string          `json:"type"`
	Size         int64           `json:"size"`
	Pushed       string          `json:"push_time"`
	Pulled       string          `json:"pull_time,omitempty"`
	PushedBy     string          `json:"pushed_by"` // ours
	Tags         []tagForm       `json:"tags"`
	Labels       []labelForm     `json:"labels"`
	References   []referenceForm `json:"references"`
	// Overview has the head of the report of the last scan by its media type, as Harbor's clients ask for it.
	Overview    map[string]scanning.HarborOverview `json:"scan_overview,omitempty"`
	Accessories []accessoryForm                    `json:"accessories,omitempty"`
	Additions   map[string]additionLink            `json:"addition_links,omitempty"`
}

// maxReferences is how many of the manifests that an index names are told: a list has up to a hundred indexes.
const maxReferences = 500

// referenceForm is a manifest that an index names.
type referenceForm struct {
	ParentID int64        `json:"parent_id"`
	Digest   string       `json:"child_digest"`
	Platform *v1.Platform `json:"platform,omitempty"`
}

type additionLink struct {
	Href     string `json:"href"`
	Absolute bool   `json:"absolute"`
}

// Harbor's words for what an artifact is.
const (
	kindImage   = "IMAGE"
	kindChart   = "CHART"
	kindWASM    = "WASM"
	kindUnknown = "UNKNOWN"
)

// kindOf is Harbor's word for what an artifact is; kindWhere says the same in SQL.
func kindOf(m registry.Stored) string {
	switch {
	case strings.Contains(m.ArtifactType, "helm"):
		return kindChart
	case strings.Contains(m.ArtifactType, "wasm"):
		return kindWASM
	case m.ArtifactType == "" || strings.HasPrefix(m.ArtifactType, "application/vnd.oci.image") || strings.HasPrefix(m.ArtifactType, "application/vnd.docker"):
		return kindImage
	}
	return kindUnknown
}

const kindSQL = `CASE WHEN m.artifact_type LIKE '%helm%' THEN 'CHART' WHEN m.artifact_type LIKE '%wasm%' THEN 'WASM'
	WHEN m.artifact_type = '' OR m.artifact_type LIKE 'application/vnd.oci.image%'
		OR m.artifact_type LIKE 'application/vnd.docker%' THEN 'IMAGE' ELSE 'UNKNOWN' END`

// artifactColumns are what lists of artifacts are filtered and sorted by.
var artifactColumns = query.Columns{"id": {SQL: "m.id", Type: query.Number}, "digest": {SQL: "m.digest"}, "media_type": {SQL: "m.media_type"},
	"artifact_type": {SQL: "m.artifact_type"}, "type": {SQL: kindSQL}, "size": {SQL: "m.total", Type: query.Number},
	"push_time": {SQL: "m.pushed", Type: query.Millis}, "pull_time": {SQL: "m.pulled", Type: query.Millis},
	"tags": {Where: tagged}, "labels": {Where: labels.Where}}

// tagged is the condition of q=tags=...: "*" is any tag, "nil" is none.
func tagged(f query.Filter, arg func(any) string) (string, error) {
	const some = `EXISTS (SELECT 1 FROM tag t WHERE t.manifest_id = m.id`
	if f.Kind == query.Exact {
		switch f.Values[0] {
		case "*":
			return some + ")", nil
		case "nil":
			return "NOT " + some + ")", nil
		}
	}
	cond, err := query.Columns{"tags": {SQL: "t.name"}}.One(f, arg)
	return some + " AND " + cond + ")", err
}

// tagColumns are what lists of tags are filtered and sorted by.
var tagColumns = query.Columns{"name": {SQL: "t.name"}, "push_time": {SQL: "t.pushed", Type: query.Millis}, "pull_time": {SQL: "t.pulled", Type: query.Millis},
	"artifact_id": {SQL: "t.manifest_id", Type: query.Number}}

func tagsOf(m registry.Stored, repo registry.Repository, held func(repository, tag string) bool) []tagForm {
	out := []tagForm{}
	for _, t := range m.Tags {
		out = append(out, tagForm{RepositoryID: repo.ID, ArtifactID: m.ID, Name: t.Name, Pushed: stamp(t.Pushed),
			Pulled: stampOrNone(t.Pulled), Immutable: held(repo.Name, t.Name)})
	}
	return out
}

// shown is what of artifacts a client wants to see.
type shown struct {
	labels, accessories bool
	overview            bool
	held                func(repository, tag string) bool
}

func (a *api) shown(c *call) (s shown, err error) {
	if s.labels, err = c.wants("with_label", false); err != nil {
		return s, err
	}
	if s.accessories, err = c.wants("with_accessory", false); err != nil {
		return s, err
	}
	if s.overview, err = c.wants("with_scan_overview", false); err != nil {
		return s, err
	}
	s.held, err = a.Immutable.Held(c.r.Context(), a.DB, c.project.ID)
	return s, err
}

// artifactOf makes Harbor's form.
func (a *api) artifactOf(c *call, m registry.Stored, repo registry.Repository, s shown) (artifactForm, error) {
	out := artifactForm{ID: m.ID, ProjectID: repo.Project, RepositoryID: repo.ID, Repository: repo.Name, Digest: m.Digest.String(), MediaType: m.ArtifactType,
		Manifest: m.MediaType, ArtifactType: m.ArtifactType, Type: kindOf(m), Size: m.Total, Pushed: stamp(m.Pushed), Pulled: stampOrNone(m.Pulled), PushedBy: m.By,
		Tags: tagsOf(m, repo, s.held), Labels: []labelForm{}, References: []referenceForm{}}
	if out.MediaType == "" {
		out.MediaType = m.MediaType
	}
	out.Additions = additionLinks(out)
	if strings.Contains(m.MediaType, "index") || strings.Contains(m.MediaType, "list") {
		payload, err := a.Registry.Payload(c.r.Context(), m.ID)
		if err != nil && !errors.Is(err, errdef.ErrNotFound) {
			return out, err
		}
		var index v1.Index
		_ = json.Unmarshal(payload, &index) // it was one when it was pushed
		for _, x := range index.Manifests[:min(len(index.Manifests), maxReferences)] {
			out.References = append(out.References, referenceForm{m.ID, x.Digest.String(), x.Platform})
		}
	}
	if s.labels {
		list, err := a.Labels.Of(c.r.Context(), m.ID)
		if err != nil {
			return out, err
		}
		for _, l := range list {
			out.Labels = append(out.Labels, labelOf(l))
		}
	}
	if s.accessories {
		list, err := a.Registry.Referrers(c.r.Context(), repo, m.Digest)
		if err != nil {
			return out, err
		}
		for _, x := range list {
			out.Accessories = append(out.Accessories, accessoryOf(x, m, repo))
		}
	}
	return out, nil
}

func (a *api) listArtifacts(c *call) error {
	s, err := c.selection(artifactColumns, "m.pushed DESC, m.id DESC")
	if err != nil {
		return err
	}
	show, err := a.shown(c)
	if err != nil {
		return err
	}
	x, err := a.repository(c)
	if err != nil {
		return err
	}
	list, total, err := a.Registry.SelectManifests(c.r.Context(), x, s.size, s.offset(), s.condition, s.order, s.args...)
	if err != nil {
		return err
	}
	scans := map[string]map[string]scanning.HarborOverview{}
	if show.overview {
		if scans, err = a.overviews(c, x, list); err != nil {
			return err
		}
	}
	out := make([]artifactForm, len(list))
	for i, m := range list {
		if out[i], err = a.artifactOf(c, m, x, show); err != nil {
			return err
		}
		out[i].Overview = scans[out[i].Digest]
	}
	return c.list(s.page, total, out)
}

// artifact finds the one of the path, by digest or tag.
func (a *api) artifact(c *call) (registry.Repository, registry.Stored, error) {
	x, err := a.repository(c)
	if err != nil {
		return x, registry.Stored{}, err
	}
	m, err := a.Registry.Manifest(c.r.Context(), x, c.r.PathValue("reference"))
	if errors.Is(err, errdef.ErrNotFound) {
		return x, m, notFound("artifact %s:%s not found", x.Name, c.r.PathValue("reference"))
	}
	return x, m, err
}

func (a *api) getArtifact(c *call) error {
	show, err := a.shown(c)
	if err != nil {
		return err
	}
	x, m, err := a.artifact(c)
	if err != nil {
		return err
	}
	out, err := a.artifactOf(c, m, x, show)
	if err != nil {
		return err
	}
	if show.overview {
		scans, err := a.overviews(c, x, []registry.Stored{m})
		if err != nil {
			return err
		}
		out.Overview = scans[out.Digest]
	}
	return c.answer(http.StatusOK, out)
}

func (a *api) deleteArtifact(c *call) error {
	x, m, err := a.artifact(c)
	if err != nil {
		return err
	}
	if err := a.remove(c, x.Name, m.Digest.String()); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

// copyArtifact copies from=project/repository:tag or @digest into the repository of the path, which is made if it is not
// there. The caller needs the right to pull at the source.
func (a *api) copyArtifact(c *call) error {
	from := c.r.URL.Query().Get("from")
	const longest = 512
	parts := reference.ReferenceRegexp.FindStringSubmatch(from)
	if len(from) > longest || parts == nil || parts[2] == "" && parts[3] == "" {
		return badRequest("from: want PROJECT/REPOSITORY:TAG or PROJECT/REPOSITORY@DIGEST")
	}
	source, ref := parts[1], parts[2]
	if parts[3] != "" {
		ref = parts[3]
	}
	project, _, _ := strings.Cut(source, "/")
	answer, err := a.Authority.InProject(c.r.Context(), c.who, role.ArtifactPull, project)
	switch {
	case err != nil:
		return err
	case answer == role.Hidden:
		return notFound("from: repository %s not found", source)
	case answer != role.Allowed:
		return &Error{http.StatusForbidden, "FORBIDDEN", "from: this needs " + role.ArtifactPull.String() + " in the project " + project}
	}
	name := c.r.PathValue("repository")
	if once, err := url.PathUnescape(name); err == nil {
		name = once
	}
	target := c.project.Name + "/" + name
	if _, err := reference.WithName(target); err != nil || len(target) > 255 {
		return badRequest("%q is no name of a repository", target)
	}
	d, err := a.Registry.Copy(c.r, remover{c.who.Name}, source, ref, target)
	if err != nil {
		return told(err)
	}
	return c.created("/projects/%s/repositories/%s/artifacts/%s", c.project.Name, pathName(name), d)
}

// told is an error of the registry as the API tells it.
func told(err error) error {
	if errors.Is(err, errdef.ErrInvalid) || errors.Is(err, errdef.ErrExists) {
		return err
	}
	if status, code, message := registry.Status(err); status < http.StatusInternalServerError {
		return &Error{status, code, message}
	}
	return err
}

// accessoryForm is Harbor's form of what is about an artifact.
type accessoryForm struct {
	ID            int64  `json:"id"`
	ArtifactID    int64  `json:"artifact_id"`
	SubjectID     int64  `json:"subject_artifact_id"`
	SubjectDigest string `json:"subject_artifact_digest"`
	SubjectRepo   string `json:"subject_artifact_repo"`
	Size          int64  `json:"size"`
	Digest        string `json:"digest"`
	Type          string `json:"type"`
	Created       string `json:"creation_time"`
	ArtifactType  string `json:"artifact_type"` // ours
}

func accessoryOf(x, subject registry.Stored, repo registry.Repository) accessoryForm {
	return accessoryForm{ID: x.ID, ArtifactID: x.ID, SubjectID: subject.ID, SubjectDigest: subject.Digest.String(), SubjectRepo: repo.Name, Size: x.Total,
		Digest: x.Digest.String(), Type: accessoryKind(x), Created: stamp(x.Pushed), ArtifactType: x.ArtifactType}
}

// accessorySBOM is Harbor's word for an SBOM.
const accessorySBOM = "sbom.harbor"

// accessoryKind is Harbor's word for what is about an artifact.
func accessoryKind(x registry.Stored) string {
	tag := ""
	for _, t := range x.Tags {
		tag = t.Name
	}
	t := strings.ToLower(x.ArtifactType)
	switch {
	case strings.Contains(t, "cosign") && strings.Contains(t, "sig"), strings.Contains(t, "sigstore.bundle"), strings.HasSuffix(tag, ".sig"):
		return "signature.cosign"
	case strings.Contains(t, "notary.signature"):
		return "signature.notation"
	case strings.Contains(t, "spdx"), strings.Contains(t, "cyclonedx"), strings.Contains(t, "sbom"), strings.HasSuffix(tag, ".sbom"):
		return accessorySBOM
	}
	return "subject.accessory"
}

func (a *api) listAccessories(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	q, err := c.query("type", "digest")
	if err != nil {
		return err
	}
	x, m, err := a.artifact(c)
	if err != nil {
		return err
	}
	list, err := a.Registry.Referrers(c.r.Context(), x, m.Digest)
	if err != nil {
		return err
	}
	all := []accessoryForm{}
	for _, one := range list {
		if f := accessoryOf(one, m, x); strings.Contains(f.Type, q["type"]) && strings.Contains(f.Digest, q["digest"]) {
			all = append(all, f)
		}
	}
	from := min(p.offset(), len(all))
	return c.list(p, len(all), all[from:min(from+p.size, len(all))])
}
