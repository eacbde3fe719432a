package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
)

// Retention is the retention policy of a project: what no rule keeps goes.
type Retention struct {
	ID        int64            `json:"id"`
	Algorithm string           `json:"algorithm"`
	Rules     []RetentionRule  `json:"rules"`
	Trigger   RetentionTrigger `json:"trigger"`
	Scope     RetentionScope   `json:"scope"`
}

// RetentionRule keeps artifacts.
type RetentionRule struct {
	Disabled bool                  `json:"disabled"`
	Action   string                `json:"action"`
	Template string                `json:"template"`
	Params   map[string]any        `json:"params"` // the number, under the template's name
	Tags     []Selector            `json:"tag_selectors"`
	Scopes   map[string][]Selector `json:"scope_selectors"` // under "repository"
}

// RetentionTrigger is when a policy runs by itself.
type RetentionTrigger struct {
	Kind     string            `json:"kind"`
	Settings RetentionSettings `json:"settings"`
}

// RetentionSettings has the cron text: six fields, the first of them seconds; "": by hand alone.
type RetentionSettings struct {
	Cron string `json:"cron"`
}

// RetentionScope is the project of a policy.
type RetentionScope struct {
	Level string `json:"level"`
	Ref   int64  `json:"ref"` // the project's number
}

// RetentionRun is a run of a policy.
type RetentionRun struct {
	ID      int64  `json:"id"`
	Start   string `json:"start_time"`
	End     string `json:"end_time,omitempty"`
	Status  string `json:"status"`
	Trigger string `json:"trigger"`
	DryRun  bool   `json:"dry_run"`
	Message string `json:"status_message,omitempty"`
}

// RetentionTask is what a run did with a repository.
type RetentionTask struct {
	ID         int64  `json:"id"`
	Repository string `json:"repository"`
	Status     string `json:"status"`
	Total      int    `json:"total"`
	Retained   int    `json:"retained"`
}

func retention(id int64) string { return fmt.Sprintf("/retentions/%d", id) }

// Retention finds a policy by its number, which the project's metadata tells as retention_id.
func (c *Client) Retention(ctx context.Context, id int64) (r Retention, err error) {
	_, err = c.call(ctx, http.MethodGet, retention(id), nil, nil, &r)
	return r, err
}

// SetRetention makes the policy of the project that its scope names, if its number is 0, or changes the one of its number;
// it tells the number.
func (c *Client) SetRetention(ctx context.Context, r Retention) (int64, error) {
	if r.ID != 0 {
		_, err := c.call(ctx, http.MethodPut, retention(r.ID), nil, r, nil)
		return r.ID, err
	}
	h, err := c.call(ctx, http.MethodPost, "/retentions", nil, r, nil)
	if err != nil {
		return 0, err
	}
	return made(h)
}

// DeleteRetention removes a policy.
func (c *Client) DeleteRetention(ctx context.Context, id int64) error {
	_, err := c.call(ctx, http.MethodDelete, retention(id), nil, nil, nil)
	return err
}

// RunRetention runs a policy, or finds out what it would do, and tells the run's number.
func (c *Client) RunRetention(ctx context.Context, id int64, dryRun bool) (int64, error) {
	h, err := c.call(ctx, http.MethodPost, retention(id)+"/executions", nil, map[string]bool{"dry_run": dryRun}, nil)
	if err != nil {
		return 0, err
	}
	return made(h)
}

// RetentionRuns are those of a policy, the latest first.
func (c *Client) RetentionRuns(ctx context.Context, id int64) iter.Seq2[RetentionRun, error] {
	return pages[RetentionRun](ctx, c, retention(id)+"/executions", nil)
}

// StopRetention stops a run.
func (c *Client) StopRetention(ctx context.Context, id, run int64) error {
	_, err := c.call(ctx, http.MethodPatch, fmt.Sprintf("%s/executions/%d", retention(id), run), nil, map[string]string{"action": "stop"}, nil)
	return err
}

// RetentionTasks are what a run did, by repository.
func (c *Client) RetentionTasks(ctx context.Context, id, run int64) iter.Seq2[RetentionTask, error] {
	return pages[RetentionTask](ctx, c, fmt.Sprintf("%s/executions/%d/tasks", retention(id), run), nil)
}

// RetentionLog is what a run decided about each artifact of a repository, and why.
func (c *Client) RetentionLog(ctx context.Context, id, run, task int64) (string, error) {
	_, text, err := c.Raw(ctx, http.MethodGet, fmt.Sprintf("%s/executions/%d/tasks/%d", retention(id), run, task), nil, nil)
	return string(text), err
}
