package store_test

import (
	"database/sql"
	"errors"
	"testing"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

// What is only to be done is there with the transaction, in its order, also for what the transaction itself reads.
func TestWhatATransactionDoesIsThereWhenItAsks(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		s := open(accounts)
		err := s.Tx(t.Context(), func(tx *store.Tx) error {
			if err := insert("a", 1)(tx); err != nil {
				return err
			}
			for range 500 { // more than wait to be sent
				if err := tx.Do(`UPDATE account SET balance = balance + $1 WHERE name = $2`, 2, "a"); err != nil {
					return err
				}
			}
			var n int64
			if err := tx.Row(`SELECT balance FROM account WHERE name = $1`, "a").Scan(&n); err != nil || n != 1001 {
				t.Errorf("%d %v", n, err)
			}
			if err := tx.Do(`UPDATE account SET balance = $1 WHERE name = $2`, 7, "a"); err != nil {
				return err
			}
			if err := tx.QueryRow(t.Context(), `SELECT balance FROM account WHERE name = $1`, "a").Scan(&n); err != nil || n != 7 {
				t.Errorf("%d %v", n, err)
			}
			if err := tx.Row(`SELECT balance FROM account WHERE name = $1`, "nobody").Scan(&n); !errors.Is(err, sql.ErrNoRows) {
				t.Errorf("no row: %v", err)
			}
			if err := tx.Do(`UPDATE account SET balance = $1 WHERE name = $2`, 8, "a"); err != nil {
				return err
			}
			if changed, err := tx.Exec(`UPDATE account SET balance = balance + $1`, 1); err != nil || changed != 1 {
				t.Errorf("%d %v", changed, err)
			}
			return tx.Do(`UPDATE account SET balance = balance + $1`, 1)
		})
		if err != nil || balance(t, s, "a") != 10 {
			t.Errorf("%v, balance %d", err, balance(t, s, "a"))
		}
	})
}

// A statement that breaks a rule of the schema undoes all of its transaction, be it the last one, and the next one is none the worse.
func TestABrokenRuleUndoesWhatWasDone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		s := open(accounts)
		if err := s.Tx(t.Context(), insert("a", 1)); err != nil {
			t.Fatal(err)
		}
		for name, more := range map[string]func(*store.Tx) error{
			"and nothing more": func(*store.Tx) error { return nil },
			"and more":         func(tx *store.Tx) error { return tx.Do(`UPDATE account SET balance = $1`, 5) },
			"and a question": func(tx *store.Tx) error {
				var n int64
				return tx.Row(`SELECT balance FROM account WHERE name = $1`, "a").Scan(&n)
			},
		} {
			err := s.Tx(t.Context(), func(tx *store.Tx) error {
				if err := tx.Do(`UPDATE account SET balance = $1`, 4); err != nil {
					return err
				}
				if err := tx.Do(`INSERT INTO account (name, balance) VALUES ($1, $2)`, "a", 1); err != nil {
					return err
				}
				return more(tx)
			})
			if !store.IsConstraint(err) || !store.IsTaken(err) || balance(t, s, "a") != 1 {
				t.Errorf("%s: %v, balance %d", name, err, balance(t, s, "a"))
			}
			if err := s.Tx(t.Context(), func(tx *store.Tx) error { return tx.Do(`UPDATE account SET balance = $1`, 1) }); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A transaction that asks nothing costs PostgreSQL one message, and who waits for it to be on the disk one more.
func TestMessagesOfATransaction(t *testing.T) {
	s := storetest.Open(t, storetest.URL(t, "postgres"), accounts)
	do := func() {
		err := s.Lazy(t.Context(), func(tx *store.Tx) error {
			for range 5 {
				if err := tx.Do(`UPDATE account SET balance = balance + $1`, 1); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	do() // the connection learns the statements
	before := s.RoundTrips()
	do()
	if n := s.RoundTrips() - before; n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
	if err := s.Soon()(); err != nil || s.RoundTrips()-before != 2 {
		t.Errorf("%d messages with the flush, %v, want 2", s.RoundTrips()-before, err)
	}
}
