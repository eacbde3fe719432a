package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/outbound"
)

// deliverTimeout is how long one attempt takes at most.
const deliverTimeout = 20 * time.Second

// Jobs is the kind of deliveries: six attempts, within about ten minutes.
func (h *Hooks) Jobs() jobs.Kind {
	return jobs.Kind{Name: Kind, Parallel: 8, Attempts: 6, Timeout: 2 * deliverTimeout, Wait: 24 * time.Hour, Run: h.deliver,
		Backoff: func(failures int) time.Duration { return 10 * time.Second << min(failures, 6) }}
}

// deliver sends one event to one target.
func (h *Hooks) deliver(ctx context.Context, j *jobs.Job) error {
	var d delivery
	if err := j.Decode(&d); err != nil {
		return err
	}
	d.ID = d.id(j.Execution)
	p, err := h.Get(ctx, h.db, d.Project, d.Policy)
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return jobs.Permanent(errors.New("the policy was removed"))
	case err != nil:
		return err
	case !p.Enabled:
		return jobs.Permanent(errors.New("the policy was disabled"))
	case d.Target >= len(p.Targets) || p.Targets[d.Target].Address != d.Address:
		return jobs.Permanent(errors.New("the policy's target was changed"))
	}
	t := p.Targets[d.Target]
	req, err := h.request(ctx, d, t)
	if err != nil {
		return jobs.Permanent(err)
	}
	j.Logf("%s to %s", d.Type, plainURL(req.URL))
	res, err := h.policy.Client(outbound.Options{Timeout: deliverTimeout, Insecure: t.Insecure}).Do(req)
	if errors.Is(err, errdef.ErrDenied) {
		return jobs.Permanent(bare(err))
	}
	if err != nil {
		return bare(err)
	}
	defer res.Body.Close()
	// What the target says is not shown: a target is a way to ask, not to read. A little is read so that it can end well.
	const most = 64 << 10
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, most))
	switch {
	case res.StatusCode == http.StatusGone:
		return jobs.Permanent(errors.New("the target answers 410: it wants no more"))
	case res.StatusCode/100 == 3:
		return jobs.Permanent(fmt.Errorf("the target answers %d, a redirect that a POST does not follow: give the address that it redirects to", res.StatusCode))
	case res.StatusCode/100 != 2:
		return fmt.Errorf("the target answers %d", res.StatusCode)
	}
	j.Logf("the target answers %d", res.StatusCode)
	return nil
}

// id names a delivery that is the payload of an execution, also when it is sent once more by another one.
func (d delivery) id(execution int64) string {
	if d.ID != "" {
		return d.ID
	}
	return fmt.Sprintf("evt_%d", execution)
}

// Again sends a delivery that has ended once more, with the same webhook-id, and returns the number of the new execution.
// errdef.ErrConflict: it has not ended.
func (h *Hooks) Again(tx *store.Tx, e jobs.Execution) (int64, error) {
	if !e.Status.Ended() {
		return 0, fmt.Errorf("delivery %d has not ended: it is tried again by itself: %w", e.ID, errdef.ErrConflict)
	}
	var d delivery
	if err := json.Unmarshal(e.Params, &d); err != nil {
		return 0, fmt.Errorf("delivery %d: %w", e.ID, err)
	}
	d.ID = d.id(e.ID)
	return h.queue().Enqueue(tx, jobs.Request{Kind: Kind, Subject: e.Subject, Cause: jobs.ByHand, Payload: d})
}

// plainURL is a URL without its query, which may hold a secret.
func plainURL(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// bare is an error of an HTTP client without the URL.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// request makes the request of a delivery.
func (h *Hooks) request(ctx context.Context, d delivery, t Target) (*http.Request, error) {
	body, contentType, err := d.body(t.Format)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.Address, bytes.NewReader(body))
	if err != nil {
		return nil, bare(err)
	}
	at := strconv.FormatInt(h.now().Unix(), 10)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "vic-hub")
	req.Header.Set("webhook-id", d.ID)
	req.Header.Set("webhook-timestamp", at)
	if t.HasSecret() {
		req.Header.Set("webhook-signature", sign(string(*t.Secret), d.ID, at, body))
	}
	if t.HasAuthorization() {
		req.Header.Set("Authorization", string(*t.Authorization))
	}
	return req, nil
}

// sign makes the signature of standardwebhooks.com. A secret that begins with whsec_ is the key in base64, another one is it
// itself.
func sign(secret, id, at string, body []byte) string {
	key := []byte(secret)
	if text, ok := strings.CutPrefix(secret, "whsec_"); ok {
		if b, err := base64.StdEncoding.DecodeString(text); err == nil {
			key = b
		}
	}
	m := hmac.New(sha256.New, key)
	fmt.Fprintf(m, "%s.%s.%s", id, at, body)
	return "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// body is what is sent: Harbor's own form, or CloudEvents 1.0 in JSON.
func (d delivery) body(format string) (body []byte, contentType string, err error) {
	if format == FormatCloudEvents {
		body, err = json.Marshal(map[string]any{"specversion": "1.0", "id": d.ID, "requestid": d.ID, "operator": d.Operator, "type": cloudTypes[d.Type],
			"source":          fmt.Sprintf("/projects/%d/webhook/policies/%d", d.Project, d.Policy),
			"datacontenttype": "application/json", "time": time.Unix(d.Time, 0).UTC().Format(time.RFC3339), "data": d.Data})
		return body, "application/cloudevents+json", err
	}
	body, err = json.Marshal(struct {
		Type     string          `json:"type"`
		Time     int64           `json:"occur_at"`
		Operator string          `json:"operator"`
		Data     json.RawMessage `json:"event_data"`
	}{d.Type, d.Time, d.Operator, d.Data})
	return body, "application/json", err
}

// Last is when a policy last had events of each type to deliver, as far as is remembered.
func (h *Hooks) Last(ctx context.Context, policy int64) (map[string]time.Time, error) {
	const recent = 100
	list, _, err := h.queue().Executions(ctx, jobs.Filter{Kind: Kind, Subject: &policy}, recent, 0)
	if err != nil {
		return nil, err
	}
	last := map[string]time.Time{}
	for _, e := range list {
		kind, _, _ := Describe(e.Params)
		if _, ok := last[kind]; !ok {
			last[kind] = e.Created
		}
	}
	return last, nil
}

// Describe reads what a job's payload says of its event.
func Describe(payload json.RawMessage) (kind, address string, data json.RawMessage) {
	var d delivery
	if json.Unmarshal(payload, &d) != nil {
		return "", "", nil
	}
	u, err := url.Parse(d.Address)
	if err != nil {
		return d.Type, "", d.Data
	}
	return d.Type, plainURL(u), d.Data
}
