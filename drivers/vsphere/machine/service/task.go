package service

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"sync"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
)

// State says how far a task is.
type State string

// The states.
const (
	Running   State = "running"
	Canceling State = "canceling" // what was made is being removed
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Canceled  State = "canceled"
)

// Task is an operation as its owner sees it.
type Task struct {
	ID        string    `json:"id"`
	URL       string    `json:"url"`
	Operation string    `json:"operation"` // that of the document: createVCH
	Target    string    `json:"target"`
	VCH       string    `json:"vch"`  // ID or name
	User      string    `json:"user"` // whose it is
	State     State     `json:"state"`
	Started   time.Time `json:"started"`
	Ended     time.Time `json:"ended,omitzero"`
	Steps     []Step    `json:"steps,omitempty"`
	Messages  []Message `json:"messages,omitempty"` // the newest maxMessages
	Result    any       `json:"result,omitempty"`
	Error     *Problem  `json:"error,omitempty"`
}

// Step is a part of an operation. The last one runs, or is where it failed.
type Step struct {
	Name    string    `json:"name"`
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"` // that it took until now
}

// Message is a line of what was done.
type Message struct {
	Number int     `json:"number"` // counts from 1
	After  float64 `json:"after"`  // seconds since the operation began
	Step   string  `json:"step,omitempty"`
	Text   string  `json:"text"`
}

// maxMessages bounds what is kept of one task.
const maxMessages = 1000

// task is a Task with what only the service knows.
type task struct {
	token  [sha256.Size]byte // hash of it
	owner  string
	target session.Target // without password
	cancel context.CancelCauseFunc
	now    func() time.Time

	mu      sync.Mutex // guards what follows; the operation and a cancel write, requests read copies
	view    Task
	seen    map[[sha256.Size]byte]time.Time // accounts that vSphere has let in lately
	number  int
	changed chan struct{} // is closed at each change, and replaced
}

// event takes what the operation tells.
func (t *task) event(e progress.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Step != "" {
		t.closeStep()
		t.view.Steps = append(t.view.Steps, Step{Name: e.Step, Started: t.now()})
		t.wake()
		return
	}
	t.number++
	m := Message{Number: t.number, After: e.After.Seconds(), Text: e.Text}
	if n := len(t.view.Steps); n > 0 {
		m.Step = t.view.Steps[n-1].Name
	}
	if t.view.Messages = append(t.view.Messages, m); len(t.view.Messages) > maxMessages {
		t.view.Messages = append([]Message(nil), t.view.Messages[1:]...)
	}
	t.wake()
}

func (t *task) closeStep() {
	if n := len(t.view.Steps); n > 0 {
		s := &t.view.Steps[n-1]
		s.Seconds = t.now().Sub(s.Started).Seconds()
	}
}

func (t *task) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// end takes the result.
func (t *task) end(result any, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeStep()
	t.view.Ended, t.view.Result, t.view.State = t.now(), result, Succeeded
	if err != nil {
		p := problemOf(err).full()
		if t.view.Error, t.view.State = &p, Failed; operation.OutcomeOf(err) == operation.Interrupted {
			t.view.State = Canceled
		}
	}
	t.wake()
}

// stop cancels a task that runs, and says whether it does.
func (t *task) stop() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.view.Ended.IsZero() {
		return false
	}
	t.view.State = Canceling
	t.wake()
	t.cancel(operation.ErrInterrupted)
	return true
}

func (t *task) ended() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.view.Ended.IsZero()
}

// snapshot is the task now, the running step with its seconds until now.
func (t *task) snapshot() Task {
	v, _ := t.look()
	return v
}

// look also returns a channel that is closed when something has changed.
func (t *task) look() (Task, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.view
	v.Steps = append([]Step(nil), v.Steps...)
	if n := len(v.Steps); n > 0 && v.Ended.IsZero() {
		v.Steps[n-1].Seconds = t.now().Sub(v.Steps[n-1].Started).Seconds()
	}
	v.Messages = append([]Message(nil), v.Messages...)
	return v, t.changed
}

// holds says whether a token is the task's.
func (t *task) holds(token string) bool {
	h := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(h[:], t.token[:]) == 1
}

// How long, and for how many accounts, a login is good for reading a task: who polls would else log in
// to vSphere each time.
const (
	seenFor = time.Minute
	maxSeen = 16
)

func (t *task) wasSeen(account [sha256.Size]byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, ok := t.seen[account]
	return ok && t.now().Sub(at) < seenFor
}

func (t *task) remember(account [sha256.Size]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil || len(t.seen) >= maxSeen {
		t.seen = map[[sha256.Size]byte]time.Time{}
	}
	t.seen[account] = t.now()
}
