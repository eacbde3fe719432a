package api

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/scanning"
	"github.com/openvic/vic/core/hub/settings"
	"github.com/openvic/vic/core/hub/trust"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
)

func metadataRoutes() []route {
	const one = "/projects/{project}/metadatas/{metadata}"
	return []route{
		{method: "GET", path: "/projects/{project}/metadatas", id: "listProjectMetadatas", needs: role.ProjectRead, run: (*api).listMetadata,
			says: "Tell what is set of a project", gives: map[string]string{}},
		{method: "POST", path: "/projects/{project}/metadatas", id: "addProjectMetadatas", needs: role.ProjectWrite, run: (*api).addMetadata,
			says: "Set something of a project", takes: map[string]string{}, status: http.StatusOK},
		{method: "GET", path: one, id: "getProjectMetadata", needs: role.ProjectRead, run: (*api).getMetadata,
			says: "Tell one thing that is set of a project", gives: map[string]string{}},
		{method: "PUT", path: one, id: "updateProjectMetadata", needs: role.ProjectWrite, run: (*api).setMetadata,
			says: "Set one thing of a project", takes: map[string]string{}},
		{method: "DELETE", path: one, id: "deleteProjectMetadata", needs: role.ProjectWrite, run: (*api).deleteMetadata,
			says: "Take away what is set of a project"},
	}
}

// metadataValues are what can be set of a project in Harbor's words, beside whether it is public, and the values that are
// taken. What would promise to stop a pull, which the hub does not do, can only be off.
var metadataValues = map[string][]string{
	"auto_scan":                {"true", "false"},
	"auto_sbom_generation":     {"true", "false"},
	"reuse_sys_cve_allowlist":  {"true", "false"},
	"severity":                 {"none", "low", "medium", "high", "critical"},
	scanning.MetadataPrevent:   {"true", "false"},
	scanning.MetadataUnscanned: {"refuse", "allow"}, // ours
	scanning.MetadataGrace:     nil,                 // ours: a number of days
	trust.MetadataNotary:       {"true", "false"},
	trust.MetadataCosign:       {"true", "false"},
	trust.MetadataNotation:     {"true", "false"}, // ours
}

// publicName is the one that the registry keeps itself.
const publicName = "public"

// checkMetadata refuses values that cannot be. What nobody knows is let be: clients send what other versions have.
func checkMetadata(m map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		values, known := metadataValues[name]
		switch {
		case name == publicName:
			if _, err := strconv.ParseBool(m[name]); err != nil {
				return badRequest("metadata.public: want true or false")
			}
		case name == scanning.MetadataGrace:
			if n, err := strconv.Atoi(m[name]); m[name] != "" && (err != nil || n < 0 || n > scanning.MaxGraceDays) {
				return badRequest("metadata.%s: want 0 to %d days", name, scanning.MaxGraceDays)
			}
		case known && m[name] != "" && !slices.Contains(values, m[name]):
			return badRequest("metadata.%s: the hub takes %s", name, strings.Join(values, ", "))
		}
	}
	return nil
}

// keepMetadata sets what is known of m, within the transaction that has locked the project.
func (a *api) keepMetadata(tx *store.Tx, p registry.Project, m map[string]string) error {
	for name, value := range m {
		if _, known := metadataValues[name]; known {
			if err := settings.SetMetadata(tx, p.ID, name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// metadata is all that is set of a project.
func (a *api) metadata(c *call, p registry.Project) (map[string]string, error) {
	m, err := a.Settings.Metadata(c.r.Context(), a.DB, p.ID)
	if err == nil {
		m[publicName] = strconv.FormatBool(p.Public)
	}
	return m, err
}

func (a *api) listMetadata(c *call) error {
	m, err := a.metadata(c, c.project)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, m)
}

func (a *api) getMetadata(c *call) error {
	m, err := a.metadata(c, c.project)
	if err != nil {
		return err
	}
	name := c.r.PathValue("metadata")
	value, ok := m[name]
	if !ok {
		return notFound("nothing is set for %s", name)
	}
	return c.answer(http.StatusOK, map[string]string{name: value})
}

// changeMetadata sets m in the project of the path.
func (a *api) changeMetadata(c *call, m map[string]string) error {
	if err := checkMetadata(m); err != nil {
		return err
	}
	err := a.DB.Tx(c.r.Context(), func(tx *store.Tx) error {
		p, err := a.Registry.LockProject(tx, c.project.ID)
		if err != nil {
			return err
		}
		if p.Public, err = (projectRequest{Metadata: m}).public(p.Public); err != nil {
			return err
		}
		if err := a.Registry.UpdateProject(tx, p); err != nil {
			return err
		}
		return a.keepMetadata(tx, p, m)
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (a *api) addMetadata(c *call) error {
	var m map[string]string
	if err := c.body(&m); err != nil {
		return err
	}
	for name := range m {
		if _, known := metadataValues[name]; !known && name != publicName {
			return badRequest("%s: nothing of that name can be set", name)
		}
	}
	return a.changeMetadata(c, m)
}

func (a *api) setMetadata(c *call) error {
	var m map[string]string
	if err := c.body(&m); err != nil {
		return err
	}
	name := c.r.PathValue("metadata")
	value, ok := m[name]
	if _, known := metadataValues[name]; !ok || !known && name != publicName {
		return badRequest("%s: want {%q: VALUE} with one of %s", name, name, strings.Join(append(slices.Sorted(maps.Keys(metadataValues)), publicName), ", "))
	}
	return a.changeMetadata(c, map[string]string{name: value})
}

func (a *api) deleteMetadata(c *call) error {
	name := c.r.PathValue("metadata")
	if name == publicName {
		return badRequest("public: a project is public or not: set it")
	}
	if m, err := a.metadata(c, c.project); err != nil {
		return err
	} else if _, ok := m[name]; !ok {
		return notFound("nothing is set for %s", name)
	}
	return a.changeMetadata(c, map[string]string{name: ""})
}
