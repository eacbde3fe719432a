package notary

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/theupdateframework/notary/tuf/data"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// repo is a repository that has metadata, or keys to begin with.
type repo struct {
	id  int64
	gun data.GUN
}

// update is one role's metadata.
type update struct {
	role    data.RoleName
	version int
	content []byte
}

// lock finds the repository of a name and locks its row; with make it is made if it is not there. sql.ErrNoRows.
func (n *Notary) lock(tx *store.Tx, project int64, name string, gun data.GUN, makeIt bool) (*repo, error) {
	if makeIt {
		if err := n.room(tx, project, name); err != nil {
			return nil, err
		}
		_, err := tx.Exec(`INSERT INTO tuf_repo (project, name, gun, made) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING`, project, name,
			gun.String(), n.o.Now().UnixMilli())
		if err != nil {
			return nil, err
		}
	}
	x := &repo{}
	var made string
	if err := tx.Lock(`SELECT id, gun FROM tuf_repo WHERE name = $1`, name).Scan(&x.id, &made); err != nil {
		return nil, err
	}
	x.gun = data.GUN(made)
	if makeIt && x.gun != gun {
		var published int
		if err := tx.Row(`SELECT COUNT(*) FROM tuf_meta WHERE repo = $1`, x.id).Scan(&published); err != nil {
			return nil, err
		}
		if published > 0 {
			return nil, fmt.Errorf("the repository was first signed as %s: sign it by that name: %w", x.gun, errdef.ErrInvalid)
		}
		x.gun = gun
		_, err := tx.Exec(`UPDATE tuf_repo SET gun = $1 WHERE id = $2`, gun.String(), x.id)
		return x, err
	}
	return x, nil
}

// room sees that a project does not get too many, after those are removed for which nothing was published.
func (n *Notary) room(tx *store.Tx, project int64, name string) error {
	_, err := tx.Exec(`DELETE FROM tuf_repo WHERE project = $1 AND name <> $2 AND made < $3 AND NOT EXISTS (SELECT 1 FROM tuf_meta WHERE repo = tuf_repo.id)`,
		project, name, n.o.Now().Add(-unpublished).UnixMilli())
	if err != nil {
		return err
	}
	var others int
	if err := tx.Row(`SELECT COUNT(*) FROM tuf_repo WHERE project = $1 AND name <> $2`, project, name).Scan(&others); err != nil {
		return err
	}
	if others >= maxRepos {
		return fmt.Errorf("a project has at most %d repositories that are signed: %w", maxRepos, errdef.ErrExhausted)
	}
	return nil
}

// current is the latest version of a role; sql.ErrNoRows.
func (x *repo) current(tx *store.Tx, role data.RoleName) (version int, content []byte, err error) {
	err = tx.Row(`SELECT version, content FROM tuf_meta WHERE repo = $1 AND role = $2 ORDER BY version DESC LIMIT 1`, x.id, role.String()).Scan(&version, &content)
	return version, content, err
}

// roles are those that the repository has metadata of.
func (x *repo) roles(tx *store.Tx) (map[string]bool, error) {
	rows, err := tx.Query(tx.Context(), `SELECT DISTINCT role FROM tuf_meta WHERE repo = $1`, x.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	l := map[string]bool{}
	for rows.Next() {
		var r string
		if err := rows.Scan(&r); err != nil {
			return nil, err
		}
		l[r] = true
	}
	return l, rows.Err()
}

// errOld: somebody else was quicker, or tries to go back.
var errOld = errors.New("a newer version of the metadata is already there: run the command again")

// keep writes new versions. Each is newer than what is there.
func (n *Notary) keep(tx *store.Tx, x *repo, updates []update) error {
	roles, err := x.roles(tx)
	if err != nil {
		return err
	}
	for _, u := range updates {
		if roles[u.role.String()] = true; len(roles) > maxRoles {
			return fmt.Errorf("a repository has at most %d roles: %w", maxRoles, errdef.ErrExhausted)
		}
		last, _, err := x.current(tx, u.role)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if u.version <= last {
			return fmt.Errorf("%s: version %d: %w", u.role, u.version, errOld)
		}
		sum := sha256.Sum256(u.content)
		_, err = tx.Exec(`INSERT INTO tuf_meta (repo, role, version, sum, content, made) VALUES ($1, $2, $3, $4, $5, $6)`, x.id, u.role.String(), u.version,
			hex.EncodeToString(sum[:]), u.content, n.o.Now().UnixMilli())
		if err != nil {
			return err
		}
		if u.role == data.CanonicalRootRole {
			if u.version > maxRoots {
				return fmt.Errorf("a root has at most %d versions: %w", maxRoots, errdef.ErrExhausted)
			}
			continue
		}
		_, err = tx.Exec(`DELETE FROM tuf_meta WHERE repo = $1 AND role = $2 AND version NOT IN
			(SELECT version FROM tuf_meta WHERE repo = $1 AND role = $2 ORDER BY version DESC LIMIT $3)`, x.id, u.role.String(), keptOlder)
		if err != nil {
			return err
		}
	}
	var bytes int64
	if err := tx.Row(`SELECT SUM(LENGTH(content)) FROM tuf_meta WHERE repo = $1`, x.id).Scan(&bytes); err != nil {
		return err
	}
	if bytes > maxKept {
		return fmt.Errorf("the metadata of a repository have at most %d bytes: %w", maxKept, errdef.ErrExhausted)
	}
	return nil
}

// read finds a role's metadata: the latest, one of a version above 0, or one of a sum. errdef.ErrNotFound.
func (n *Notary) read(ctx context.Context, name string, f file) (content []byte, err error) {
	const from = `SELECT m.content FROM tuf_meta m JOIN tuf_repo r ON r.id = m.repo WHERE r.name = $1 AND m.role = $2`
	query, args := from+` ORDER BY m.version DESC LIMIT 1`, []any{name, f.role.String()}
	switch {
	case f.sum != "":
		query, args = from+` AND m.sum = $3`, append(args, f.sum)
	case f.version > 0:
		query, args = from+` AND m.version = $3`, append(args, f.version)
	}
	err = n.o.DB.QueryRow(ctx, query, args...).Scan(&content)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%s has no such metadata of %s: %w", name, f.role, errdef.ErrNotFound)
	}
	return content, err
}
