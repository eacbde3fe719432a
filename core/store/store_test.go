package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

var accounts = store.Schema{Name: "accounts", Steps: []string{
	`CREATE TABLE account (id @id, name @ascii NOT NULL UNIQUE, balance BIGINT NOT NULL CHECK (balance >= 0), seal @bytes);
	 CREATE TABLE entry (account_id BIGINT NOT NULL REFERENCES account(id), n BIGINT NOT NULL, PRIMARY KEY (account_id, n)) @clustered`,
}}

func balance(t *testing.T, q store.Querier, name string) (n int64) {
	t.Helper()
	if err := q.QueryRow(t.Context(), `SELECT balance FROM account WHERE name = $1`, name).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func insert(name string, balance int64) func(*store.Tx) error {
	return func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO account (name, balance, seal) VALUES ($1, $2, $3)`, name, balance, []byte{0, 255})
		return err
	}
}

func TestTransactionsAreAllOrNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		s := open(accounts)
		if err := s.Tx(t.Context(), insert("a", 5)); err != nil {
			t.Fatal(err)
		}
		boom := errors.New("boom")
		err := s.Tx(t.Context(), func(tx *store.Tx) error {
			if _, err := tx.Exec(`UPDATE account SET balance = 9 WHERE name = 'a'`); err != nil {
				return err
			}
			if got := balance(t, tx, "a"); got != 9 {
				t.Errorf("the transaction reads %d of what it wrote", got)
			}
			if got := balance(t, s, "a"); got != 5 {
				t.Errorf("others read %d of what is not committed", got)
			}
			return boom
		})
		if !errors.Is(err, boom) || balance(t, s, "a") != 5 {
			t.Errorf("%v, balance %d", err, balance(t, s, "a"))
		}
		if err := s.Tx(t.Context(), insert("a", 1)); !store.IsTaken(err) {
			t.Errorf("a second account of the same name: %v", err)
		}
		if n, err := count(s); err != nil || n != 1 {
			t.Errorf("%d accounts, %v", n, err)
		}
	})
}

func count(s *store.Store) (n int, err error) {
	err = s.QueryRow(context.Background(), `SELECT count(*) FROM account`).Scan(&n)
	return n, err
}

// A function that panics leaves no transaction open and nothing written, and the others that shared its commit lose nothing.
func TestPanicInATransaction(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		s := open(accounts)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = s.Tx(t.Context(), func(tx *store.Tx) error {
				if err := insert("a", 1)(tx); err != nil {
					return err
				}
				panic("boom")
			})
		}()
		if err := s.Tx(t.Context(), insert("b", 1)); err != nil {
			t.Fatal(err)
		}
		if n, err := count(s); err != nil || n != 1 {
			t.Errorf("%d accounts, %v", n, err)
		}
	})
}

// Withdrawals that meet: each is done as if it were alone, failures undo themselves alone, and no more is taken than
// was there.
func TestConcurrentTransactionsAreExact(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		s := open(accounts)
		if err := s.Tx(t.Context(), insert("a", 300)); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		taken := 0
		for w := range 20 {
			wg.Go(func() {
				for i := range 20 {
					err := s.Tx(t.Context(), func(tx *store.Tx) error {
						var id, had int64
						if err := tx.Lock(`SELECT id, balance FROM account WHERE name = 'a'`).Scan(&id, &had); err != nil {
							return err
						}
						if _, err := tx.Exec(`INSERT INTO entry (account_id, n) VALUES ($1, $2)`, id, w*100+i); err != nil {
							return err
						}
						_, err := tx.Exec(`UPDATE account SET balance = $1 WHERE id = $2`, had-1, id)
						return err
					})
					if err == nil {
						mu.Lock()
						taken++
						mu.Unlock()
					}
				}
			})
		}
		wg.Wait()
		var entries int
		if err := s.QueryRow(t.Context(), `SELECT count(*) FROM entry`).Scan(&entries); err != nil {
			t.Fatal(err)
		}
		if taken != 300 || entries != 300 || balance(t, s, "a") != 0 {
			t.Errorf("%d taken, %d entries, %d left", taken, entries, balance(t, s, "a"))
		}
	})
}

// Two transactions that lock each other out on PostgreSQL: one of them is run again, and both succeed.
func TestDeadlockIsResolved(t *testing.T) {
	s := storetest.Open(t, storetest.URL(t, "postgres"), accounts)
	for _, name := range []string{"a", "b"} {
		if err := s.Tx(t.Context(), insert(name, 1)); err != nil {
			t.Fatal(err)
		}
	}
	var tries atomic.Int64
	var both sync.WaitGroup // both have locked one row
	both.Add(2)
	cross := func(first, second string) func() {
		var once sync.Once
		return func() {
			err := s.Tx(t.Context(), func(tx *store.Tx) error {
				tries.Add(1)
				var n int64
				if err := tx.Lock(`SELECT balance FROM account WHERE name = $1`, first).Scan(&n); err != nil {
					return err
				}
				once.Do(both.Done)
				both.Wait()
				if err := tx.Lock(`SELECT balance FROM account WHERE name = $1`, second).Scan(&n); err != nil {
					return err
				}
				_, err := tx.Exec(`UPDATE account SET balance = balance + 1`)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	}
	var wg sync.WaitGroup
	wg.Go(cross("a", "b"))
	wg.Go(cross("b", "a"))
	wg.Wait()
	if tries.Load() < 3 || balance(t, s, "a") != 3 || balance(t, s, "b") != 3 {
		t.Errorf("%d tries, balances %d and %d", tries.Load(), balance(t, s, "a"), balance(t, s, "b"))
	}
}

func TestRetryRunsTheTransactionAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		s := open(accounts)
		tries := 0
		err := s.Tx(t.Context(), func(tx *store.Tx) error {
			tries++
			if err := insert("a", int64(tries))(tx); err != nil {
				return err
			}
			if tries < 3 {
				return store.ErrRetry
			}
			return nil
		})
		if err != nil || tries != 3 || balance(t, s, "a") != 3 {
			t.Errorf("%v after %d tries", err, tries)
		}
	})
}

// A caller that has gone before its turn changes nothing; one that goes while its transaction runs undoes nothing of others.
func TestCanceledCaller(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		s := open(accounts)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Tx(ctx, insert("a", 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if err := s.Tx(t.Context(), insert("b", 1)); err != nil {
			t.Fatal(err)
		}
		if n, err := count(s); err != nil || n != 1 {
			t.Errorf("%d accounts, %v", n, err)
		}
	})
}

func TestMigrations(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		s := open(accounts)
		if err := s.Tx(t.Context(), insert("a", 7)); err != nil {
			t.Fatal(err)
		}
		next := store.Schema{Name: "accounts", Steps: append(slices.Clone(accounts.Steps), `ALTER TABLE account ADD COLUMN note TEXT NOT NULL DEFAULT 'old'`)}
		var note string
		if err := open(next).QueryRow(t.Context(), `SELECT note FROM account WHERE balance = $1`, 7).Scan(&note); err != nil || note != "old" {
			t.Errorf("%q %v", note, err)
		}
		// Twice changes nothing.
		open(next)
	})
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			url := storetest.URL(t, kind)
			storetest.Open(t, url, store.Schema{Name: "accounts", Steps: append(slices.Clone(accounts.Steps), `CREATE TABLE later (n BIGINT)`)})
			for name, schemas := range map[string][]store.Schema{"more steps": {accounts}, "a part more": {}} {
				_, err := store.Open(t.Context(), url, schemas...)
				if err == nil || !strings.Contains(err.Error(), "newer version") || !strings.Contains(err.Error(), "accounts") {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func TestDatabaseFileIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b%20?#.db") // a name that a URL would read otherwise
	s := storetest.Open(t, "sqlite:"+path, accounts)
	if err := s.Tx(t.Context(), insert("a", 1)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal"} {
		if fi, err := os.Stat(name); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, fi, err)
		}
	}
}

func TestNamesOfDatabases(t *testing.T) {
	for url, want := range map[string]string{
		"mysql://root:secret@h/x":                   "sqlite:PATH or postgres://",
		"sqlite:" + t.TempDir() + "/no/such/hub.db": "no such file",
		"postgres://u:secret@127.0.0.1:1/x":         "refused",
	} {
		_, err := store.Open(t.Context(), url)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
	_, err := store.Open(t.Context(), "postgres://u@127.0.0.1:1/x")
	if !store.IsUnavailable(err) || store.IsFull(err) {
		t.Errorf("%v", err)
	}
}

// When the disk is full the transaction fails as a whole and says why, and the database goes on when there is room.
func TestFullDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.db")
	s := storetest.Open(t, "sqlite:"+path, accounts)
	limit := func(pages int) {
		t.Helper()
		if err := s.Tx(t.Context(), func(tx *store.Tx) error { return tx.Row(fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)).Scan(&pages) }); err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // SQLite makes it what there is now
	big := func(tx *store.Tx) error {
		if err := insert("b", 1)(tx); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO account (name, balance, seal) VALUES ('big', 1, $1)`, make([]byte, 1<<20))
		// One who overlooks the error writes nothing all the same.
		_, again := tx.Exec(`INSERT INTO account (name, balance) VALUES ('c', 1)`)
		if again == nil {
			t.Error("a broken transaction took another statement")
		}
		return err
	}
	if err := s.Tx(t.Context(), big); !store.IsFull(err) {
		t.Fatalf("%v", err)
	}
	if n, err := count(s); err != nil || n != 0 {
		t.Errorf("%d accounts, %v", n, err)
	}
	limit(1 << 20)
	if err := s.Tx(t.Context(), insert("a", 1)); err != nil {
		t.Error(err)
	}
}

