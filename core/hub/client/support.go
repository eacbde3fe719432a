package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// SystemLine is a line that the hub or one of its plugins has logged.
type SystemLine struct {
	ID      int64  `json:"id"` // larger for a later line
	Time    string `json:"time"`
	Level   string `json:"level"`            // debug, info, warning or error
	Plugin  string `json:"plugin,omitempty"` // empty: the hub itself
	Message string `json:"message"`
	Fields  string `json:"fields,omitempty"`
}

// SystemLogQuery says which lines; what is empty says nothing.
type SystemLogQuery struct {
	Level    string // this one and what is worse
	Plugin   string // its name, or "hub" for the hub itself
	Text     string
	From, To time.Time
	After    int64 // the ID of a line
}

// SystemLogs are the lines that are kept, the latest first.
func (c *Client) SystemLogs(ctx context.Context, q SystemLogQuery) iter.Seq2[SystemLine, error] {
	var parts []string
	for _, p := range [][2]string{{"level", q.Level}, {"plugin", q.Plugin}, {"text", q.Text}} {
		if p[1] != "" {
			parts = append(parts, p[0]+"="+p[1])
		}
	}
	if !q.From.IsZero() || !q.To.IsZero() {
		parts = append(parts, "time=["+instant(q.From)+"~"+instant(q.To)+"]")
	}
	v := url.Values{}
	if len(parts) > 0 {
		v.Set("q", strings.Join(parts, ","))
	}
	if q.After > 0 {
		v.Set("after", strconv.FormatInt(q.After, 10))
	}
	return func(yield func(SystemLine, error) bool) {
		var last int64
		for l, err := range pages[SystemLine](ctx, c, "/system/logs", v) {
			if err == nil && last > 0 && l.ID >= last {
				continue // new lines have moved it to the next page
			}
			if last = l.ID; !yield(l, err) {
				return
			}
		}
	}
}

// SupportBundle is a log bundle of the hub, a tar.gz without secrets.
func (c *Client) SupportBundle(ctx context.Context) ([]byte, error) {
	_, text, err := c.Raw(ctx, http.MethodGet, "/system/support-bundle", nil, nil)
	return text, err
}
