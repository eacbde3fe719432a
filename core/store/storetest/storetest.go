// Package storetest gives tests of the hub databases to run on: SQLite in the test's folder, and PostgreSQL in a
// cluster of the test process's own, on a Unix socket in a temporary folder. A package whose tests use it has
//
//	func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }
package storetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/openvic/vic/core/store"
)

// Each runs a test on each kind of database. open makes the store anew each time on the same database: the first call
// finds it empty. Where PostgreSQL is not installed its run is skipped, but never in CI.
func Each(t *testing.T, test func(t *testing.T, open func(...store.Schema) *store.Store)) {
	t.Helper()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			url := URL(t, kind)
			test(t, func(schemas ...store.Schema) *store.Store {
				t.Helper()
				return Open(t, url, schemas...)
			})
		})
	}
}

// Open opens a store that is closed with the test.
func Open(t testing.TB, url string, schemas ...store.Schema) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, schemas...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// URL names an empty database of a kind that goes with the test.
func URL(t testing.TB, kind string) string {
	t.Helper()
	if kind == "sqlite" {
		return "sqlite:" + filepath.Join(t.TempDir(), "hub.db")
	}
	c, err := cluster()
	if err != nil {
		if os.Getenv("CI") == "" && os.IsNotExist(err) {
			t.Skipf("no PostgreSQL: %v (contrib/dev/deps.sh tests installs it)", err)
		}
		t.Fatal(err)
	}
	name, err := c.create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.drop(context.WithoutCancel(t.Context()), name); err != nil {
			t.Error(err)
		}
	})
	return c.url(name)
}

// Administer runs a statement as PostgreSQL's superuser, outside of the databases of tests.
func Administer(t testing.TB, statement string) {
	t.Helper()
	c, err := cluster()
	if err == nil {
		err = c.exec(t.Context(), statement)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Crash ends PostgreSQL as a fault would, with what it has not written, and starts it again.
func Crash(t testing.TB) {
	t.Helper()
	c, err := cluster()
	if err == nil {
		err = c.crash()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Away stops PostgreSQL, runs f, and starts it again.
func Away(t testing.TB, f func()) {
	t.Helper()
	c, err := cluster()
	if err == nil {
		err = c.halt()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.serve(); err != nil {
			t.Error(err)
		}
	}()
	f()
}

// Main runs the tests and stops the cluster if one of them started it.
func Main(m *testing.M) int {
	code := m.Run()
	if started != nil {
		if err := started.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "PostgreSQL:", err)
			return max(code, 1)
		}
	}
	return code
}
