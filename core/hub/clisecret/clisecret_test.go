package clisecret_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/clisecret"
	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/hub/signin"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const address = "192.0.2.1"

func TestTheLifeOfASecret(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		ctx, now := t.Context(), time.Now()
		clock := func() time.Time { return now }
		db := open(people.Schema(), clisecret.Schema())
		who, source := people.New(db, clock, clisecret.Forget), auth.NewFake("d")
		sealer, err := seal.Open(filepath.Join(t.TempDir(), "seal.key"))
		must(t, err)
		limiter := access.NewLimiter(access.LimitOptions{Now: clock})
		sign := signin.New(signin.Options{People: who, Sealer: sealer, Limiter: limiter, Log: slog.New(slog.DiscardHandler), Now: clock,
			Sources: func() []signin.Source {
				return []signin.Source{{Name: "fake", Driver: source, Capabilities: source.Capabilities}}
			}})
		s := clisecret.New(db, sign, limiter, slog.New(slog.DiscardHandler), clock)
		ann := auth.Principal{ID: "d/ann", Kind: auth.User, Name: "ann@d"}
		must(t, source.Save(ctx, auth.SaveRequest{Principal: ann, Password: "ann's"}))
		_, err = sign.Password(ctx, "ann", "ann's", address) // whom the hub knows now
		must(t, err)
		denied := func(why, name string, given secret.Text) {
			t.Helper()
			if p, _, err := s.Password(ctx, name, given, address); !errors.Is(err, errdef.ErrDenied) {
				t.Errorf("%s: %q, %v", why, p.ID, err)
			}
			now = now.Add(time.Minute) // for the limit on tries
		}
		first, err := s.Make(ctx, "d/ann")
		must(t, err)
		for _, name := range []string{"ann@d", "ANN@d", "d/ann"} {
			if p, _, err := s.Password(ctx, name, first, address); err != nil || p.ID != "d/ann" {
				t.Errorf("%s: %q, %v", name, p.ID, err)
			}
		}
		if x, err := s.Get(ctx, "d/ann"); err != nil || x.Used.IsZero() || x.Made.IsZero() {
			t.Errorf("%+v, %v", x, err)
		}
		denied("another's name", "bob@d", first)
		denied("a wrong secret", "ann@d", first[:len(first)-1]+"_")
		denied("no secret", "ann@d", "ann's")
		second, err := s.Make(ctx, "d/ann")
		must(t, err)
		denied("the secret before", "ann@d", first)
		if _, _, err := s.Password(ctx, "ann@d", second, address); err != nil {
			t.Error(err)
		}
		var kept string
		must(t, db.QueryRow(ctx, `SELECT sum FROM cli_secret`).Scan(&kept))
		if strings.Contains(kept, string(second[len(clisecret.Prefix):])) {
			t.Error("the secret itself is in the database")
		}

		// It opens nothing while the source does not let the user in, and works again when they come back.
		off := ann
		off.Disabled = true
		must(t, source.Save(ctx, auth.SaveRequest{Principal: off}))
		now = now.Add(time.Hour)
		denied("a user whom the source puts out", "ann@d", second)
		must(t, source.Save(ctx, auth.SaveRequest{Principal: ann}))
		denied("before they have signed in again", "ann@d", second)
		_, err = sign.Password(ctx, "ann", "ann's", address)
		must(t, err)
		if _, _, err := s.Password(ctx, "ann@d", second, address); err != nil {
			t.Error(err)
		}

		// It ends with the user: whoever is made under the name later is somebody else.
		must(t, sign.Delete(ctx, "d/ann"))
		must(t, source.Save(ctx, auth.SaveRequest{Principal: ann, Password: "the new one's"}))
		_, err = sign.Password(ctx, "ann", "the new one's", address)
		must(t, err)
		denied("a deleted user's", "ann@d", second)
		if _, err := s.Get(ctx, "d/ann"); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("the new user has a secret: %v", err)
		}
		third, err := s.Make(ctx, "d/ann")
		must(t, err)
		must(t, s.Remove(ctx, "d/ann"))
		denied("a removed secret", "ann@d", third)
		limited := false
		for range 10 {
			_, _, err := s.Password(ctx, "ann@d", third, address)
			limited = limited || errors.Is(err, errdef.ErrExhausted)
		}
		if !limited {
			t.Error("nobody slows a guesser down")
		}
	})
}
