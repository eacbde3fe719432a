package access

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"sync"
	"time"
)

// Session is one sign-in of a browser.
type Session struct {
	// ID names the session in lists and logs; it opens nothing.
	ID      string    `json:"id"`
	User    string    `json:"user"`
	Address string    `json:"address"` // where it began
	Agent   string    `json:"agent"`   // what the browser calls itself, cut at 200 bytes
	Began   time.Time `json:"began"`
	Seen    time.Time `json:"seen"` // the last request
}

// SessionOptions bound sessions. Zero values mean the defaults that are noted.
type SessionOptions struct {
	Idle    time.Duration // without a request, 30 min
	Longest time.Duration // in all, 12 h
	Most    int           // of all users, 10,000; the one that was seen longest ago ends for a new one
	PerUser int           // of one user, 50; likewise
	Now     func() time.Time
}

// Sessions are in memory: after a restart everyone signs in again. Secrets are kept as their SHA-256 alone, so that a
// dump of the memory opens nothing. All methods may be called at once; mu guards all.
type Sessions struct {
	o  SessionOptions
	mu sync.Mutex
	by map[[sha256.Size]byte]*Session // by the secret's sum
}

// NewSessions makes an empty set.
func NewSessions(o SessionOptions) *Sessions {
	o.Idle, o.Longest = cmp.Or(o.Idle, 30*time.Minute), cmp.Or(o.Longest, 12*time.Hour)
	o.Most, o.PerUser = cmp.Or(o.Most, 10_000), cmp.Or(o.PerUser, 50)
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Sessions{o: o, by: map[[sha256.Size]byte]*Session{}}
}

const maxAgent = 200

// Open begins a session and returns its secret, which goes into a cookie and nowhere else.
func (s *Sessions) Open(user, address, agent string) (secret string, _ Session) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	secret = base64.RawURLEncoding.EncodeToString(b[:])
	sum := sha256.Sum256([]byte(secret))
	now := s.o.Now()
	x := &Session{ID: hex.EncodeToString(sum[:8]), User: user, Address: address, Agent: agent[:min(len(agent), maxAgent)], Began: now, Seen: now}
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := 0
	for _, o := range s.by {
		if o.User == user {
			mine++
		}
	}
	if mine >= s.o.PerUser {
		s.evict(func(o *Session) bool { return o.User == user })
	}
	if len(s.by) >= s.o.Most {
		s.evict(func(*Session) bool { return true })
	}
	s.by[sum] = x
	return secret, *x
}

// evict ends the session that was seen longest ago, of those that match. The caller holds mu.
func (s *Sessions) evict(match func(*Session) bool) {
	var oldest *Session
	var key [sha256.Size]byte
	for k, x := range s.by {
		if match(x) && (oldest == nil || x.Seen.Before(oldest.Seen)) {
			oldest, key = x, k
		}
	}
	delete(s.by, key)
}

// Find returns the session of a secret, and notes that it was seen.
func (s *Sessions) Find(secret string) (Session, bool) {
	sum := sha256.Sum256([]byte(secret))
	s.mu.Lock()
	defer s.mu.Unlock()
	x, ok := s.by[sum]
	if !ok || s.over(x) {
		delete(s.by, sum)
		return Session{}, false
	}
	x.Seen = s.o.Now()
	return *x, true
}

func (s *Sessions) over(x *Session) bool {
	now := s.o.Now()
	return now.Sub(x.Seen) > s.o.Idle || now.Sub(x.Began) > s.o.Longest
}

// Close ends the session of a secret; it does not matter whether there is one.
func (s *Sessions) Close(secret string) {
	sum := sha256.Sum256([]byte(secret))
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.by, sum)
}

// List returns the sessions of a user, the latest first; of all users if user is "".
func (s *Sessions) List(user string) []Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []Session{}
	for k, x := range s.by {
		switch {
		case s.over(x):
			delete(s.by, k)
		case user == "" || x.User == user:
			all = append(all, *x)
		}
	}
	slices.SortFunc(all, func(a, b Session) int { return cmp.Or(b.Seen.Compare(a.Seen), cmp.Compare(a.ID, b.ID)) })
	return all
}

// End ends those sessions of a user whose ID is id, or all of them if id is "" (sign-out everywhere). It returns how
// many there were.
func (s *Sessions) End(user, id string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, x := range s.by {
		if x.User == user && (id == "" || x.ID == id) {
			delete(s.by, k)
			n++
		}
	}
	return n
}
