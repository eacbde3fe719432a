package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/replicate"
)

// harborAPI is the path of Harbor's API, which the hub serves too.
const harborAPI = "/api/v2.0"

// api is a request to it, with name and password.
func (c *client) api(method, path string, body any) ask {
	a := ask{method: method, url: harborAPI + path, header: http.Header{"Accept": {"application/json"}}}
	if c.endpoint.Username != "" {
		a.header.Set("Authorization", c.basicAuth())
	}
	if body != nil {
		b, _ := json.Marshal(body) // of our own types: it cannot fail
		a.body = func() []byte { return b }
		a.header.Set("Content-Type", "application/json")
	}
	return a
}

// harbor says whether the registry is a Harbor or a hub, and which version, as far as it tells. The answer of a registry that
// is neither may be anything.
func (c *client) harbor(ctx context.Context) (bool, string, error) {
	if c.base.Path != "" || c.dockerHub {
		return false, "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	res, err := c.send(ctx, c.api(http.MethodGet, "/systeminfo", nil), &url.URL{Scheme: c.base.Scheme, Host: c.base.Host, Path: harborAPI + "/systeminfo"})
	if err != nil {
		return false, "", err
	}
	defer drain(res)
	var info struct {
		Mode    string `json:"auth_mode"`
		Version string `json:"harbor_version"`
	}
	if res.StatusCode != http.StatusOK || json.NewDecoder(http.MaxBytesReader(nil, res.Body, maxErrorBody)).Decode(&info) != nil || info.Mode == "" {
		return false, "", nil
	}
	const most = 64
	if len(info.Version) > most || strings.ContainsFunc(info.Version, func(r rune) bool { return r < ' ' || r > '~' }) {
		info.Version = ""
	}
	return true, info.Version, nil
}

// makeProject makes a project that is not there.
func (c *client) makeProject(ctx context.Context, name string, public bool) error {
	there := c.api(http.MethodHead, "/projects?project_name="+url.QueryEscape(name), nil)
	there.fine = []int{http.StatusNotFound}
	res, err := c.do(ctx, there)
	if err != nil {
		return err
	}
	drain(res)
	if res.StatusCode != http.StatusNotFound {
		return nil
	}
	made := c.api(http.MethodPost, "/projects", map[string]any{"project_name": name, "metadata": map[string]string{"public": fmt.Sprint(public)}})
	made.fine = []int{http.StatusConflict} // somebody was quicker
	if res, err = c.do(ctx, made); err != nil {
		return fmt.Errorf("project %s cannot be made: %w", name, err)
	}
	drain(res)
	return nil
}

// artifactsOf is the path of a repository's artifacts. The slashes in its name are escaped twice, as Harbor wants it.
func artifactsOf(repo string) string {
	project, name, _ := strings.Cut(repo, "/")
	return "/projects/" + url.PathEscape(project) + "/repositories/" + url.PathEscape(url.PathEscape(name)) + "/artifacts"
}

func (c *client) deleteTag(ctx context.Context, repo, tag string) error {
	a := c.api(http.MethodDelete, artifactsOf(repo)+"/"+tag+"/tags/"+tag, nil)
	a.fine = []int{http.StatusNotFound}
	res, err := c.do(ctx, a)
	if err == nil {
		drain(res)
	}
	return err
}

// harborPage is how many entries of a list come at once.
const harborPage = 100

// harborRepositories calls f with the name of each repository that the account sees.
func (c *client) harborRepositories(ctx context.Context, f func(string) error) error {
	for page := 1; page <= replicate.MaxArtifacts/harborPage; page++ {
		var list []struct{ Name string }
		if _, err := c.json(ctx, c.api(http.MethodGet, fmt.Sprintf("/repositories?page=%d&page_size=%d", page, harborPage), nil), &list); err != nil {
			return err
		}
		for _, x := range list {
			if check(x.Name, "", "") != nil {
				continue
			}
			if err := f(x.Name); err != nil {
				return err
			}
		}
		if len(list) < harborPage {
			return nil
		}
	}
	return fmt.Errorf("%s has more than %d repositories: %w", c.base.Host, replicate.MaxArtifacts, errdef.ErrInvalid)
}

// harborArtifact is Harbor's form of one.
type harborArtifact struct {
	Digest    string    `json:"digest"`
	MediaType string    `json:"manifest_media_type"`
	Size      int64     `json:"size"`
	Pushed    time.Time `json:"push_time"`
	Tags      []struct {
		Name   string    `json:"name"`
		Pushed time.Time `json:"push_time"`
	} `json:"tags"`
	Labels []struct {
		Name string `json:"name"`
	} `json:"labels"`
}

// list is what the host is told of it. What cannot be is left out.
func (h harborArtifact) list(repo string) (all []replicate.Artifact) {
	a := replicate.Artifact{Repository: repo, Digest: h.Digest, MediaType: h.MediaType, Size: max(h.Size, 0), Pushed: h.Pushed}
	if digest.Digest(h.Digest).Validate() != nil {
		return nil
	}
	for _, l := range h.Labels {
		if len(a.Labels) < replicate.MaxLabels && l.Name != "" && len(l.Name) <= replicate.MaxName {
			a.Labels = append(a.Labels, l.Name)
		}
	}
	for _, t := range h.Tags {
		if !tagPattern.MatchString(t.Name) {
			continue
		}
		tagged := a
		tagged.Tag = t.Name
		if t.Pushed.After(a.Pushed) {
			tagged.Pushed = t.Pushed
		}
		all = append(all, tagged)
	}
	if len(h.Tags) == 0 {
		all = append(all, a)
	}
	return all
}

// harborArtifacts calls f with those of a repository, a page at a time.
func (c *client) harborArtifacts(ctx context.Context, repo string, f func([]replicate.Artifact) error) error {
	for page := 1; page <= replicate.MaxArtifacts/harborPage; page++ {
		var list []harborArtifact
		path := fmt.Sprintf("%s?page=%d&page_size=%d&with_tag=true&with_label=true", artifactsOf(repo), page, harborPage)
		if _, err := c.json(ctx, c.api(http.MethodGet, path, nil), &list); err != nil {
			if status(err) == http.StatusNotFound {
				return nil
			}
			return err
		}
		var all []replicate.Artifact
		for _, x := range list {
			all = append(all, x.list(repo)...)
		}
		if err := f(all); err != nil {
			return err
		}
		if len(list) < harborPage {
			return nil
		}
	}
	return nil
}
