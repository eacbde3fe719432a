package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
	"modernc.org/sqlite"
)

// The filled registry: a project "big" with half of the repositories, the first of which holds a twentieth of all artifacts, and
// projects of a hundred repositories each for the rest.
const (
	bigProject  = "big"
	bigRepo     = bigProject + "/app-00001"
	perProject  = 100
	fillAtOnce  = 20_000
	configSize  = 7_000
	layerSize   = 3_000_000
	baseSize    = 30_000_000
	garbageSize = 4096 // what the files of garbage hold
)

// filler writes the rows of artifacts as pushes would have left them a day ago, in bulk: each has a config and a layer of its own
// and shares a base layer with its repository; it has a tag, a manifest that names the three, and a line in the audit log. The
// digests are as good as random, and nobody can pull the content. Garbage are artifacts that were deleted: their manifests are
// gone, and their content waits for the collector, which finds its files: the configs still in their repositories, the layers
// taken from them by a run before. The lines of the log are not sealed.
type filler struct {
	db       *sql.DB
	postgres bool
	objects  string // folder of the hub's files
	n        int    // artifacts
	repos    int
	garbage  int
}

// openFiller opens the database of a hub that is not running.
func openFiller(ctx context.Context, url, dir string, n, repos, garbage int) (*filler, error) {
	f := &filler{objects: filepath.Join(dir, "objects"), n: n, repos: repos, garbage: garbage, postgres: strings.HasPrefix(url, "postgres")}
	var err error
	if f.postgres {
		f.db, err = sql.Open("pgx", url)
	} else {
		err = sqlite.RegisterDeterministicScalarFunction("hexsum", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
			s := sha256.Sum256(fmt.Append(nil, args[0]))
			return hex.EncodeToString(s[:]), nil
		})
		if err == nil {
			f.db, err = sql.Open("sqlite", "file:"+strings.TrimPrefix(url, "sqlite:")+
				"?_pragma=synchronous(0)&_pragma=cache_size(-400000)&_pragma=journal_mode(WAL)")
		}
	}
	if err != nil {
		return nil, err
	}
	f.db.SetMaxOpenConns(1)
	if f.postgres {
		_, err = f.db.ExecContext(ctx, `CREATE OR REPLACE FUNCTION hexsum(t text) RETURNS text LANGUAGE sql IMMUTABLE
			AS 'SELECT encode(sha256(t::bytea), ''hex'')';
			SET synchronous_commit = off`)
	}
	return f, err
}

// do runs statements with these words: NUMBERS is the numbers from $1 to $2, D(x) the digest of a text, REPO the repository of artifact
// i, TEXT a cast, which PostgreSQL wants.
func (f *filler) do(ctx context.Context, lo, hi int, statements ...string) error {
	repo := fmt.Sprintf(`(CASE WHEN i <= %d THEN 1 ELSE 2 + (i %% %d) END)`, f.n/20, f.repos-1)
	words := strings.NewReplacer("NUMBERS ", fmt.Sprintf(`(WITH RECURSIVE r(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM r WHERE i < %d)
		SELECT i FROM r) n `, lo, hi),
		"REPO", repo, "CONFIG", `('sha256:' || hexsum('c' || CAST(i AS TEXT)))`, "LAYER", `('sha256:' || hexsum('l' || CAST(i AS TEXT)))`,
		"MANIFEST", `('sha256:' || hexsum('m' || CAST(i AS TEXT)))`, "BASE", `('sha256:' || hexsum('b' || CAST(`+repo+` AS TEXT)))`,
		"NOW", fmt.Sprint(time.Now().Add(-24*time.Hour).UnixMilli()))
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing after Commit
	for _, q := range statements {
		q = words.Replace(q)
		if f.postgres {
			q = strings.ReplaceAll(q, "CAST(payload AS BLOB)", "convert_to(payload, 'UTF8')")
		}
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("%w: %.300s", err, q)
		}
	}
	return tx.Commit()
}

// objectOf is where the object of a digest lies.
const objectOf = `'/vic-hub/objects/' || substr(%[1]s, 8, 2) || '/' || substr(%[1]s, 8, 36)`

func located(digest string) string { return fmt.Sprintf(objectOf, digest) }

