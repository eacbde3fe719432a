package session_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/session"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// rig is two hubs over one database, with one clock.
type rig struct {
	t        *testing.T
	db       *store.Store
	one, two *session.Sessions
	now      time.Time
}

func each(t *testing.T, test func(r *rig)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		r := &rig{t: t, db: open(session.Schema()), now: time.Now()}
		o := session.Options{Idle: 10 * time.Minute, Longest: time.Hour, PerUser: 3, Now: func() time.Time { return r.now }}
		r.one, r.two = session.New(r.db, o), session.New(open(session.Schema()), o)
		test(r)
	})
}

func person(id string) people.Person {
	return people.Person{Principal: auth.Principal{ID: id, Kind: auth.User}, Epoch: 7}
}

func (r *rig) open(id string) (secret.Text, session.Session) {
	r.t.Helper()
	s, x, err := r.one.Open(r.t.Context(), person(id), "192.0.2.1", "Firefox\x00\xff"+strings.Repeat("a", 1000), "https://sso.example.com/logout")
	if err != nil {
		r.t.Fatal(err)
	}
	return s, x
}

func (r *rig) want(given secret.Text, there bool, why string) {
	r.t.Helper()
	_, err := r.two.Find(r.t.Context(), given)
	if there && err != nil || !there && !errors.Is(err, errdef.ErrDenied) {
		r.t.Errorf("%s: %v", why, err)
	}
}

func TestAnotherHubKnowsTheSession(t *testing.T) {
	each(t, func(r *rig) {
		given, x := r.open("d/ann")
		got, err := r.two.Find(r.t.Context(), given)
		if err != nil || got != x || got.Principal != "d/ann" || got.Epoch != 7 || len(got.Agent) > 200 || !strings.HasPrefix(got.Agent, "Firefoxaaa") {
			r.t.Errorf("%+v, %v; want %+v", got, err, x)
		}
		for _, wrong := range []secret.Text{"", secret.Text(x.ID), given[1:] + "A", secret.Text(strings.Repeat("\x00", 43))} {
			r.want(wrong, false, "a wrong secret")
		}
		var sum string
		if err := r.db.QueryRow(r.t.Context(), `SELECT sum FROM browser_session`).Scan(&sum); err != nil || strings.Contains(sum, string(given)) {
			r.t.Errorf("the database has the secret, or nothing: %q %v", sum, err)
		}
	})
}

func TestASessionEnds(t *testing.T) {
	each(t, func(r *rig) {
		given, _ := r.open("d/ann")
		for began := r.now; r.now.Sub(began) <= time.Hour; r.now = r.now.Add(9 * time.Minute) {
			r.want(given, true, "a session in use")
		}
		r.want(given, false, "a session in use, after the longest time")
		given, _ = r.open("d/ann")
		r.now = r.now.Add(9 * time.Minute)
		r.want(given, true, "within the idle time")
		r.now = r.now.Add(11 * time.Minute)
		r.want(given, false, "after the idle time")
		r.open("d/bob") // removes what is over
		var n int
		if err := r.db.QueryRow(r.t.Context(), `SELECT COUNT(*) FROM browser_session`).Scan(&n); err != nil || n != 1 {
			r.t.Errorf("%d rows, %v", n, err)
		}
	})
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	each(t, func(r *rig) {
		ctx := r.t.Context()
		a1, one := r.open("d/ann")
		r.now = r.now.Add(time.Second)
		a2, two := r.open("d/ann")
		b, _ := r.open("d/bob")
		list, err := r.two.List(ctx, "d/ann", 7)
		if err != nil || len(list) != 2 || list[0] != two || list[1] != one {
			r.t.Errorf("%+v, %v", list, err)
		}
		if list, err := r.two.List(ctx, "d/ann", 8); err != nil || len(list) != 0 {
			r.t.Errorf("sessions of an earlier epoch are listed: %+v, %v", list, err)
		}
		if n, err := r.two.End(ctx, "d/bob", one.ID); n != 0 || err != nil {
			r.t.Errorf("bob ends ann's session: %d, %v", n, err)
		}
		if n, err := r.two.End(ctx, "d/ann", one.ID); n != 1 || err != nil {
			r.t.Errorf("%d, %v", n, err)
		}
		r.want(a1, false, "an ended session")
		r.want(a2, true, "another one of the same user")
		r.open("d/ann")
		if n, err := r.two.End(ctx, "d/ann", ""); n != 2 || err != nil {
			r.t.Errorf("%d, %v", n, err)
		}
		r.want(a2, false, "all are ended")
		r.want(b, true, "another user's")
		if err := r.two.Close(ctx, b); err != nil {
			r.t.Error(err)
		}
		r.want(b, false, "signed out")
	})
}

func TestSessionsOfOneUserAreBounded(t *testing.T) {
	each(t, func(r *rig) {
		first, _ := r.open("d/eve")
		other, _ := r.open("d/ann")
		for range 3 {
			r.now = r.now.Add(time.Second)
			r.open("d/eve")
		}
		r.want(first, false, "the oldest beyond the bound")
		r.want(other, true, "another user's")
		if list, err := r.one.List(r.t.Context(), "d/eve", 7); err != nil || len(list) != 3 {
			r.t.Errorf("%d sessions, %v", len(list), err)
		}
	})
}
