package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
)

// Webhook is a policy by which a program elsewhere is told of events.
type Webhook struct {
	ID          int64           `json:"id"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Enabled     bool            `json:"enabled"`
	Events      []string        `json:"event_types"`
	Targets     []WebhookTarget `json:"targets"`
	Creator     string          `json:"creator"`
	Created     string          `json:"creation_time"`
	Updated     string          `json:"update_time"`
}

// WebhookTarget is where events go.
type WebhookTarget struct {
	Type     string `json:"type"`
	Address  string `json:"address"`
	Insecure bool   `json:"skip_cert_verify"`
	Format   string `json:"payload_format"` // Default or CloudEvents
	Signed   bool   `json:"signed"`         // it has a secret, which nobody is told
}

// NewWebhook makes or changes a policy.
type NewWebhook struct {
	Name        string             `json:"name"`
	Description string             `json:"description"`
	Enabled     bool               `json:"enabled"`
	Events      []string           `json:"event_types"`
	Targets     []NewWebhookTarget `json:"targets"`
}

// NewWebhookTarget is a target of one. What is nil stays as it was for the same address.
type NewWebhookTarget struct {
	Type     string  `json:"type"`
	Address  string  `json:"address"`
	Header   *string `json:"auth_header,omitempty"` // the value of the header Authorization
	Secret   *string `json:"secret,omitempty"`      // what deliveries are signed with
	Insecure bool    `json:"skip_cert_verify"`
	Format   string  `json:"payload_format,omitempty"`
}

// Delivery is one event that was sent to a target, or is to be.
type Delivery struct {
	ID      int64  `json:"id"`
	Event   string `json:"event_type"`
	Status  string `json:"status"`
	Created string `json:"creation_time"`
	Updated string `json:"update_time"`
}

func webhooks(name string) string { return project(name) + "/webhook/policies" }

func deliveries(name string, policy int64) string {
	return fmt.Sprintf("%s/%d/executions", webhooks(name), policy)
}

// Webhooks are the policies of a project.
func (c *Client) Webhooks(ctx context.Context, project string) iter.Seq2[Webhook, error] {
	return pages[Webhook](ctx, c, webhooks(project), nil)
}

// CreateWebhook makes a policy and tells its number.
func (c *Client) CreateWebhook(ctx context.Context, project string, w NewWebhook) (int64, error) {
	h, err := c.call(ctx, http.MethodPost, webhooks(project), nil, w, nil)
	if err != nil {
		return 0, err
	}
	return made(h)
}

// UpdateWebhook changes a policy to what w says.
func (c *Client) UpdateWebhook(ctx context.Context, project string, id int64, w NewWebhook) error {
	_, err := c.call(ctx, http.MethodPut, fmt.Sprintf("%s/%d", webhooks(project), id), nil, w, nil)
	return err
}

// DeleteWebhook removes a policy and its history.
func (c *Client) DeleteWebhook(ctx context.Context, project string, id int64) error {
	_, err := c.call(ctx, http.MethodDelete, fmt.Sprintf("%s/%d", webhooks(project), id), nil, nil, nil)
	return err
}

// WebhookEvents are the types of events that there are.
func (c *Client) WebhookEvents(ctx context.Context, name string) ([]string, error) {
	var all struct {
		Events []string `json:"event_type"`
	}
	_, err := c.call(ctx, http.MethodGet, project(name)+"/webhook/events", nil, nil, &all)
	return all.Events, err
}

// Deliveries are those of a policy, the latest first; status "" is any.
func (c *Client) Deliveries(ctx context.Context, name string, policy int64, status string) iter.Seq2[Delivery, error] {
	q := url.Values{"policy_id": {strconv.FormatInt(policy, 10)}}
	if status != "" {
		q.Set("status", status)
	}
	return pages[Delivery](ctx, c, project(name)+"/webhook/jobs", q)
}

// RetryDelivery sends one that has ended once more, and tells the number of the new one.
func (c *Client) RetryDelivery(ctx context.Context, project string, policy, id int64) (int64, error) {
	h, err := c.call(ctx, http.MethodPost, fmt.Sprintf("%s/%d/retry", deliveries(project, policy), id), nil, nil, nil)
	if err != nil {
		return 0, err
	}
	return made(h)
}

// DeliveryLog is the log of one.
func (c *Client) DeliveryLog(ctx context.Context, project string, policy, id int64) (string, error) {
	at := fmt.Sprintf("%s/%d/tasks", deliveries(project, policy), id)
	var log string
	for t, err := range pages[Task](ctx, c, at, nil) {
		if err != nil {
			return log, err
		}
		_, text, err := c.Raw(ctx, http.MethodGet, fmt.Sprintf("%s/%d/log", at, t.ID), nil, nil)
		if err != nil {
			return log, err
		}
		if log += string(text); t.Message != "" {
			log += t.Message + "\n"
		}
	}
	return log, nil
}