// fill writes everything into a database that has no projects but the first.
func (f *filler) fill(ctx context.Context) error {
	const project = `(CASE WHEN i <= %d THEN 100 ELSE 101 + (i - %d) / ` + "100" + ` END)`
	projectOf := fmt.Sprintf(project, f.repos/2, f.repos/2+1)
	name := fmt.Sprintf(`CASE WHEN i <= %d THEN '%s/app-' ELSE 'team-' || CAST(%s AS TEXT) || '/service-' END || substr('0000' || CAST(i AS TEXT), -5)`,
		f.repos/2, bigProject, projectOf)
	if f.postgres {
		name = strings.Replace(name, `substr('0000' || CAST(i AS TEXT), -5)`, `lpad(CAST(i AS TEXT), 5, '0')`, 1)
	}
	projects := (f.repos - f.repos/2 + perProject - 1) / perProject
	if err := f.do(ctx, 100, 100+projects,
		`INSERT INTO project (id, name, public, created, quota, repo_quota)
			SELECT i, CASE WHEN i = 100 THEN 'big' ELSE 'team-' || CAST(i AS TEXT) END, TRUE, NOW, -1, -1 FROM NUMBERS `,
	); err != nil {
		return err
	}
	if err := f.do(ctx, 1, f.repos,
		`INSERT INTO repo (id, project_id, name, created, updated) SELECT i, `+projectOf+`, `+name+`, NOW, NOW FROM NUMBERS `,
		`INSERT INTO blob (digest, size, location)
			SELECT d, `+fmt.Sprint(baseSize)+`, `+located("d")+` FROM (SELECT ('sha256:' || hexsum('b' || CAST(i AS TEXT))) AS d FROM NUMBERS ) x`,
		`INSERT INTO repo_blob (repo_id, digest) SELECT i, ('sha256:' || hexsum('b' || CAST(i AS TEXT))) FROM NUMBERS `,
		`INSERT INTO project_blob (project_id, digest, links) SELECT `+projectOf+`, ('sha256:' || hexsum('b' || CAST(i AS TEXT))), 1 FROM NUMBERS `); err != nil {
		return err
	}
	for lo := 1; lo <= f.n; lo += fillAtOnce {
		if err := f.artifacts(ctx, lo, min(lo+fillAtOnce-1, f.n)); err != nil {
			return err
		}
	}
	for lo := f.n + 1; lo <= f.n+f.garbage; lo += fillAtOnce {
		if err := f.waste(ctx, lo, min(lo+fillAtOnce-1, f.n+f.garbage)); err != nil {
			return err
		}
	}
	return f.finish(ctx)
}

// content are the statements for what a push of blobs leaves.
func content(digests ...string) []string {
	var all []string
	for _, digest := range digests {
		size := map[string]int{"CONFIG": configSize, "LAYER": layerSize}[digest]
		all = append(all,
			`INSERT INTO blob (digest, size, location) SELECT d, `+fmt.Sprint(size)+`, `+located("d")+` FROM (SELECT `+digest+` AS d FROM NUMBERS ) x`,
			`INSERT INTO repo_blob (repo_id, digest) SELECT REPO, `+digest+` FROM NUMBERS `,
			`INSERT INTO project_blob (project_id, digest, links)
				SELECT r.project_id, x.d, 1 FROM (SELECT REPO AS k, `+digest+` AS d FROM NUMBERS ) x JOIN repo r ON r.id = x.k`)
	}
	return all
}

