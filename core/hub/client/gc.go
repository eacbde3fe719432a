package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
)

// Collection is a run of garbage collection.
type Collection struct {
	ID         int64    `json:"id"`
	Name       string   `json:"job_name"`
	Kind       string   `json:"job_kind"`       // MANUAL, SCHEDULE or EVENT
	Parameters string   `json:"job_parameters"` // JSON: what was asked for, and what was done so far
	Status     string   `json:"job_status"`
	Message    string   `json:"status_message,omitempty"`
	Deleted    bool     `json:"deleted"`
	Schedule   Schedule `json:"schedule"`
	Created    string   `json:"creation_time"`
	Updated    string   `json:"update_time"`
}

// Schedule is when something is done.
type Schedule struct {
	Type string `json:"type"` // Hourly, Daily, Weekly, Custom, Manual (now) or None
	Cron string `json:"cron"` // of Custom: six fields, the first of them seconds
	Next string `json:"next_scheduled_time,omitempty"`
}

// CollectionSchedule is that of garbage collection; the zero value: there is none.
type CollectionSchedule struct {
	ID         int64     `json:"id,omitempty"`
	Kind       string    `json:"job_kind,omitempty"`
	Parameters string    `json:"job_parameters,omitempty"`
	Schedule   *Schedule `json:"schedule,omitempty"`
	Created    string    `json:"creation_time,omitempty"`
	Updated    string    `json:"update_time,omitempty"`
}

// Collections are the runs, the latest first.
func (c *Client) Collections(ctx context.Context) iter.Seq2[Collection, error] {
	return pages[Collection](ctx, c, "/system/gc", nil)
}

// Collection is one run, with what it has done so far.
func (c *Client) Collection(ctx context.Context, id int64) (x Collection, err error) {
	_, err = c.call(ctx, http.MethodGet, fmt.Sprintf("/system/gc/%d", id), nil, nil, &x)
	return x, err
}

// Collect starts a run and tells its number.
func (c *Client) Collect(ctx context.Context, dryRun bool) (int64, error) {
	h, err := c.call(ctx, http.MethodPost, "/system/gc/schedule", nil, map[string]any{"schedule": map[string]string{"type": "Manual"},
		"parameters": map[string]bool{"dry_run": dryRun}}, nil)
	if err != nil {
		return 0, err
	}
	return made(h)
}

// CollectionSchedule tells when garbage is collected.
func (c *Client) CollectionSchedule(ctx context.Context) (s CollectionSchedule, err error) {
	_, err = c.call(ctx, http.MethodGet, "/system/gc/schedule", nil, nil, &s)
	return s, err
}

// SetCollectionSchedule changes that: by the word of a type, or a cron text with six fields.
func (c *Client) SetCollectionSchedule(ctx context.Context, s Schedule) error {
	_, err := c.call(ctx, http.MethodPut, "/system/gc/schedule", nil, map[string]any{"schedule": map[string]string{"type": s.Type, "cron": s.Cron}}, nil)
	return err
}

// StopCollection stops a run.
func (c *Client) StopCollection(ctx context.Context, id int64) error {
	_, err := c.call(ctx, http.MethodPut, fmt.Sprintf("/system/gc/%d", id), nil, nil, nil)
	return err
}

// CollectionLog is the log of a run.
func (c *Client) CollectionLog(ctx context.Context, id int64) (string, error) {
	_, text, err := c.Raw(ctx, http.MethodGet, fmt.Sprintf("/system/gc/%d/log", id), nil, nil)
	return string(text), err
}
