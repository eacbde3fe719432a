package signin_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/hub/signin"
	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// rig is a Signer over two fakes, first and then second.
type rig struct {
	*signin.Signer
	first, second *auth.Fake
	people        *people.People
	now           time.Time
	verified      atomic.Int32
}

// counted counts how often the first source is asked to verify, and lets a test hold it up.
type counted struct {
	auth.Driver
	r    *rig
	hold chan struct{}
}

func (c *counted) Verify(ctx context.Context, req auth.VerifyRequest) (auth.Identity, error) {
	c.r.verified.Add(1)
	if c.hold != nil {
		<-c.hold
	}
	return c.Driver.Verify(ctx, req)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newRig(t *testing.T, hold chan struct{}) *rig {
	t.Helper()
	r := &rig{first: auth.NewFake("one.example"), second: auth.NewFake("two.example"), now: time.Now()}
	clock := func() time.Time { return r.now }
	r.people = people.New(storetest.Open(t, storetest.URL(t, "sqlite"), people.Schema()), clock)
	sealer, err := seal.Open(filepath.Join(t.TempDir(), "seal.key"))
	must(t, err)
	r.Signer = signin.New(signin.Options{People: r.people, Sealer: sealer, Limiter: access.NewLimiter(access.LimitOptions{Now: clock}),
		Now: clock, Log: slog.New(slog.DiscardHandler),
		Sources: func() []signin.Source {
			return []signin.Source{{Name: "first", Driver: &counted{r.first, r, hold}, Capabilities: r.first.Capabilities},
				{Name: "second", Driver: r.second, Capabilities: r.second.Capabilities}}
		}})
	save := func(f *auth.Fake, id, password string, kind auth.Kind, groups ...string) {
		_, name, _ := auth.SplitID(id)
		must(t, f.Save(t.Context(), auth.SaveRequest{Principal: auth.Principal{ID: id, Kind: kind, Name: name}, Password: secret.Text(password),
			Groups: groups, SetGroups: true}))
	}
	save(r.first, "one.example/devs", "", auth.Group)
	save(r.first, "one.example/ann", "ann's", auth.User, "one.example/devs")
	save(r.first, "one.example/both", "the first's", auth.User)
	save(r.second, "two.example/both", "the second's", auth.User)
	save(r.second, "two.example/bob", "bob's", auth.User)
	return r
}

func TestWhoSignsInWhere(t *testing.T) {
	r := newRig(t, nil)
	for _, c := range []struct{ name, password, want string }{
		{"ann", "ann's", "one.example/ann"},
		{"ann@one.example", "ann's", "one.example/ann"},
		{"ann@ONE.example", "ann's", "one.example/ann"},
		{"bob", "bob's", "two.example/bob"},
		{"both", "the first's", "one.example/both"},
		{"both", "the second's", "two.example/both"},
		{"both@two.example", "the second's", "two.example/both"},
		{"both@one.example", "the second's", ""}, // the domain's own source alone
		{"ann", "wrong", ""},
		{"nobody", "x", ""},
		{"ann", "", ""},
		{"", "x", ""},
		{strings.Repeat("a", 300), "x", ""},
	} {
		got, err := r.Password(t.Context(), c.name, secret.Text(c.password), "192.0.2.1")
		if (err != nil) != (c.want == "") || got.ID != c.want || err != nil && !errors.Is(err, errdef.ErrDenied) {
			t.Errorf("%s with %q: %q, %v; want %q", c.name, c.password, got.ID, err, c.want)
		}
		if err != nil && err.Error() != "name or password is wrong: permission denied" {
			t.Errorf("%s: the text tells more: %v", c.name, err)
		}
		r.now = r.now.Add(time.Minute)
	}
}

func TestGuessersWait(t *testing.T) {
	r := newRig(t, nil)
	var limited *signin.LimitedError
	for range 10 {
		if _, err := r.Password(t.Context(), "ann", "wrong", "192.0.2.1"); errors.As(err, &limited) {
			break
		}
	}
	if limited == nil || limited.Wait <= 0 || limited.Wait > time.Minute {
		t.Fatalf("%+v", limited)
	}
	if _, err := r.Password(t.Context(), "Ann", "ann's", "192.0.2.1"); !errors.Is(err, errdef.ErrExhausted) {
		t.Errorf("the same name in another case: %v", err)
	}
	if _, err := r.Password(t.Context(), "bob", "bob's", "192.0.2.1"); err != nil {
		t.Errorf("another user: %v", err)
	}
}

func TestASourceThatIsAwayIsNamed(t *testing.T) {
	r := newRig(t, nil)
	for range 10 { // and no try counts
		r.first.Fail("Password", errdef.ErrUnavailable)
		_, err := r.Password(t.Context(), "nobody", "x", "192.0.2.1")
		if !errors.Is(err, errdef.ErrUnavailable) || !strings.Contains(err.Error(), "first") {
			t.Fatal(err)
		}
	}
	r.first.Fail("Password", errdef.ErrUnavailable)
	if _, err := r.Password(t.Context(), "bob", "bob's", "192.0.2.1"); err != nil {
		t.Errorf("a user of the other source: %v", err)
	}
	r.first.Fail("Password", errdef.ErrUnavailable)
	if _, err := r.Password(t.Context(), "both@two.example", "wrong", "192.0.2.1"); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("a wrong password at the other source: %v", err)
	}
	r.first.Fail("Password", nil) // the last one was not met
	r.first.Expire("one.example/ann")
	if _, err := r.Password(t.Context(), "ann", "ann's", "192.0.2.1"); !errors.Is(err, errdef.ErrConflict) {
		t.Errorf("a password that must be changed: %v", err)
	}
}

