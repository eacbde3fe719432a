package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Schema is the tables of one part of the hub. Steps are only ever added: the version of a database is how many of them
// it has seen. These words stand for what the databases write in different ways:
//
//	@id         a column that numbers the rows itself, and never gives a number twice
//	@key        the primary key of rows that have the number of another table's
//	@ascii      TEXT in the order of its bytes, for names that are listed by key
//	@bytes      bytes
//	@clustered  after the closing bracket: the rows lie in the order of the primary key, where the database can
type Schema struct {
	Name  string
	Steps []string // each one or more statements, run in one transaction
	// Watched are tables, or "table(column, column)", whose changes show in the stamp: what Remember keeps is read of them.
	Watched []string
}

// migrationLock is the number under which processes that start together wait for one another on PostgreSQL.
const migrationLock = 0x766963687562

// migrate runs the steps that the database has not seen, in the order of the schemas.
func (s *Store) migrate(ctx context.Context, schemas []Schema) error {
	return s.Tx(ctx, func(tx *Tx) error {
		if s.Kind() == "postgres" {
			if _, err := tx.Exec(`SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
				return fmt.Errorf("database schema: %w", err)
			}
		}
		_, err := tx.Exec(`CREATE TABLE IF NOT EXISTS schema_version (name TEXT PRIMARY KEY, version BIGINT NOT NULL)`)
		if err != nil {
			return fmt.Errorf("database schema: %w", err)
		}
		versions, err := readVersions(tx)
		if err != nil {
			return fmt.Errorf("database schema: %w", err)
		}
		if err := refuseNewer(versions, schemas); err != nil {
			return err
		}
		for _, sc := range schemas {
			if err := sc.apply(tx, versions[sc.Name]); err != nil {
				return err
			}
		}
		var watched []string
		for _, sc := range schemas {
			watched = append(watched, sc.Watched...)
		}
		return s.watch(tx, watched)
	})
}

func readVersions(tx *Tx) (map[string]int, error) {
	rows, err := tx.Query(tx.ctx, `SELECT name, version FROM schema_version`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	versions := map[string]int{}
	for rows.Next() {
		var name string
		var version int
		if err := rows.Scan(&name, &version); err != nil {
			return nil, err
		}
		versions[name] = version
	}
	return versions, rows.Err()
}

func refuseNewer(versions map[string]int, schemas []Schema) error {
	const advice = "start the version that wrote it, or restore a backup from before the upgrade"
	for name, version := range versions {
		i := slices.IndexFunc(schemas, func(sc Schema) bool { return sc.Name == name })
		if i < 0 {
			return fmt.Errorf("the database was written by a newer version of this program: it has %q, which this version does not know; %s", name, advice)
		}
		if known := len(schemas[i].Steps); version > known {
			return fmt.Errorf("the database was written by a newer version of this program: its %q has version %d and this version knows %d; %s", name, version,
				known, advice)
		}
	}
	return nil
}

func (sc Schema) apply(tx *Tx, from int) error {
	for i := from; i < len(sc.Steps); i++ {
		if _, err := tx.Exec(strings.TrimSpace(tx.d.words.Replace(sc.Steps[i]))); err != nil {
			return fmt.Errorf("database schema %q, step %d: %w", sc.Name, i+1, err)
		}
	}
	_, err := tx.Exec(`INSERT INTO schema_version (name, version) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET version = excluded.version`, sc.Name,
		len(sc.Steps))
	if err != nil {
		return fmt.Errorf("database schema %q: %w", sc.Name, err)
	}
	return nil
}
