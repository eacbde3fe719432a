package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/openvic/vic/contrib/lab/public"
)

func request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(b)
	}
	return http.NewRequestWithContext(ctx, method, "http://lab"+path, r)
}

func decode(res *http.Response, out any) error {
	if res.StatusCode != http.StatusOK {
		b, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		return errors.Join(errors.New(strings.TrimSpace(string(b))), err)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(out)
}

// Status asks the lab.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.Call(ctx, http.MethodGet, "/status", nil, &s)
}

// AddForward starts a forward.
func (c *Client) AddForward(ctx context.Context, f public.Forward) error {
	return c.Call(ctx, http.MethodPost, "/forwards", f, nil)
}

// RemoveForward ends forwards of a VM; with listen set only the one at that address.
func (c *Client) RemoveForward(ctx context.Context, vm, listen string) error {
	q := url.Values{"vm": {vm}, "listen": {listen}}
	return c.Call(ctx, http.MethodDelete, "/forwards?"+q.Encode(), nil, nil)
}

// Down stops the lab and waits until its process has let go of the folder.
func (c *Client) Down(ctx context.Context) error {
	if err := c.Call(ctx, http.MethodPost, "/down", nil, nil); err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(c.dir, "lab.lock"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for {
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the lab has not stopped: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