func TestAnAnswerIsAskedForAgainWhenItIsOld(t *testing.T) {
	r := newRig(t, nil)
	ctx := t.Context()
	_, err := r.Password(ctx, "ann", "ann's", "192.0.2.1")
	must(t, err)
	_, err = r.Check(ctx, "one.example/ann")
	must(t, err)
	if n := r.verified.Load(); n != 0 {
		t.Errorf("asked %d times at once", n)
	}
	r.now = r.now.Add(6 * time.Minute)
	for range 3 {
		_, err = r.Check(ctx, "one.example/ann")
		must(t, err)
	}
	if n := r.verified.Load(); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	r.now = r.now.Add(6 * time.Minute)
	r.first.Fail("Verify", errdef.ErrUnavailable)
	for range 3 { // the old answer counts, and nobody waits for the platform again at once
		if p, err := r.Check(ctx, "one.example/ann"); err != nil || p.ID != "one.example/ann" {
			t.Errorf("while the platform is away: %+v %v", p, err)
		}
	}
	if n := r.verified.Load(); n != 2 {
		t.Errorf("asked %d times, want twice", n)
	}
	must(t, r.first.Remove(ctx, auth.RemoveRequest{ID: "one.example/ann"}))
	r.now = r.now.Add(6 * time.Minute)
	for range 2 {
		if _, err := r.Check(ctx, "one.example/ann"); !errors.Is(err, errdef.ErrDenied) {
			t.Errorf("after the user was removed: %v", err)
		}
	}
	if _, err := r.Check(ctx, "one.example/nobody"); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("a stranger: %v", err)
	}
}

func TestManyRequestsOfOneUserAskOnce(t *testing.T) {
	hold := make(chan struct{})
	r := newRig(t, hold)
	_, err := r.Password(t.Context(), "ann", "ann's", "192.0.2.1")
	must(t, err)
	r.now = r.now.Add(time.Hour)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := r.Check(t.Context(), "one.example/ann"); err != nil {
				t.Error(err)
			}
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Check(gone, "one.example/ann"); err == nil {
		t.Error("who has gone waits")
	}
	close(hold)
	wg.Wait()
	if n := r.verified.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestSearchAsksAllSources(t *testing.T) {
	r := newRig(t, nil)
	got, err := r.Search(t.Context(), "both", auth.User, 10)
	if err != nil || len(got) != 2 {
		t.Errorf("%+v %v", got, err)
	}
	if p, err := r.people.Get(t.Context(), "two.example/both"); err != nil || p.Name != "both" {
		t.Errorf("%+v %v", p, err)
	}
	if got, err := r.Search(t.Context(), "b", auth.User, 1); err != nil || len(got) != 1 {
		t.Errorf("%+v %v", got, err)
	}
	r.first.Fail("Search", errdef.ErrUnavailable)
	if got, err := r.Search(t.Context(), "bob", "", 10); err != nil || len(got) != 1 {
		t.Errorf("%+v %v", got, err)
	}
	for text, want := range map[string]string{"two.example/bob": "two.example/bob", "one.example/devs": "one.example/devs", "bob": "two.example/bob",
		"nobody": "", "one.example/bob": ""} {
		got, err := r.Lookup(t.Context(), text)
		if got.ID != want || (want == "") != errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%s: %+v %v", text, got, err)
		}
	}
	if got, err := r.Administrators(t.Context()); err != nil || len(got) != 2 || got[0] != "one.example/administrators" {
		t.Errorf("%v %v", got, err)
	}
}

