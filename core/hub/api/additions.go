package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/hub/additions"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/sdk/errdef"
)

// Harbor's names of what is told of an artifact beside its manifest.
const (
	additionHistory      = "build_history"
	additionReadme       = "readme.md"
	additionValues       = "values.yaml"
	additionDependencies = "dependencies"
	additionSBOM         = "sbom"
)

// additionsOf are those of an artifact.
func additionsOf(kind, mediaType string) []string {
	switch {
	case kind == kindChart:
		return []string{additionReadme, additionValues, additionDependencies}
	case kind == kindImage && (mediaType == v1.MediaTypeImageManifest || strings.HasSuffix(mediaType, "distribution.manifest.v2+json")):
		return []string{additionHistory, additionVulnerabilities, additionSBOM}
	}
	return nil
}

func additionLinks(f artifactForm) map[string]additionLink {
	project, name, _ := strings.Cut(f.Repository, "/")
	var all map[string]additionLink
	for _, x := range additionsOf(f.Type, f.Manifest) {
		if all == nil {
			all = map[string]additionLink{}
		}
		all[x] = additionLink{Href: Prefix + "/projects/" + project + "/repositories/" + pathName(name) + "/artifacts/" + f.Digest + "/additions/" + x}
	}
	return all
}

func (a *api) getAddition(c *call) error {
	x, m, err := a.artifact(c)
	if err != nil {
		return err
	}
	name := strings.ToLower(c.r.PathValue("addition"))
	isSBOM := name == additionSBOM && accessoryKind(m) == accessorySBOM
	switch {
	case name == additionVulnerabilities:
		return a.vulnerabilities(c, x, m)
	case name == additionSBOM && !isSBOM:
		return a.scannedSBOM(c, x, m)
	}
	if !isSBOM && !slices.Contains(additionsOf(kindOf(m), m.MediaType), name) {
		return badRequest("addition %.40q is not there for an artifact of type %s", name, kindOf(m))
	}
	payload, err := a.Registry.Payload(c.r.Context(), m.ID)
	if err != nil {
		return err
	}
	var doc v1.Manifest
	if err := json.Unmarshal(payload, &doc); err != nil {
		return err
	}
	if isSBOM {
		return a.sbom(c, x, doc)
	}
	if name == additionReadme || name == additionValues {
		return a.chartFile(c, x, doc, name)
	}
	config, err := a.Registry.ReadBlob(c.r.Context(), x.Name, doc.Config.Digest, additions.MaxConfig)
	if errors.Is(err, errdef.ErrExhausted) {
		return badRequest("the artifact's config has more than %d bytes", additions.MaxConfig)
	}
	if err != nil {
		return err
	}
	var out any
	if name == additionHistory {
		out, err = additions.History(config)
	} else {
		out, err = additions.Dependencies(config)
	}
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, out)
}

// sbom answers with an SBOM that was pushed as an artifact of its own: its first layer, which is JSON.
func (a *api) sbom(c *call, x registry.Repository, doc v1.Manifest) error {
	if len(doc.Layers) == 0 {
		return notFound("the SBOM has no content")
	}
	text, err := a.Registry.ReadBlob(c.r.Context(), x.Name, doc.Layers[0].Digest, maxSBOM)
	if errors.Is(err, errdef.ErrExhausted) {
		return badRequest("the SBOM has more than %d bytes: pull it instead", maxSBOM)
	}
	if err != nil {
		return err
	}
	if !json.Valid(text) {
		return badRequest("the SBOM is no JSON: pull it instead")
	}
	c.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = c.w.Write(text) // the client has gone
	return nil
}

// maxSBOM is how many bytes of an SBOM are shown.
const maxSBOM = 16 << 20

// chartFile answers with a text out of a chart's archive. A browser shows it as text, whatever it says.
func (a *api) chartFile(c *call, x registry.Repository, doc v1.Manifest, name string) error {
	i := slices.IndexFunc(doc.Layers, func(d v1.Descriptor) bool { return strings.Contains(d.MediaType, "helm.chart.content") })
	if i < 0 {
		return notFound("the chart has no archive")
	}
	body, err := a.Registry.OpenBlob(c.r.Context(), x.Name, doc.Layers[i].Digest)
	if err != nil {
		return err
	}
	defer body.Close()
	text, err := additions.ChartFile(body, name)
	if err != nil {
		return err
	}
	kind := "text/markdown; charset=utf-8"
	if name == additionValues {
		kind = "text/plain; charset=utf-8"
	}
	c.w.Header().Set("Content-Type", kind)
	_, _ = c.w.Write(text) // the client has gone
	return nil
}
