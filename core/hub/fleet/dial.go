package fleet

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"time"

	"github.com/openvic/vic/core/hub/vchs"
	"github.com/openvic/vic/sdk/errdef"
)

// Dialer knows how a VCH is reached.
type Dialer interface {
	TLS(x vchs.VCH) (*tls.Config, error)
}

// Conn is a client of one VCH's Docker API. It goes to that address alone, by no proxy, and follows no redirect. It may be
// used by several goroutines.
type Conn struct {
	vch       vchs.VCH
	tls       *tls.Config
	transport *http.Transport
	client    *http.Client
}

// Times of a connection.
const (
	dialTime   = 10 * time.Second
	answerTime = 10 * time.Minute // docker stop and start wait as long as they are told to
	hijackTime = time.Minute      // for the header of a stream both ways
)

// Dial makes a client; nothing is connected yet. errdef.ErrConflict: vic-machine has not said where the VCH serves.
func Dial(d Dialer, v vchs.VCH) (*Conn, error) {
	cfg, err := d.TLS(v)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: dialTime, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}}
	t := &http.Transport{TLSClientConfig: cfg, DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTime, ResponseHeaderTimeout: answerTime,
		MaxResponseHeaderBytes: maxHeader, MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute, DisableCompression: true}
	c := &Conn{vch: v, tls: cfg, transport: t}
	c.client = &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

// Close closes the connections that nobody uses.
func (c *Conn) Close() { c.transport.CloseIdleConnections() }

// URL is the address of a path of the Docker API.
func (c *Conn) URL(path string) string { return "https://" + c.vch.Address + path }

// Do sends a request and returns the answer, whatever its status. errdef.ErrUnavailable with the reason if none comes.
func (c *Conn) Do(req *http.Request) (*http.Response, error) {
	res, err := c.client.Do(req)
	if err != nil {
		if req.Context().Err() != nil {
			return nil, context.Cause(req.Context())
		}
		return nil, fmt.Errorf("the VCH %s does not answer: %w: %w", c.vch.Name, errdef.ErrUnavailable, err)
	}
	return res, nil
}

// Bounds of answers, in bytes.
const (
	maxAnswer  = 256 << 20
	maxMessage = 16 << 10
	maxHeader  = 64 << 10
	maxListed  = 1 << 20 // what a list tells of one container
)

// Refusal reads the error of an answer that is no success.
func Refusal(res *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(res.Body, maxMessage)) // what came of it
	var m struct{ Message string }
	if json.Unmarshal(text, &m) != nil {
		m.Message = ""
	}
	return &Refused{res.StatusCode, m.Message}
}

// open begins a stream.
func (c *Conn) open(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL(path), nil)
	if err != nil {
		return nil, err
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		return nil, Refusal(res)
	}
	return res.Body, nil
}

// get reads a whole answer within a time; into nil: nobody wants what it says.
func (c *Conn) get(ctx context.Context, limit time.Duration, path string, into any) error {
	return c.Call(ctx, limit, http.MethodGet, path, nil, into)
}

// Call sends a request with a JSON body, or none if body is nil, and reads the answer into a value, or past it if that is
// nil, all within a time. A *Refused is what the VCH says instead; errdef.ErrUnavailable: it does not answer.
func (c *Conn) Call(ctx context.Context, limit time.Duration, method, path string, body, into any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the VCH %s has not answered within %s: %w", c.vch.Name, limit, errdef.ErrUnavailable))
	defer cancel()
	var text io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		text = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL(path), text)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusMultipleChoices {
		return Refusal(res)
	}
	from := &io.LimitedReader{R: res.Body, N: maxAnswer}
	switch into := into.(type) {
	case nil:
		_, err = io.Copy(io.Discard, from)
	case *containers:
		*into, err = readList(from)
	default:
		err = json.NewDecoder(from).Decode(into)
	}
	switch {
	case from.N == 0:
		return fmt.Errorf("the VCH %s answers with more than %d MB: %w", c.vch.Name, maxAnswer>>20, errdef.ErrUnavailable)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil && (into != nil || !errors.Is(err, io.EOF)):
		return fmt.Errorf("the VCH %s answers what cannot be read: %w: %w", c.vch.Name, errdef.ErrUnavailable, err)
	}
	return nil
}

// readList reads a list of containers one by one: as a whole, {} a hundred million times would be a hundred times as large in
// memory as on the wire.
func readList(from io.Reader) (containers, error) {
	d := json.NewDecoder(from)
	t, err := d.Token()
	if err != nil || t == nil { // null is how some write an empty one
		return nil, err
	}
	if t != json.Delim('[') {
		return nil, errors.New("it is no list of containers")
	}
	var list containers
	now := time.Now()
	for n := 0; d.More(); n++ {
		if n == maxContainers {
			return nil, fmt.Errorf("it has more than %d containers; the hub shows no more of one VCH", maxContainers)
		}
		var text json.RawMessage
		if err := d.Decode(&text); err != nil {
			return nil, err
		}
		if len(text) > maxListed {
			return nil, fmt.Errorf("what it tells of one container has more than %d bytes", maxListed)
		}
		var l listed
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, err
		}
		if c, ok := l.container(now); ok {
			list = append(list, c)
		}
	}
	_, err = d.Token()
	return list, err
}

// Hijack sends a request that turns its connection into a stream of bytes both ways, as exec and attach do. The caller
// closes it.
func (c *Conn) Hijack(ctx context.Context, path string, body any) (net.Conn, io.Reader, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL(path), bytes.NewReader(b))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "tcp")
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTime}, Config: c.tls}
	conn, err := dialer.DialContext(ctx, "tcp", c.vch.Address)
	if err != nil {
		return nil, nil, fmt.Errorf("the VCH %s does not answer: %w: %w", c.vch.Name, errdef.ErrUnavailable, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := req.Write(conn); err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	// http.ReadResponse bounds neither the header nor the time of it.
	head := &io.LimitedReader{R: conn, N: maxHeader}
	buffered := bufio.NewReaderSize(head, 16<<10)
	err = conn.SetReadDeadline(time.Now().Add(hijackTime))
	var res *http.Response
	if err == nil {
		res, err = http.ReadResponse(buffered, req)
	}
	if err == nil {
		err = conn.SetReadDeadline(time.Time{})
	}
	if err != nil {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("the VCH %s does not answer: %w: %w", c.vch.Name, errdef.ErrUnavailable, err)
	}
	head.N = math.MaxInt64
	if res.StatusCode != http.StatusSwitchingProtocols && res.StatusCode != http.StatusOK {
		defer conn.Close()
		defer res.Body.Close()
		return nil, nil, Refusal(res)
	}
	return conn, buffered, nil
}
