package session

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// How long a vCenter that says nothing is waited for.
const (
	dialTimeout = 10 * time.Second
	// ackTimeout is how long a connection lives on whose other end confirms nothing (TCP_USER_TIMEOUT,
	// tcp(7)); Linux would try for a quarter of an hour.
	ackTimeout = 20 * time.Second
	// answerTimeout is above what the longest call takes, a wait for changes (waitSeconds).
	answerTimeout = 2 * waitSeconds * time.Second
	probeEvery    = 2 * time.Second
)

// bounded gives a transport those bounds; t is nil for certificates that known authorities sign.
func bounded(tr *http.Transport, t *tls.Config) {
	d := &net.Dialer{
		Timeout:         dialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control:         boundAcks,
	}
	tr.MaxIdleConnsPerHost = 32
	tr.DialContext = d.DialContext
	tr.ResponseHeaderTimeout = answerTimeout
	if t != nil {
		tr.TLSClientConfig = t // for a connection through a proxy; the others are the dialer's
		tr.DialTLSContext = (&tls.Dialer{NetDialer: d, Config: t}).DialContext
	}
}

// reach knows whether vCenter answers. Once a call has found out, by waiting, that it does not, the
// calls that follow are told at once, until a probe gets an answer.
type reach struct {
	host  string
	probe func(context.Context) error // nil: it answers
	log   *slog.Logger

	mu    sync.Mutex // guards what follows; never held during a call of vCenter
	since time.Time  // zero: it answers, as far as is known
	why   error
}

// away returns the error for a call that would wait in vain.
func (r *reach) away() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since.IsZero() {
		return nil
	}
	text := fmt.Sprintf("vCenter %s does not answer, since %s UTC", r.host, r.since.UTC().Format(time.DateTime))
	var oe *net.OpError
	if errors.As(r.why, &oe) { // without the URL around it
		text += " (" + oe.Error() + ")"
	}
	return &apiError{text: text, class: errdef.ErrUnavailable, err: r.why}
}

// lost notes that vCenter did not answer a call, and looks for it until ctx ends. Of many calls that fail
// at once the first starts the one goroutine that looks; it alone clears since.
func (r *reach) lost(ctx context.Context, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.since.IsZero() || ctx.Err() != nil {
		return
	}
	r.since, r.why = time.Now(), why
	r.log.Warn("vCenter does not answer; calls fail until it does", "host", r.host, "err", why)
	go r.look(ctx)
}

func (r *reach) look(ctx context.Context) {
	for {
		probe, cancel := context.WithTimeout(ctx, dialTimeout)
		err := r.probe(probe)
		cancel()
		if err == nil {
			break
		}
		if sleep(ctx, probeEvery) != nil {
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log.Info("vCenter answers again", "host", r.host, "seconds", int(time.Since(r.since).Seconds()))
	r.since, r.why = time.Time{}, nil
}
