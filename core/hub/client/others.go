package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
)

// Registry is another registry that the hub knows.
type Registry struct {
	ID          int64               `json:"id"`
	Name        string              `json:"name"`
	Description string              `json:"description"`
	Type        string              `json:"type"`
	URL         string              `json:"url"`
	Credential  *RegistryCredential `json:"credential,omitempty"`
	Insecure    bool                `json:"insecure"`
	CA          string              `json:"ca_certificate,omitempty"`
	Status      string              `json:"status"`
	Created     string              `json:"creation_time"`
	Updated     string              `json:"update_time"`
}

// RegistryCredential is who the hub is there. The hub tells no secret.
type RegistryCredential struct {
	Type   string `json:"type"` // basic
	Key    string `json:"access_key"`
	Secret string `json:"access_secret"`
}

// NewRegistry makes a registry known.
type NewRegistry struct {
	Name        string              `json:"name"`
	Description string              `json:"description"`
	Type        string              `json:"type"`
	URL         string              `json:"url"`
	Credential  *RegistryCredential `json:"credential,omitempty"`
	Insecure    bool                `json:"insecure"`
	CA          string              `json:"ca_certificate,omitempty"`
}

// Registries are all that the hub knows.
func (c *Client) Registries(ctx context.Context) iter.Seq2[Registry, error] {
	return pages[Registry](ctx, c, "/registries", nil)
}

// CreateRegistry makes one known that answers, and tells its number.
func (c *Client) CreateRegistry(ctx context.Context, r NewRegistry) (int64, error) {
	h, err := c.call(ctx, http.MethodPost, "/registries", nil, r, nil)
	if err != nil {
		return 0, err
	}
	return made(h)
}

// PingRegistry asks one whether it answers and takes the credentials.
func (c *Client) PingRegistry(ctx context.Context, id int64) error {
	_, err := c.call(ctx, http.MethodPost, "/registries/ping", nil, map[string]int64{"id": id}, nil)
	return err
}

// DeleteRegistry forgets one that no project is a proxy cache of.
func (c *Client) DeleteRegistry(ctx context.Context, id int64) error {
	_, err := c.call(ctx, http.MethodDelete, fmt.Sprintf("/registries/%d", id), nil, nil, nil)
	return err
}

// RegistryTypes are the kinds that there are.
func (c *Client) RegistryTypes(ctx context.Context) (list []string, err error) {
	_, err = c.call(ctx, http.MethodGet, "/replication/adapters", nil, nil, &list)
	return list, err
}

// VCH is a virtual container host that is a resource of projects.
type VCH struct {
	ID        int64        `json:"id"`
	UID       string       `json:"uid"`
	Name      string       `json:"name"`
	Address   string       `json:"address,omitempty"`
	Connected bool         `json:"connected"`
	Projects  []VCHProject `json:"projects"`
	Created   string       `json:"creation_time"`
	HubOnly   bool         `json:"hub_only"` // a project demands that it takes images of the hub alone
}

// VCHProject is a project of one.
type VCHProject struct {
	ID   int64  `json:"project_id"`
	Name string `json:"name"`
}

// VCHPing is what a VCH answers the hub.
type VCHPing struct {
	Status     string `json:"status"` // ok or error
	Error      string `json:"error,omitempty"`
	Version    string `json:"version,omitempty"`
	APIVersion string `json:"api_version,omitempty"`
}

// VCHs are those of a project, by its name, or all: "".
func (c *Client) VCHs(ctx context.Context, name string) iter.Seq2[VCH, error] {
	if name == "" {
		return pages[VCH](ctx, c, "/vchs", nil)
	}
	return pages[VCH](ctx, c, project(name)+"/vchs", nil)
}

// PingVCH asks one for its version.
func (c *Client) PingVCH(ctx context.Context, id int64) (p VCHPing, err error) {
	_, err = c.call(ctx, http.MethodGet, fmt.Sprintf("/vchs/%d/ping", id), nil, nil, &p)
	return p, err
}

// DeleteVCH forgets one.
func (c *Client) DeleteVCH(ctx context.Context, id int64) error {
	_, err := c.call(ctx, http.MethodDelete, fmt.Sprintf("/vchs/%d", id), nil, nil, nil)
	return err
}

// Session is a sign-in of a browser.
type Session struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Agent   string `json:"agent"`
	Began   string `json:"began"`
	Seen    string `json:"seen"`
}

func sessions(user int64) string {
	if user == 0 {
		return "/users/current/sessions"
	}
	return fmt.Sprintf("/users/%d/sessions", user)
}

// Sessions are those of a user, by number, or of the caller: 0.
func (c *Client) Sessions(ctx context.Context, user int64) (list []Session, err error) {
	_, err = c.call(ctx, http.MethodGet, sessions(user), nil, nil, &list)
	return list, err
}

// EndSessions ends all of a user, by number, or of the caller: 0.
func (c *Client) EndSessions(ctx context.Context, user int64) error {
	_, err := c.call(ctx, http.MethodDelete, sessions(user), nil, nil, nil)
	return err
}

