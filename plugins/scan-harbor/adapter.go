package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
	"github.com/openvic/vic/sdk/secret"
)

// The bounds of what a scanner answers, in bytes.
const (
	maxAnswer = 1 << 20 // all but reports
	maxReport = 512 << 20
	maxSaid   = 300 // of what it says of an error
)

// stallAfter is how long a scanner may send nothing of an answer that it began.
const stallAfter = time.Minute

// adapter is somebody's scanner.
type adapter struct {
	base   *url.URL // with /api/v1
	client *http.Client
	header string // that holds value; empty: none
	value  secret.Text
}

// answer is what a scanner sends. The caller closes it.
type answer struct {
	*http.Response
	body io.Reader // bounded
	stop func()
}

func (a *answer) Close() {
	_ = a.Body.Close()
	a.stop()
}

// call is one request of the API.
type call struct {
	method, path, query string
	accept, contentType string
	body                any
	max                 int64 // bytes of the answer
}

// do sends a request. Whatever status comes is an answer.
func (a *adapter) do(ctx context.Context, c call) (*answer, error) {
	var body []byte
	if c.body != nil {
		text, err := json.Marshal(c.body)
		if err != nil {
			return nil, err
		}
		body = text
	}
	ctx, cancel := context.WithCancel(ctx)
	u := *a.base
	u.RawQuery = c.query
	req, err := http.NewRequestWithContext(ctx, c.method, u.JoinPath(c.path).String(), bytes.NewReader(body))
	if err != nil {
		cancel()
		return nil, err
	}
	req.Header.Set("Accept", c.accept)
	if c.body != nil {
		req.Header.Set("Content-Type", c.contentType)
	}
	if a.header != "" {
		req.Header.Set(a.header, string(a.value))
	}
	res, err := a.client.Do(req) //nolint:bodyclose // answer.Close does
	if err != nil {
		defer cancel()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("the scanner does not answer: %w: %w", err, errdef.ErrUnavailable)
	}
	timer := time.AfterFunc(stallAfter, cancel)
	return &answer{Response: res, body: &live{from: res.Body, timer: timer, left: c.max}, stop: func() { timer.Stop(); cancel() }}, nil
}

// live reads an answer that ends, and does not stop for long.
type live struct {
	from  io.Reader
	timer *time.Timer
	left  int64
}

func (l *live) Read(p []byte) (int, error) {
	l.timer.Reset(stallAfter)
	n, err := l.from.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, errTooLong
	}
	if err != nil && err != io.EOF { //nolint:errorlint // Read returns it as it is
		err = fmt.Errorf("the scanner breaks off: %w: %w", err, errdef.ErrUnavailable)
	}
	return n, err
}

var errTooLong = fmt.Errorf("the scanner's answer has no end: %w", errdef.ErrInternal)

// all reads a short answer into v.
func (a *answer) all(v any) error {
	err := json.NewDecoder(a.body).Decode(v)
	if err != nil {
		return fmt.Errorf("the scanner's answer is not as the API has it: %v: %w", err, errdef.ErrInternal) //nolint:errorlint // one class
	}
	return nil
}

// refused turns a status that is no success into an error, with what the scanner says, which is a stranger's text.
func (a *answer) refused(what string) error {
	text, _ := io.ReadAll(io.LimitReader(a.body, maxAnswer))
	var e struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	said := ""
	if json.Unmarshal(text, &e) == nil && e.Error.Message != "" {
		said = fmt.Sprintf(": %.*q", maxSaid, e.Error.Message)
	}
	class := errdef.ErrUnavailable
	switch a.StatusCode {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		class = errdef.ErrInvalid
	case http.StatusNotFound:
		class = errdef.ErrNotFound
	case http.StatusNotImplemented:
		class = errdef.ErrUnsupported
	case http.StatusInternalServerError:
		class = errdef.ErrInternal
	case http.StatusUnauthorized, http.StatusForbidden:
		said = ": check auth and credential_file of the plugin" + said
	}
	return fmt.Errorf("the scanner answers %d to %s%s: %w", a.StatusCode, what, said, class)
}

// metadata asks what the scanner is.
func (a *adapter) metadata(ctx context.Context) (wireMetadata, error) {
	var m wireMetadata
	res, err := a.do(ctx, call{method: http.MethodGet, path: "metadata", accept: typeMetadata, max: maxAnswer})
	if err != nil {
		return m, err
	}
	defer res.Close()
	if res.StatusCode != http.StatusOK {
		return m, res.refused("the question what it is")
	}
	return m, res.all(&m)
}

// submit starts a scan and returns its ID.
func (a *adapter) submit(ctx context.Context, r wireRequest) (string, error) {
	c := call{method: http.MethodPost, path: "scan", accept: typeResponse, contentType: typeRequest, body: r, max: maxAnswer}
	if len(r.Enabled) == 0 {
		c.contentType = typeRequestOld
	}
	res, err := a.do(ctx, c)
	if err != nil {
		return "", err
	}
	defer res.Close()
	if res.StatusCode != http.StatusAccepted && res.StatusCode != http.StatusOK {
		return "", res.refused("a scan")
	}
	var out struct {
		ID string `json:"id"`
	}
	if err := res.all(&out); err != nil {
		return "", err
	}
	if out.ID == "" || len(out.ID) > scan.MaxName || strings.ContainsAny(out.ID, "/\\?#") || out.ID == "." || out.ID == ".." {
		return "", fmt.Errorf("the scanner gives the scan no ID that one could ask for: %w", errdef.ErrInternal)
	}
	return out.ID, nil
}

// report asks for a report; nil: it is not ready, ask again after wait.
func (a *adapter) report(ctx context.Context, id, accept, query string) (res *answer, wait time.Duration, err error) {
	res, err = a.do(ctx, call{method: http.MethodGet, path: "scan/" + id + "/report", query: query, accept: accept, max: maxReport})
	if err != nil {
		return nil, 0, err
	}
	switch res.StatusCode {
	case http.StatusOK:
		return res, 0, nil
	case http.StatusFound:
		defer res.Close()
		return nil, refresh(res.Header.Get("Refresh-After")), nil
	}
	defer res.Close()
	return nil, 0, res.refused("the question for a report")
}

// refresh is how long to wait, which the scanner may choose between 1 s and 1 min.
func refresh(header string) time.Duration {
	n, err := strconv.Atoi(strings.TrimSpace(header))
	if err != nil || n < 1 {
		return 5 * time.Second
	}
	return time.Duration(min(n, 60)) * time.Second
}