// Groups become cloud administrators once; those of a source that is not up yet are waited for.
func TestTheFirstAdministratorsAreThoseOfAllSources(t *testing.T) {
	r := newRig(t, nil)
	r.second.Fail("Describe", errdef.ErrUnavailable)
	if got, err := r.Administrators(t.Context()); !errors.Is(err, errdef.ErrUnavailable) || len(got) != 0 {
		t.Errorf("%v %v", got, err)
	}
}

// One account has no more tries for being written in several ways.
func TestGuessersWaitHoweverTheyWriteAName(t *testing.T) {
	r := newRig(t, nil)
	through := 0
	for i := range 20 {
		name := []string{"ann", "Ann@one.example", `ONE.example\ann`, "one.example/ann", " ann"}[i%5]
		if _, err := r.Password(t.Context(), name, "wrong", "192.0.2.1"); errors.Is(err, errdef.ErrDenied) {
			through++
		}
	}
	if through != 5 {
		t.Errorf("%d guesses were looked at, want 5", through)
	}
}

// Of several hubs one asks the source about a user, whose session there may be good for one call; the others go by the last
// answer meanwhile.
func TestOneHubAsksTheSource(t *testing.T) {
	hold := make(chan struct{})
	r := newRig(t, hold)
	p, err := r.Password(t.Context(), "ann", "ann's", "192.0.2.1")
	must(t, err)
	sealer, err := seal.Open(filepath.Join(t.TempDir(), "seal.key"))
	must(t, err)
	other := signin.New(signin.Options{People: r.people, Sealer: sealer, Now: func() time.Time { return r.now }, Log: slog.New(slog.DiscardHandler),
		Sources: func() []signin.Source {
			return []signin.Source{{Name: "first", Driver: auth.NewFake("one.example")}} // which would put everybody out
		}})
	r.now = r.now.Add(6 * time.Minute)
	done := make(chan error)
	go func() { _, err := r.Check(t.Context(), p.ID); done <- err }()
	for r.verified.Load() == 0 {
		runtime.Gosched()
	}
	if got, err := other.Check(t.Context(), p.ID); err != nil || got.ID != p.ID {
		t.Errorf("the other hub, meanwhile: %v", err)
	}
	close(hold)
	must(t, <-done)
	if n := r.verified.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// The last answer of a source that does not answer counts for a time, and no longer. The source is asked more often than it
// wants if the hub is told so.
func TestAnOutageHasAnEnd(t *testing.T) {
	r := newRig(t, nil)
	p, err := r.Password(t.Context(), "ann", "ann's", "192.0.2.1")
	must(t, err)
	began := r.now
	for r.now.Sub(began) < 11*time.Hour {
		r.now = r.now.Add(time.Hour)
		r.first.Fail("Verify", errdef.ErrUnavailable)
		if _, err := r.Check(t.Context(), p.ID); err != nil {
			t.Fatalf("after %s: %v", r.now.Sub(began), err)
		}
	}
	r.now = r.now.Add(2 * time.Hour)
	r.first.Fail("Verify", errdef.ErrUnavailable)
	for range 2 { // asked, and not asked
		if _, err := r.Check(t.Context(), p.ID); !errors.Is(err, errdef.ErrUnavailable) {
			t.Errorf("after %s: %v", r.now.Sub(began), err)
		}
	}
	r.now = r.now.Add(time.Minute)
	if _, err := r.Check(t.Context(), p.ID); err != nil {
		t.Errorf("the source is back: %v", err)
	}
}

func TestTheHubSaysHowOldAnAnswerMayBe(t *testing.T) {
	r := newRig(t, nil)
	r.first.Description.Refresh = auth.MaxRefresh
	p, err := r.Password(t.Context(), "ann", "ann's", "192.0.2.1")
	must(t, err)
	r.now = r.now.Add(9 * time.Minute)
	_, err = r.Check(t.Context(), p.ID)
	must(t, err)
	if n := r.verified.Load(); n != 0 {
		t.Errorf("asked %d times within ten minutes", n)
	}
	r.now = r.now.Add(2 * time.Minute)
	_, err = r.Check(t.Context(), p.ID)
	must(t, err)
	if n := r.verified.Load(); n != 1 {
		t.Errorf("asked %d times in eleven minutes", n)
	}
}