// EndSession ends one of the caller's.
func (c *Client) EndSession(ctx context.Context, id string) error {
	_, err := c.call(ctx, http.MethodDelete, sessions(0)+"/"+url.PathEscape(id), nil, nil, nil)
	return err
}

// Job is a piece of the hub's work.
type Job struct {
	ID      int64  `json:"id"`
	Kind    string `json:"vendor_type"`
	Subject int64  `json:"vendor_id"`
	Status  string `json:"status"`
	Message string `json:"status_message"`
	Cause   string `json:"trigger"`
	Start   string `json:"start_time"`
	End     string `json:"end_time,omitempty"`
}

// Task is a part of one.
type Task struct {
	ID      int64  `json:"id"`
	Status  string `json:"status"`
	Message string `json:"status_message"`
}

// JobQueue is how much work of a kind waits.
type JobQueue struct {
	Kind    string `json:"job_type"`
	Count   int64  `json:"count"`
	Latency int64  `json:"latency"` // seconds
}

// JobSchedule is what begins by itself.
type JobSchedule struct {
	ID      int64  `json:"id"`
	Kind    string `json:"vendor_type"`
	Subject int64  `json:"vendor_id"`
	Cron    string `json:"cron"`
	Next    string `json:"next_scheduled_time"`
}

// Jobs are the hub's work of a kind with a status, the latest first; "" is any.
func (c *Client) Jobs(ctx context.Context, kind, status string) iter.Seq2[Job, error] {
	var parts []string
	if kind != "" {
		parts = append(parts, "vendor_type="+kind)
	}
	if status != "" {
		parts = append(parts, "status="+status)
	}
	q := url.Values{}
	if len(parts) > 0 {
		q.Set("q", strings.Join(parts, ","))
	}
	return pages[Job](ctx, c, "/jobservice/jobs", q)
}

// Job finds one.
func (c *Client) Job(ctx context.Context, id int64) (j Job, err error) {
	_, err = c.call(ctx, http.MethodGet, fmt.Sprintf("/jobservice/jobs/%d", id), nil, nil, &j)
	return j, err
}

// StopJob stops one.
func (c *Client) StopJob(ctx context.Context, id int64) error {
	_, err := c.call(ctx, http.MethodPut, fmt.Sprintf("/jobservice/jobs/%d", id), nil, nil, nil)
	return err
}

// JobLog is the log of one.
func (c *Client) JobLog(ctx context.Context, id int64) (string, error) {
	_, text, err := c.Raw(ctx, http.MethodGet, fmt.Sprintf("/jobservice/jobs/%d/log", id), nil, nil)
	return string(text), err
}

// JobQueues tell of each kind of work how much waits.
func (c *Client) JobQueues(ctx context.Context) (list []JobQueue, err error) {
	_, err = c.call(ctx, http.MethodGet, "/jobservice/queues", nil, nil, &list)
	return list, err
}

// JobSchedules are what begins by itself.
func (c *Client) JobSchedules(ctx context.Context) iter.Seq2[JobSchedule, error] {
	return pages[JobSchedule](ctx, c, "/schedules", nil)
}

// Found is what a search found.
type Found struct {
	Projects     []Project         `json:"project"`
	Repositories []FoundRepository `json:"repository"`
}

// FoundRepository is one that a search found.
type FoundRepository struct {
	ProjectName string `json:"project_name"`
	Public      bool   `json:"project_public"`
	Name        string `json:"repository_name"`
	Artifacts   int64  `json:"artifact_count"`
}

// Search finds projects and repositories by a part of their names.
func (c *Client) Search(ctx context.Context, text string) (f Found, err error) {
	_, err = c.call(ctx, http.MethodGet, "/search", url.Values{"q": {text}}, nil, &f)
	return f, err
}

// Setting is one of the hub's.
type Setting struct {
	Value    any  `json:"value"`
	Editable bool `json:"editable"`
}

// Settings are the hub's, by name.
func (c *Client) Settings(ctx context.Context) (all map[string]Setting, err error) {
	_, err = c.call(ctx, http.MethodGet, "/configurations", nil, nil, &all)
	return all, err
}

// Set changes settings.
func (c *Client) Set(ctx context.Context, changes map[string]any) error {
	_, err := c.call(ctx, http.MethodPut, "/configurations", nil, changes, nil)
	return err
}

// Allowlist is the vulnerabilities that are allowed where a project has no list of its own.
type Allowlist struct {
	Expires *int64          `json:"expires_at"` // seconds since 1970; nil: never
	Items   []AllowlistItem `json:"items"`
}

// AllowlistItem is one of them.
type AllowlistItem struct {
	CVE string `json:"cve_id"`
}

// Allowlist tells the hub's.
func (c *Client) Allowlist(ctx context.Context) (l Allowlist, err error) {
	_, err = c.call(ctx, http.MethodGet, "/system/CVEAllowlist", nil, nil, &l)
	return l, err
}

// SetAllowlist replaces the hub's.
func (c *Client) SetAllowlist(ctx context.Context, l Allowlist) error {
	_, err := c.call(ctx, http.MethodPut, "/system/CVEAllowlist", nil, l, nil)
	return err
}
