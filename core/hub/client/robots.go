package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Robot is the account of a program.
type Robot struct {
	ID          int64             `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Level       string            `json:"level"`    // "project" or "system"
	Duration    int               `json:"duration"` // days; -1: for ever
	Editable    bool              `json:"editable"`
	Disable     bool              `json:"disable"`
	Expires     int64             `json:"expires_at"` // seconds since 1970; -1: never
	Created     string            `json:"creation_time"`
	Updated     string            `json:"update_time"`
	Permissions []RobotPermission `json:"permissions"`
	Creator     string            `json:"creator"`
	LastUsed    string            `json:"last_used,omitempty"`
}

// RobotPermission is what a robot may in a project or in the hub.
type RobotPermission struct {
	Kind      string        `json:"kind"`      // "project" or "system"
	Namespace string        `json:"namespace"` // a project, "*" for all, "/" for the hub
	Access    []RobotAccess `json:"access"`
}

// RobotAccess is one permission of docs/hub-roles.md.
type RobotAccess struct {
	Resource string `json:"resource"`
	Action   string `json:"action"`
	Effect   string `json:"effect,omitempty"`
}

// NewRobot is one to be made.
type NewRobot struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Level       string            `json:"level"`
	Duration    int               `json:"duration"`
	Permissions []RobotPermission `json:"permissions"`
}

// MadeRobot has the secret, which the hub tells once.
type MadeRobot struct {
	ID      int64  `json:"id"`
	Name    string `json:"name"`
	Secret  string `json:"secret"`
	Created string `json:"creation_time"`
	Expires int64  `json:"expires_at"`
}

// Robots are those of a project, by its number, or of the whole hub: 0.
func (c *Client) Robots(ctx context.Context, project int64) iter.Seq2[Robot, error] {
	q := url.Values{}
	if project != 0 {
		q.Set("q", fmt.Sprintf("Level=project,ProjectID=%d", project))
	}
	return pages[Robot](ctx, c, "/robots", q)
}

// CreateRobot makes one.
func (c *Client) CreateRobot(ctx context.Context, r NewRobot) (m MadeRobot, err error) {
	_, err = c.call(ctx, http.MethodPost, "/robots", nil, r, &m)
	return m, err
}

// RefreshRobot gives a robot a new secret and tells it.
func (c *Client) RefreshRobot(ctx context.Context, id int64) (string, error) {
	var s struct {
		Secret string `json:"secret"`
	}
	_, err := c.call(ctx, http.MethodPatch, fmt.Sprintf("/robots/%d", id), nil, map[string]string{"secret": ""}, &s)
	return s.Secret, err
}

// Robot finds one by its number.
func (c *Client) Robot(ctx context.Context, id int64) (r Robot, err error) {
	_, err = c.call(ctx, http.MethodGet, fmt.Sprintf("/robots/%d", id), nil, nil, &r)
	return r, err
}

// UpdateRobot changes one to what r says.
func (c *Client) UpdateRobot(ctx context.Context, r Robot) error {
	_, err := c.call(ctx, http.MethodPut, fmt.Sprintf("/robots/%d", r.ID), nil, map[string]any{"name": r.Name, "description": r.Description, "level": r.Level,
		"disable": r.Disable, "duration": r.Duration, "permissions": r.Permissions}, nil)
	return err
}

// DeleteRobot removes one.
func (c *Client) DeleteRobot(ctx context.Context, id int64) error {
	_, err := c.call(ctx, http.MethodDelete, fmt.Sprintf("/robots/%d", id), nil, nil, nil)
	return err
}

// Line is one of the audit log.
type Line struct {
	ID        int64  `json:"id"`
	User      string `json:"username"`
	Resource  string `json:"resource"`
	Type      string `json:"resource_type"`
	Operation string `json:"operation"`
	Time      string `json:"op_time"`
	By        string `json:"authentication"`
	Address   string `json:"address"`
	Agent     string `json:"agent"`
	Outcome   int    `json:"outcome"` // an HTTP status
	Detail    string `json:"detail,omitempty"`
}

// AuditQuery says which lines; what is empty says nothing.
type AuditQuery struct {
	Project                         string // "": the whole hub
	User, Operation, Type, Resource string
	From, To                        time.Time
}

// Audit is the log, the latest first.
func (c *Client) Audit(ctx context.Context, q AuditQuery) iter.Seq2[Line, error] {
	path := "/audit-logs"
	if q.Project != "" {
		path = project(q.Project) + "/logs"
	}
	var parts []string
	for _, p := range [][2]string{{"username", q.User}, {"operation", q.Operation}, {"resource_type", q.Type}, {"resource", q.Resource}} {
		if p[1] != "" {
			parts = append(parts, p[0]+"="+p[1])
		}
	}
	if !q.From.IsZero() || !q.To.IsZero() {
		parts = append(parts, "op_time=["+instant(q.From)+"~"+instant(q.To)+"]")
	}
	v := url.Values{}
	if len(parts) > 0 {
		v.Set("q", strings.Join(parts, ","))
	}
	return pages[Line](ctx, c, path, v)
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// Health is how the hub's parts are.
type Health struct {
	Status     string      `json:"status"` // "healthy" or "unhealthy"
	Components []Component `json:"components"`
}

// Component is one part.
type Component struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
}

// Health asks how the hub is.
func (c *Client) Health(ctx context.Context) (h Health, err error) {
	_, err = c.call(ctx, http.MethodGet, "/health", nil, nil, &h)
	return h, err
}

// SystemInfo is what the hub says of itself.
type SystemInfo struct {
	AuthMode         string `json:"auth_mode"`
	PrimaryAuthMode  bool   `json:"primary_auth_mode"`
	SelfRegistration bool   `json:"self_registration"`
	Creation         string `json:"project_creation_restriction"`
	Registry         string `json:"registry_url"`
	External         string `json:"external_url"`
	HasCA            bool   `json:"has_ca_root"`
	ReadOnly         bool   `json:"read_only"`
	Version          string `json:"harbor_version,omitempty"` // the hub's; only who is signed in sees it
}

// SystemInfo asks what the hub is.
func (c *Client) SystemInfo(ctx context.Context) (i SystemInfo, err error) {
	_, err = c.call(ctx, http.MethodGet, "/systeminfo", nil, nil, &i)
	return i, err
}
