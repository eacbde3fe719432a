package service

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/session"
)

// Accepted is the answer to what became a task.
type Accepted struct {
	Task Task `json:"task"`
	// Token reads and cancels this task, as "Authorization: Bearer TOKEN", so that who follows it need not
	// keep the account's password.
	Token string `json:"token"`
}

// begin starts a task with the session of the call, and answers.
func (c *call) begin(vch string, do work) (*reply, error) {
	t, token, err := c.tasks.start(job{operation: c.route.id, vch: vch, sess: c.sess, timeout: c.timeout, do: do})
	if err != nil {
		return nil, err
	}
	c.handed = true
	v := t.snapshot()
	return &reply{status: http.StatusAccepted, body: Accepted{v, token}, header: http.Header{"Location": {v.URL}}}, nil
}

// own finds the task of a request and makes sure that it belongs to who asks.
func (c *call) own() (*task, error) {
	none := problemError{Problem{Type: "not-found", Status: http.StatusNotFound, Detail: "there is no such task, or it ended long ago"}}
	t := c.tasks.get(c.r.PathValue("task"))
	if t == nil {
		return nil, none
	}
	if token, ok := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer "); ok {
		try, err := c.try(c.r, "a task's token")
		if err != nil {
			return nil, err
		}
		defer try.Done()
		if !t.holds(token) {
			return nil, problemError{Problem{Type: "credentials", Status: http.StatusUnauthorized, Detail: "the token is not that of the task"}}
		}
		try.TakeBack()
		return t, nil
	}
	target := t.target
	target.User = ""
	if err := readAccount(c.r, &target); err != nil {
		return nil, err
	}
	account := c.tasks.fingerprint(target)
	if target.Ticket == "" && t.wasSeen(account) {
		return t, nil
	}
	sess, err := c.connect(c.r.Context(), c.r, target)
	if err != nil {
		return nil, err
	}
	defer sess.Close(c.r.Context())
	if sess.UserName != t.owner {
		return nil, none
	}
	t.remember(account)
	return t, nil
}

// fingerprint tells accounts apart without keeping them.
func (ts *tasks) fingerprint(t session.Target) [sha256.Size]byte {
	h := hmac.New(sha256.New, ts.secret[:])
	fmt.Fprintf(h, "%q %q", t.User, t.Password)
	return [sha256.Size]byte(h.Sum(nil))
}

func (c *call) getTask() (*reply, error) {
	t, err := c.own()
	if err != nil {
		return nil, err
	}
	if c.flag("follow") || strings.Contains(c.r.Header.Get("Accept"), "text/event-stream") {
		return nil, c.follow(t)
	}
	return &reply{status: http.StatusOK, body: t.snapshot()}, nil
}

// A client that does not take its events is let go; one that waits is told that the service is there, so
// that no proxy in between takes the connection for dead.
const (
	eventTime = time.Minute
	aliveTime = 15 * time.Second
)

// follow streams a task's events until its end, or until the client goes.
func (c *call) follow(t *task) error {
	after := 0
	if id := c.r.Header.Get("Last-Event-ID"); id != "" {
		if _, err := fmt.Sscanf(id, "%d", &after); err != nil {
			return invalid("Last-Event-ID %q: not a number of a message", id)
		}
	}
	conn := http.NewResponseController(c.w)
	flush := func() error {
		_ = conn.SetWriteDeadline(time.Now().Add(eventTime)) // for the events until the next flush; a test's recorder has none
		return conn.Flush()
	}
	alive := time.NewTicker(aliveTime)
	defer alive.Stop()
	c.w.Header().Set("Content-Type", "text/event-stream")
	c.w.WriteHeader(http.StatusOK)
	steps := 0
	for {
		v, changed := t.look()
		for ; steps < len(v.Steps); steps++ {
			if err := c.send("step", 0, v.Steps[steps]); err != nil {
				return nil // it has gone
			}
		}
		for _, m := range v.Messages {
			if m.Number <= after {
				continue
			}
			if after = m.Number; c.send("message", m.Number, m) != nil {
				return nil
			}
		}
		if !v.Ended.IsZero() {
			_ = errors.Join(c.send("end", 0, v), flush()) // it may have gone
			return nil
		}
		if flush() != nil {
			return nil
		}
		select {
		case <-changed:
		case <-alive.C:
			if _, err := io.WriteString(c.w, ": still running\n\n"); err != nil {
				return nil
			}
		case <-c.r.Context().Done():
			return nil
		}
	}
}

// send writes one event; id 0 is none.
func (c *call) send(event string, id int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if id > 0 {
		if _, err := fmt.Fprintf(c.w, "id: %d\n", id); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(c.w, "event: %s\ndata: %s\n\n", event, b)
	return err
}

// deleteTask cancels a task that runs, and forgets one that has ended.
func (c *call) deleteTask() (*reply, error) {
	t, err := c.own()
	if err != nil {
		return nil, err
	}
	if t.stop() {
		return &reply{status: http.StatusAccepted, body: t.snapshot()}, nil
	}
	c.tasks.forget(t.snapshot().ID)
	return &reply{status: http.StatusNoContent}, nil
}

func (c *call) listTasks(context.Context) (*reply, error) {
	return &reply{status: http.StatusOK, body: TaskList{c.tasks.of(hostOf(c.sess.Target.URL), c.sess.UserName)}}, nil
}

// TaskList is the answer to a list of tasks, without their messages and results.
type TaskList struct {
	Tasks []Task `json:"tasks"`
}
