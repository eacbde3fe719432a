package access

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestSessionsEnd(t *testing.T) {
	now := time.Now()
	s := NewSessions(SessionOptions{Idle: time.Minute, Longest: time.Hour, Now: func() time.Time { return now }})
	secret, x := s.Open("alice", "192.0.2.1", strings.Repeat("a", 1000))
	if len(secret) < 40 || strings.Contains(secret, x.ID) || x.User != "alice" || len(x.Agent) != maxAgent {
		t.Errorf("%q %+v", secret, x)
	}
	for range 80 {
		now = now.Add(50 * time.Second)
		if _, ok := s.Find(secret); !ok {
			break
		}
	}
	if at := now.Sub(x.Began); at < time.Hour || at > time.Hour+50*time.Second {
		t.Errorf("a session in use ended after %s, want an hour", at)
	}
	secret, _ = s.Open("alice", "192.0.2.1", "")
	now = now.Add(time.Minute)
	if _, ok := s.Find(secret); !ok {
		t.Error("ended within the idle time")
	}
	now = now.Add(time.Minute + 1)
	if _, ok := s.Find(secret); ok {
		t.Error("an idle session goes on")
	}
	if _, ok := s.Find(x.ID); ok {
		t.Error("the ID opens the session")
	}
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	now := time.Now()
	s := NewSessions(SessionOptions{Now: func() time.Time { now = now.Add(time.Second); return now }})
	a1, one := s.Open("alice", "192.0.2.1", "laptop")
	a2, _ := s.Open("alice", "192.0.2.2", "phone")
	b, _ := s.Open("bob", "192.0.2.3", "")
	if l := s.List("alice"); len(l) != 2 || l[0].Agent != "phone" || l[1].Agent != "laptop" {
		t.Errorf("%+v", l)
	}
	if l := s.List(""); len(l) != 3 {
		t.Errorf("%+v", l)
	}
	if n := s.End("bob", one.ID); n != 0 {
		t.Error("bob ends alice's session")
	}
	if n := s.End("alice", one.ID); n != 1 {
		t.Errorf("%d ended", n)
	}
	if _, ok := s.Find(a1); ok {
		t.Error("an ended session goes on")
	}
	if _, ok := s.Find(a2); !ok {
		t.Error("another session ended with it")
	}
	s.Open("alice", "192.0.2.4", "")
	if n := s.End("alice", ""); n != 2 {
		t.Errorf("sign-out everywhere: %d ended", n)
	}
	if _, ok := s.Find(b); !ok {
		t.Error("bob was signed out")
	}
	s.Close(b)
	s.Close("nothing")
	if l := s.List(""); len(l) != 0 {
		t.Errorf("%+v", l)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	now := time.Now()
	s := NewSessions(SessionOptions{Most: 10, PerUser: 3, Now: func() time.Time { now = now.Add(time.Second); return now }})
	first, _ := s.Open("eve", "", "")
	for range 3 {
		s.Open("eve", "", "")
	}
	if _, ok := s.Find(first); ok || len(s.List("eve")) != 3 {
		t.Errorf("the oldest of one user stays: %v", s.List("eve"))
	}
	for i := range 20 {
		s.Open(fmt.Sprint("user", i), "", "")
	}
	if l := s.List(""); len(l) != 10 || l[0].User != "user19" {
		t.Errorf("%d sessions", len(l))
	}
}
