package store_test

import (
	"errors"
	"testing"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

// What was read is used again until a watched column changes, whoever changes it; then the next request reads it anew.
func TestRememberedUntilItChanges(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			watched := accounts
			watched.Watched = []string{"account(name)", "entry"}
			url := storetest.URL(t, kind)
			s, other := storetest.Open(t, url, watched), storetest.Open(t, url, watched)
			write := func(by *store.Store, query string, args ...any) {
				t.Helper()
				err := by.Tx(t.Context(), func(tx *store.Tx) error {
					_, err := tx.Exec(query, args...)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			write(s, `INSERT INTO account (name, balance) VALUES ('a', 1)`)
			type key string
			loads := 0
			name := func(own bool) string {
				t.Helper()
				ctx, err := s.Moment(t.Context())
				if own { // with a question that the request has anyway
					var n int
					ctx, err = s.MomentOf(t.Context(), []any{&n}, `SELECT `+store.Stamp+`, COUNT(*) FROM account WHERE balance > $1`, 0)
					if n < 1 {
						t.Errorf("its own question has the answer %d", n)
					}
				}
				if err != nil {
					t.Fatal(err)
				}
				v, err := store.Remember(ctx, key("first"), func() (v string, err error) {
					loads++
					return v, s.QueryRow(ctx, `SELECT name FROM account ORDER BY id LIMIT 1`).Scan(&v)
				})
				if err != nil {
					t.Fatal(err)
				}
				return v
			}
			steps := []struct {
				by     *store.Store
				query  string
				want   string
				asked  int // how often the database was asked by then
				reason string
			}{
				{nil, ``, "a", 1, "the first question"},
				{nil, ``, "a", 1, "the same question"},
				{s, `UPDATE account SET balance = 2`, "a", 1, "a change of what is not watched"},
				{s, `UPDATE account SET name = 'b'`, "b", 2, "a change"},
				{other, `UPDATE account SET name = 'c'`, "c", 3, "a change by another process"},
				{other, `INSERT INTO account (name, balance) VALUES ('z', 1)`, "c", 4, "a new row"},
				{s, `INSERT INTO entry (account_id, n) SELECT id, 1 FROM account`, "c", 5, "a row of another table"},
				{s, `DELETE FROM entry`, "c", 6, "no row of another table"},
			}
			for _, x := range steps {
				if x.by != nil {
					write(x.by, x.query)
				}
				for _, own := range []bool{x.asked%2 == 0, x.asked%2 == 1} {
					if got := name(own); got != x.want || loads != x.asked {
						t.Errorf("%s: %q after %d questions, want %q after %d", x.reason, got, loads, x.want, x.asked)
					}
				}
			}
		})
	}
}

// What began before a change does not put what it read in the way of those who come after it.
func TestWhatIsReadLateIsNotRemembered(t *testing.T) {
	watched := accounts
	watched.Watched = []string{"account"}
	s := storetest.Open(t, storetest.URL(t, "sqlite"), watched)
	early, err := s.Moment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	type key struct{}
	_, err = store.Remember(early, key{}, func() (string, error) {
		if err := s.Tx(t.Context(), insert("a", 1)); err != nil { // while it reads
			return "", err
		}
		if _, err := s.Moment(t.Context()); err != nil { // another request sees the change
			return "", err
		}
		return "old", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	late, err := s.Moment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v, err := store.Remember(late, key{}, func() (string, error) { return "new", nil }); err != nil || v != "new" {
		t.Errorf("%q %v", v, err)
	}
	s.Forget()
	if v, err := store.Remember(late, key{}, func() (string, error) { return "newest", nil }); err != nil || v != "newest" {
		t.Errorf("%q %v", v, err)
	}
	if _, err := s.Moment(t.Context()); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	type other struct{}
	for range 2 {
		if _, err := store.Remember(late, other{}, func() (int, error) { return 0, boom }); !errors.Is(err, boom) {
			t.Errorf("an error was remembered: %v", err)
		}
	}
	if v, err := store.Remember(store.Anew(late), key{}, func() (string, error) { return "newer", nil }); err != nil || v != "newer" {
		t.Errorf("%q %v", v, err)
	}
}

func TestNumbersAreThoseThatRowsWouldHave(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		s := open(accounts)
		for range 2 {
			err := s.Lazy(t.Context(), func(tx *store.Tx) error {
				list, err := tx.Numbers("account", 3)
				if err != nil {
					return err
				}
				for _, n := range list {
					if _, err := tx.Exec(`INSERT INTO account (id, name, balance) VALUES ($1, $2, 1)`, n, string(rune('a'+n))); err != nil {
						return err
					}
				}
				return insert(string(rune('A'+list[0])), 1)(tx)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if n, err := count(s); err != nil || n != 8 {
			t.Errorf("%d accounts, %v", n, err)
		}
	})
}

// Statements alone, and what they return.
func TestLazyStatements(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		s := open(accounts)
		var id int64
		if err := s.LazyRow(t.Context(), []any{&id}, `INSERT INTO account (name, balance) VALUES ($1, 1) RETURNING id`, "a"); err != nil || id != 1 {
			t.Errorf("%d %v", id, err)
		}
		n, err := s.LazyExec(t.Context(), `UPDATE account SET balance = $1`, 7)
		if err != nil || n != 1 || balance(t, s, "a") != 7 {
			t.Errorf("%d %v", n, err)
		}
		if _, err := s.LazyExec(t.Context(), `INSERT INTO account (name, balance) VALUES ($1, 1)`, "a"); !store.IsTaken(err) {
			t.Errorf("a second account of the same name: %v", err)
		}
		if err := s.Durable(); err != nil {
			t.Error(err)
		}
	})
}
