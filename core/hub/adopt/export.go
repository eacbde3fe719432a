// Package adopt brings along what a Harbor knew beside the content of its storage: projects, members, quotas, tags, labels,
// robots and immutability rules, from answers of its REST API that were saved as files (contrib/harbor/export.sh). Package
// registry takes over the storage itself.
package adopt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/hub/selector"
	"github.com/openvic/vic/sdk/errdef"
)

// Export is a folder with answers of Harbor's API v2.0. A list that came in pages has its other pages in FILE-2.json,
// FILE-3.json and so on. Only projects.json must be there.
//
//	projects.json                                      GET /projects
//	quotas.json                                        GET /quotas
//	robots.json                                        GET /robots
//	labels.json                                        GET /labels?scope=g
//	projects/NAME/members.json                         GET /projects/NAME/members
//	projects/NAME/robots.json                          GET /robots?q=Level=project,ProjectID=ID
//	projects/NAME/labels.json                          GET /labels?scope=p&project_id=ID
//	projects/NAME/immutabletagrules.json               GET /projects/NAME/immutabletagrules
//	projects/NAME/repositories/REPOSITORY/artifacts.json  GET .../artifacts?with_tag=true&with_label=true
//
// REPOSITORY is the name without the project, with "/" as "%2F".
type Export struct{ dir string }

// Open looks whether a folder is an export.
func Open(dir string) (*Export, error) {
	if _, err := os.Stat(filepath.Join(dir, "projects.json")); err != nil {
		return nil, fmt.Errorf("%s is no export of a Harbor: it has no projects.json, the answer of GET /api/v2.0/projects: %w", dir, errdef.ErrInvalid)
	}
	return &Export{dir}, nil
}

// Bounds of an export.
const (
	maxFile  = 256 << 20 // bytes
	maxPages = 100_000
)

// read reads a list of an export with all its pages; a file that is not there is an empty one.
func read[T any](e *Export, name string) (all []T, err error) {
	for page := 1; page <= maxPages; page++ {
		path := filepath.Join(e.dir, name+".json")
		if page > 1 {
			path = filepath.Join(e.dir, fmt.Sprintf("%s-%d.json", name, page))
		}
		list, err := readFile[T](path)
		if errors.Is(err, fs.ErrNotExist) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("export of Harbor: %s: %w: %w", path, err, errdef.ErrInvalid)
		}
		all = append(all, list...)
	}
	return nil, fmt.Errorf("export of Harbor: %s has more than %d pages: %w", name, maxPages, errdef.ErrInvalid)
}

func readFile[T any](path string) (list []T, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("it has more than %d bytes", maxFile)
	}
	return list, json.Unmarshal(text, &list)
}

// project is what is read of one.
type project struct {
	ID       int64             `json:"project_id"`
	Name     string            `json:"name"`
	Metadata map[string]string `json:"metadata"`
}

type quota struct {
	Ref  struct{ Name string } `json:"ref"`
	Hard struct {
		Storage int64 `json:"storage"`
	} `json:"hard"`
}

type member struct {
	Name string `json:"entity_name"`
	Type string `json:"entity_type"` // "u" or "g"
	Role int    `json:"role_id"`
}

type label struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Color       string `json:"color"`
	Scope       string `json:"scope"` // "g" or "p"
}

type robot struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Level       string `json:"level"`
	Duration    int    `json:"duration"`
	Permissions []struct {
		Kind      string `json:"kind"`
		Namespace string `json:"namespace"`
		Access    []struct {
			Resource string `json:"resource"`
			Action   string `json:"action"`
			Effect   string `json:"effect"`
		} `json:"access"`
	} `json:"permissions"`
}

type rule struct {
	Disabled bool                           `json:"disabled"`
	Tags     []selector.Selector            `json:"tag_selectors"`
	Scope    map[string][]selector.Selector `json:"scope_selectors"`
}

type artifact struct {
	Digest string `json:"digest"`
	Tags   []struct {
		Name string `json:"name"`
	} `json:"tags"`
	Labels []label `json:"labels"`
}

// in names a file of a project.
func in(project, name string) string {
	return filepath.Join("projects", filepath.Base(filepath.Clean("/"+project)), name)
}

// artifacts are those of a repository, whose name has the project.
func (e *Export) artifacts(repo string) ([]artifact, error) {
	project, name, _ := strings.Cut(repo, "/")
	return read[artifact](e, in(project, filepath.Join("repositories", url.PathEscape(name), "artifacts")))
}

// Tags are those of a repository: Harbor keeps them in its database and not in the storage.
func (e *Export) Tags(repo string) (map[string]digest.Digest, error) {
	list, err := e.artifacts(repo)
	if err != nil {
		return nil, err
	}
	tags := map[string]digest.Digest{}
	for _, a := range list {
		for _, t := range a.Tags {
			tags[t.Name] = digest.Digest(a.Digest)
		}
	}
	return tags, nil
}
