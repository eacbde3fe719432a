package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
)

// Replication is a rule that copies artifacts to another registry or from one, in Harbor's form.
type Replication struct {
	ID          int64               `json:"id,omitempty"`
	Name        string              `json:"name"`
	Description string              `json:"description"`
	From        *Numbered           `json:"src_registry"` // nil or number 0: the hub itself
	To          *Numbered           `json:"dest_registry"`
	Namespace   string              `json:"dest_namespace"`
	Replace     int                 `json:"dest_namespace_replace_count"`
	Trigger     ReplicationTrigger  `json:"trigger"`
	Filters     []ReplicationFilter `json:"filters"`
	Deletion    bool                `json:"replicate_deletion"`
	Override    bool                `json:"override"`
	Enabled     bool                `json:"enabled"`
	Speed       int64               `json:"speed"` // KB per second; -1: no limit
	Single      bool                `json:"single_active_replication"`
}

// Numbered names a registry.
type Numbered struct {
	ID   int64  `json:"id"`
	Name string `json:"name,omitempty"`
}

// ReplicationTrigger is what sets a rule off: manual, scheduled or event_based.
type ReplicationTrigger struct {
	Type     string `json:"type"`
	Settings struct {
		Cron string `json:"cron,omitempty"`
	} `json:"trigger_settings"`
}

// ReplicationFilter chooses artifacts. Value is a text, for label a list of texts, for age a number of days.
type ReplicationFilter struct {
	Type       string `json:"type"`
	Value      any    `json:"value"`
	Decoration string `json:"decoration,omitempty"`
}

// ReplicationRun is a run of a rule.
type ReplicationRun struct {
	ID         int64  `json:"id"`
	Rule       int64  `json:"policy_id"`
	Status     string `json:"status"`
	Text       string `json:"status_text"`
	Trigger    string `json:"trigger"`
	Start      string `json:"start_time"`
	End        string `json:"end_time,omitempty"`
	Total      int64  `json:"total"`
	Succeed    int64  `json:"succeed"`
	Failed     int64  `json:"failed"`
	InProgress int64  `json:"in_progress"`
	Stopped    int64  `json:"stopped"`
}

// ReplicationTask is what a run does with one artifact.
type ReplicationTask struct {
	ID        int64  `json:"id"`
	Status    string `json:"status"`
	Operation string `json:"operation"`
	From      string `json:"src_resource"`
	To        string `json:"dst_resource"`
	Message   string `json:"status_message,omitempty"`
	Sent      int64  `json:"sent"`
	Skipped   int64  `json:"skipped"`
	Referrers int    `json:"referrers"`
	Runs      int    `json:"run_count"`
}

const (
	rules           = "/replication/policies"
	replicationRuns = "/replication/executions"
)

// Replications are the rules.
func (c *Client) Replications(ctx context.Context) iter.Seq2[Replication, error] {
	return pages[Replication](ctx, c, rules, nil)
}

// Replication finds a rule by its number.
func (c *Client) Replication(ctx context.Context, id int64) (x Replication, err error) {
	_, err = c.call(ctx, http.MethodGet, fmt.Sprintf("%s/%d", rules, id), nil, nil, &x)
	return x, err
}

// CreateReplication makes a rule and tells its number.
func (c *Client) CreateReplication(ctx context.Context, x Replication) (int64, error) {
	h, err := c.call(ctx, http.MethodPost, rules, nil, x, nil)
	if err != nil {
		return 0, err
	}
	return made(h)
}

// DeleteReplication deletes a rule.
func (c *Client) DeleteReplication(ctx context.Context, id int64) error {
	_, err := c.call(ctx, http.MethodDelete, fmt.Sprintf("%s/%d", rules, id), nil, nil, nil)
	return err
}

// Replicate runs a rule and tells the number of the run.
func (c *Client) Replicate(ctx context.Context, rule int64) (int64, error) {
	h, err := c.call(ctx, http.MethodPost, replicationRuns, nil, map[string]int64{"policy_id": rule}, nil)
	if err != nil {
		return 0, err
	}
	return made(h)
}

// ReplicationRuns are the runs of a rule, the latest first; of all rules for 0.
func (c *Client) ReplicationRuns(ctx context.Context, rule int64) iter.Seq2[ReplicationRun, error] {
	q := url.Values{}
	if rule != 0 {
		q.Set("policy_id", fmt.Sprint(rule))
	}
	return pages[ReplicationRun](ctx, c, replicationRuns, q)
}

// ReplicationTasks are what a run does.
func (c *Client) ReplicationTasks(ctx context.Context, run int64) iter.Seq2[ReplicationTask, error] {
	return pages[ReplicationTask](ctx, c, fmt.Sprintf("%s/%d/tasks", replicationRuns, run), nil)
}

// ReplicationLog is the log of a task of a run.
func (c *Client) ReplicationLog(ctx context.Context, run, task int64) (string, error) {
	_, text, err := c.Raw(ctx, http.MethodGet, fmt.Sprintf("%s/%d/tasks/%d/log", replicationRuns, run, task), nil, nil)
	return string(text), err
}

// StopReplication stops a run.
func (c *Client) StopReplication(ctx context.Context, run int64) error {
	_, err := c.call(ctx, http.MethodPut, fmt.Sprintf("%s/%d", replicationRuns, run), nil, nil, nil)
	return err
}

// RetryReplication does again what did not succeed of a run.
func (c *Client) RetryReplication(ctx context.Context, run int64) error {
	_, err := c.call(ctx, http.MethodPost, fmt.Sprintf("%s/%d/retry", replicationRuns, run), nil, struct{}{}, nil)
	return err
}