func (f *filler) artifacts(ctx context.Context, lo, hi int) error {
	payload := `'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json",` +
		`"digest":"' || CONFIG || '","size":7000},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"' || BASE || '","size":30000000},` +
		`{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"' || LAYER || '","size":3000000}]}'`
	all := append(content("CONFIG", "LAYER"),
		`INSERT INTO manifest (id, repo_id, digest, media_type, artifact_type, annotations, size, total, pushed, pushed_by) SELECT i, REPO, MANIFEST,
			'application/vnd.oci.image.manifest.v1+json', 'application/vnd.oci.image.config.v1+json', 'null', 600, 33007600, NOW - 1000 * (`+fmt.Sprint(f.n)+` - i),
			'dev' || CAST(i % 50 AS TEXT) FROM NUMBERS `,
		`INSERT INTO manifest_payload (manifest_id, payload) SELECT i, CAST(payload AS BLOB) FROM (SELECT i, `+payload+` AS payload FROM NUMBERS ) x`,
		`INSERT INTO tag (repo_id, name, manifest_id, pushed) SELECT REPO, 'v1.' || CAST(i AS TEXT), i, NOW FROM NUMBERS `,
		`INSERT INTO audit_line (at, caller, caller_kind, address, agent, operation, resource_type, resource, project, outcome, detail)
			SELECT NOW - 1000 * (`+fmt.Sprint(f.n)+` - x.i), 'dev' || CAST(x.i % 50 AS TEXT), 'token', '10.0.0.' || CAST(x.i % 250 AS TEXT), 'docker/28.0.1',
			'push', 'artifact', 			r.name || '@' || x.d, r.project_id, 200, 'v1.' || CAST(x.i AS TEXT) FROM (SELECT i, REPO AS k, MANIFEST AS d FROM NUMBERS ) x
			JOIN repo r ON r.id = x.k ORDER BY x.i`)
	for _, digest := range []string{"CONFIG", "LAYER", "BASE"} {
		all = append(all, `INSERT INTO manifest_ref (manifest_id, repo_id, digest) SELECT i, REPO, `+digest+` FROM NUMBERS `)
	}
	return f.do(ctx, lo, hi, all...)
}

// waste writes artifacts that were deleted, and their files.
func (f *filler) waste(ctx context.Context, lo, hi int) error {
	all := content("CONFIG")
	all = append(all, `INSERT INTO trash (location, size, due, partial)
		SELECT `+located("d")+`, `+fmt.Sprint(layerSize)+`, NOW, FALSE FROM (SELECT LAYER AS d FROM NUMBERS ) x`)
	for _, digest := range []string{"CONFIG", "LAYER", "BASE"} {
		for _, kind := range []string{"blob", "untagged"} {
			all = append(all, `INSERT INTO review (repo_id, kind, digest, since, due)
				SELECT DISTINCT REPO, '`+kind+`', `+digest+`, NOW, NOW FROM NUMBERS WHERE TRUE ON CONFLICT DO NOTHING`)
		}
	}
	if err := f.do(ctx, lo, hi, all...); err != nil {
		return err
	}
	for i := lo; i <= hi; i++ {
		for _, kind := range []string{"c", "l"} {
			s := sha256.Sum256(fmt.Appendf(nil, "%s%d", kind, i))
			name := hex.EncodeToString(s[:])
			path := filepath.Join(f.objects, "vic-hub", "objects", name[:2], name[:36])
			err := os.WriteFile(path, make([]byte, garbageSize), 0o600)
			if os.IsNotExist(err) {
				if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
					err = os.WriteFile(path, make([]byte, garbageSize), 0o600)
				}
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// finish writes what is counted, and has the database look at what it holds.
func (f *filler) finish(ctx context.Context) error {
	all := []string{
		`UPDATE repo SET manifests = (SELECT COUNT(*) FROM manifest m WHERE m.repo_id = repo.id)`,
		`UPDATE project SET repos = (SELECT COUNT(*) FROM repo r WHERE r.project_id = project.id), used =
			COALESCE((SELECT SUM(b.size) FROM project_blob p JOIN blob b ON b.digest = p.digest WHERE p.project_id = project.id), 0)
			+ COALESCE((SELECT SUM(600 * r.manifests) FROM repo r WHERE r.project_id = project.id), 0)`,
	}
	if f.postgres {
		for _, t := range []string{"project", "repo", "manifest"} {
			all = append(all, fmt.Sprintf(`SELECT setval(pg_get_serial_sequence('%[1]s', 'id'), (SELECT MAX(id) FROM %[1]s))`, t))
		}
	}
	if err := f.do(ctx, 1, 1, all...); err != nil {
		return err
	}
	done := `PRAGMA wal_checkpoint(TRUNCATE)`
	if f.postgres {
		done = `VACUUM ANALYZE`
	}
	_, err := f.db.ExecContext(ctx, done)
	return err
}

// size is how large the database is, in bytes.
func (f *filler) size(ctx context.Context) (n int64, err error) {
	query := `SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`
	if f.postgres {
		query = `SELECT pg_database_size(current_database())`
	}
	return n, f.db.QueryRowContext(ctx, query).Scan(&n)
}