// What Tx said is done is there after the database crashed, also of those who shared a flush.
func TestCommittedTransactionsSurviveACrash(t *testing.T) {
	url := storetest.URL(t, "postgres")
	for round := range 3 {
		s := storetest.Open(t, url, accounts)
		stop, enough := make(chan struct{}), make(chan struct{})
		var mu sync.Mutex
		var done []string
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := 0; ; i++ {
					name := fmt.Sprintf("r%d w%d i%d", round, w, i)
					if s.Tx(context.Background(), insert(name, 1)) == nil {
						mu.Lock()
						if done = append(done, name); len(done) == 200 {
							close(enough)
						}
						mu.Unlock()
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		<-enough
		storetest.Crash(t)
		close(stop)
		wg.Wait()
		for _, name := range done {
			balance(t, s, name)
		}
	}
}

func TestPagesByKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		s := open(accounts)
		var want []string
		err := s.Tx(t.Context(), func(tx *store.Tx) error {
			for i := range 25 { // upper and lower case in the order of the bytes
				name := fmt.Sprintf("%c%02d", "aAzZ-"[i%5], i)
				want = append(want, name)
				if err := insert(name, 1)(tx); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(want)
		var got []string
		last, pages := "", 0
		for more := true; more; pages++ {
			var list []string
			list, more, err = store.List(t.Context(), s, 10, func(r *sql.Rows) (n string, err error) { return n, r.Scan(&n) },
				`SELECT name FROM account WHERE name > $1 ORDER BY name LIMIT $2`, last)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, list...)
			last = list[len(list)-1]
		}
		if !slices.Equal(got, want) || pages != 3 {
			t.Errorf("%d pages: %v, want %v", pages, got, want)
		}
	})
}

func TestCursors(t *testing.T) {
	var at int64
	var name string
	if err := store.ReadCursor(store.Cursor(int64(1)<<60, "a/b"), &at, &name); err != nil || at != 1<<60 || name != "a/b" {
		t.Errorf("%d %q %v", at, name, err)
	}
	for _, bad := range []string{"", "x", "!", store.Cursor("a", 1), store.Cursor(1), strings.Repeat("A", 5000)} {
		if err := store.ReadCursor(bad, &at, &name); err == nil {
			t.Errorf("%.20q was read", bad)
		}
	}
}

func TestContainingTakesWhatIsSentAsItIs(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		s := open(accounts)
		for _, name := range []string{"a%b", "a_b", `a\b`, "axb"} {
			if err := s.Tx(t.Context(), insert(name, 1)); err != nil {
				t.Fatal(err)
			}
		}
		for part, want := range map[string]int{"": 4, "%": 1, "_": 1, `\`: 1, "a_": 1, "xb": 1, "%b": 1, "a%_": 0} {
			n := 0
			err := s.QueryRow(t.Context(), `SELECT COUNT(*) FROM account WHERE name LIKE $1 ESCAPE '\'`, store.Containing(part)).Scan(&n)
			if err != nil || n != want {
				t.Errorf("%q finds %d, %v; want %d", part, n, err, want)
			}
		}
	})
}

func TestASnapshotSeesOneState(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		s := open(accounts)
		if err := s.Tx(t.Context(), insert("a", 5)); err != nil {
			t.Fatal(err)
		}
		err := s.Snapshot(t.Context(), func(q store.Querier) error {
			if got := balance(t, q, "a"); got != 5 {
				t.Errorf("the snapshot has %d", got)
			}
			err := s.Tx(t.Context(), func(tx *store.Tx) error {
				_, err := tx.Exec(`UPDATE account SET balance = 9 WHERE name = 'a'`)
				return err
			})
			if got := balance(t, q, "a"); got != 5 {
				t.Errorf("the snapshot has %d after a change", got)
			}
			return err
		})
		if err != nil || balance(t, s, "a") != 9 {
			t.Errorf("%v, balance %d", err, balance(t, s, "a"))
		}
	})
}

func TestAClosedDatabaseHasNoOpenFile(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(dir, "hub.db"), accounts)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := s.Tx(t.Context(), insert(fmt.Sprint(i), 1)); err != nil {
			t.Fatal(err)
		}
		balance(t, s, fmt.Sprint(i))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	for _, e := range open {
		if to, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err == nil && strings.HasPrefix(to, dir) {
			t.Errorf("%s is open", to)
		}
	}
}
