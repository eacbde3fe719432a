package notary

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/docker/go/canonical/json"
	"github.com/theupdateframework/notary/trustpinning"
	"github.com/theupdateframework/notary/tuf"
	"github.com/theupdateframework/notary/tuf/data"
	"github.com/theupdateframework/notary/tuf/signed"
	"github.com/theupdateframework/notary/tuf/validation"

	"github.com/openvic/vic/core/store"
)

// publish takes what a client has signed, with the snapshot and timestamp that follow from it: all of it, or nothing. Errors of
// package validation are the client's.
func (n *Notary) publish(ctx context.Context, project int64, name string, gun data.GUN, updates []update) error {
	return n.o.DB.Tx(ctx, func(tx *store.Tx) error {
		x, err := n.lock(tx, project, name, gun, true)
		if err != nil {
			return err
		}
		ring, err := n.keys(tx, x.id)
		if err != nil {
			return err
		}
		v := &validator{tx: tx, repo: x, builder: tuf.NewRepoBuilder(x.gun, ring, trustpinning.TrustPinConfig{}), given: map[data.RoleName]update{}}
		for _, u := range updates {
			v.given[u.role] = u
		}
		all, err := v.validate()
		if err != nil {
			return err
		}
		if err := n.keep(tx, x, all); err != nil {
			return err
		}
		return n.settle(tx, x, ring)
	})
}

// validator checks one publication against what is there.
type validator struct {
	tx      *store.Tx
	repo    *repo
	builder tuf.RepoBuilder
	given   map[data.RoleName]update
}

// load puts a role's latest metadata into the builder; none is no error here, since what builds on it fails then. That it has ended
// does not matter: it may be what the publication is about.
func (v *validator) load(role data.RoleName) error {
	_, content, err := v.repo.current(v.tx, role)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := v.builder.Load(role, content, 1, true); err != nil {
		return validation.ErrBadHierarchy{Missing: role.String(), Msg: "what is published does not go with " + role.String() + " as it is: " + err.Error()}
	}
	return nil
}

func (v *validator) validate() (all []update, err error) {
	if err := v.load(data.CanonicalRootRole); err != nil {
		return nil, err
	}
	if root, ok := v.given[data.CanonicalRootRole]; ok {
		last := v.builder.GetLoadedVersion(data.CanonicalRootRole)
		if root.version != last && root.version != last+1 {
			return nil, validation.ErrBadRoot{Msg: "the version of the root is not the next one"}
		}
		v.builder = v.builder.BootstrapNewBuilder()
		if err := v.builder.Load(data.CanonicalRootRole, root.content, last, false); err != nil {
			return nil, validation.ErrBadRoot{Msg: err.Error()}
		}
		all = append(all, root)
	} else if !v.builder.IsLoaded(data.CanonicalRootRole) {
		return nil, validation.ErrValidation{Msg: "there is no root yet, and none is published"}
	}
	targets, err := v.targets()
	if err != nil {
		return nil, err
	}
	all = append(all, targets...)
	snapshot, err := v.snapshot()
	if err != nil {
		return nil, err
	}
	timestamp, err := v.timestamp()
	if err != nil {
		return nil, err
	}
	return append(all, snapshot, timestamp), nil
}

// byDepth orders roles so that each comes after those above it.
func byDepth(a, b data.RoleName) int {
	return cmp.Or(cmp.Compare(strings.Count(a.String(), "/"), strings.Count(b.String(), "/")), cmp.Compare(a, b))
}

// targets checks those and the delegations below them, each with the ones above it.
func (v *validator) targets() (all []update, err error) {
	var roles []data.RoleName
	for r := range v.given {
		if r == data.CanonicalTargetsRole || data.IsDelegation(r) {
			roles = append(roles, r)
		}
	}
	slices.SortFunc(roles, byDepth)
	for _, role := range roles {
		var above []data.RoleName
		for r := role; r != data.CanonicalTargetsRole; {
			if r = r.Parent(); !v.builder.IsLoaded(r) {
				above = append(above, r)
			}
		}
		slices.Reverse(above)
		for _, r := range above {
			if err := v.load(r); err != nil {
				return nil, err
			}
		}
		if err := v.builder.Load(role, v.given[role].content, 1, false); err != nil {
			return nil, validation.ErrBadTargets{Msg: err.Error()}
		}
		all = append(all, v.given[role])
	}
	return all, nil
}

// snapshot is the client's own, or the hub signs one.
func (v *validator) snapshot() (update, error) {
	if u, ok := v.given[data.CanonicalSnapshotRole]; ok {
		if err := v.builder.Load(u.role, u.content, 1, false); err != nil {
			return u, validation.ErrBadSnapshot{Msg: err.Error()}
		}
		return u, nil
	}
	var last *data.SignedSnapshot
	_, content, err := v.repo.current(v.tx, data.CanonicalSnapshotRole)
	if err == nil {
		last = &data.SignedSnapshot{}
		err = json.Unmarshal(content, last)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return update{}, err
	}
	content, version, err := v.builder.GenerateSnapshot(last)
	if noKey(err) {
		return update{}, validation.ErrBadHierarchy{Missing: data.CanonicalSnapshotRole.String(), Msg: "no snapshot is published, and the hub has not its key"}
	}
	if err != nil {
		return update{}, validation.ErrValidation{Msg: err.Error()}
	}
	return update{data.CanonicalSnapshotRole, version, content}, nil
}

// timestamp is signed by the hub.
func (v *validator) timestamp() (update, error) {
	var last *data.SignedTimestamp
	_, content, err := v.repo.current(v.tx, data.CanonicalTimestampRole)
	if err == nil {
		last = &data.SignedTimestamp{}
		err = json.Unmarshal(content, last)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return update{}, err
	}
	content, version, err := v.builder.GenerateTimestamp(last)
	if noKey(err) {
		return update{}, validation.ErrBadRoot{Msg: "the root names a key for timestamps that the hub does not have"}
	}
	if err != nil {
		return update{}, validation.ErrValidation{Msg: err.Error()}
	}
	return update{data.CanonicalTimestampRole, version, content}, nil
}

// noKey says whether the hub could not sign.
func noKey(err error) bool {
	var few signed.ErrInsufficientSignatures
	var none signed.ErrNoKeys
	var threshold signed.ErrRoleThreshold
	return errors.As(err, &few) || errors.As(err, &none) || errors.As(err, &threshold)
}

// settle writes down what is signed now, and removes keys that no root needs.
func (n *Notary) settle(tx *store.Tx, x *repo, ring *keyring) error {
	for _, role := range []data.RoleName{data.CanonicalSnapshotRole, data.CanonicalTimestampRole} {
		named, err := n.named(tx, x, role)
		if err != nil {
			return err
		}
		for _, id := range ring.ListKeys(role) {
			if named[id] {
				continue
			}
			if _, err := tx.Exec(`DELETE FROM tuf_key WHERE repo = $1 AND id = $2`, x.id, id); err != nil {
				return err
			}
		}
	}
	return n.note(tx, x)
}

// signedTag is a row of tuf_target.
type signedTag struct{ role, tag string }

type signedAs struct {
	digest, keys string
	expires      int64
}

// note brings tuf_target to what is valid now: most of it stays as it is.
func (n *Notary) note(tx *store.Tx, x *repo) error {
	now := map[signedTag]signedAs{}
	valid := n.valid(tx, x)
	for role, targets := range valid.targets {
		var ids []string
		for _, s := range targets.Signatures {
			ids = append(ids, s.KeyID)
		}
		end := min(targets.Signed.Expires.UnixMilli(), valid.expires)
		for tag, meta := range targets.Signed.Targets {
			if sum := meta.Hashes["sha256"]; len(tag) <= maxTag && len(sum) > 0 {
				now[signedTag{role.String(), tag}] = signedAs{"sha256:" + hex.EncodeToString(sum), strings.Join(ids, " "), end}
			}
		}
	}
	before, err := noted(tx, x)
	if err != nil {
		return err
	}
	for t, as := range before {
		if now[t] == as {
			delete(now, t)
			continue
		}
		if _, err := tx.Exec(`DELETE FROM tuf_target WHERE repo = $1 AND role = $2 AND tag = $3`, x.id, t.role, t.tag); err != nil {
			return err
		}
	}
	for t, as := range now {
		_, err := tx.Exec(`INSERT INTO tuf_target (repo, role, tag, digest, expires, keys, made) VALUES ($1, $2, $3, $4, $5, $6, $7)`, x.id, t.role, t.tag,
			as.digest, as.expires, as.keys, n.o.Now().UnixMilli())
		if err != nil {
			return err
		}
	}
	return nil
}

// noted is what is in tuf_target of a repository.
func noted(tx *store.Tx, x *repo) (map[signedTag]signedAs, error) {
	rows, err := tx.Query(tx.Context(), `SELECT role, tag, digest, keys, expires FROM tuf_target WHERE repo = $1`, x.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[signedTag]signedAs{}
	for rows.Next() {
		var t signedTag
		var as signedAs
		if err := rows.Scan(&t.role, &t.tag, &as.digest, &as.keys, &as.expires); err != nil {
			return nil, err
		}
		all[t] = as
	}
	return all, rows.Err()
}

// validTargets are those of the roles that docker's clients read, until the root or the targets above them end.
type validTargets struct {
	targets map[data.RoleName]*data.SignedTargets
	expires int64
}

// valid are the targets that docker's clients read, as far as the keys that are trusted for them now have signed them: a delegation
// whose signer was removed is none, until somebody else signs it.
func (n *Notary) valid(tx *store.Tx, x *repo) (v validTargets) {
	b := tuf.NewRepoBuilder(x.gun, nil, trustpinning.TrustPinConfig{})
	for _, role := range []data.RoleName{data.CanonicalRootRole, data.CanonicalTargetsRole, roleReleases} {
		_, content, err := x.current(tx, role)
		if err != nil || b.Load(role, content, 1, false) != nil {
			break // what builds on it is not valid either
		}
	}
	r, _, err := b.Finish()
	if err != nil || r.Root == nil || r.Targets[data.CanonicalTargetsRole] == nil {
		return v
	}
	v.expires = min(r.Root.Signed.Expires.UnixMilli(), r.Targets[data.CanonicalTargetsRole].Signed.Expires.UnixMilli())
	v.targets = map[data.RoleName]*data.SignedTargets{}
	for role, t := range r.Targets {
		if role == data.CanonicalTargetsRole || role == roleReleases {
			v.targets[role] = t
		}
	}
	return v
}

// renew signs a new timestamp, and a new snapshot if the hub keeps its key and it ends, when the timestamp ends soon.
func (n *Notary) renew(ctx context.Context, name string) error {
	return n.o.DB.Tx(ctx, func(tx *store.Tx) error {
		x, err := n.lock(tx, 0, name, "", false)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		_, content, err := x.current(tx, data.CanonicalTimestampRole)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil || !n.ends(content) { // somebody else was quicker
			return err
		}
		ring, err := n.keys(tx, x.id)
		if err != nil {
			return err
		}
		v := &validator{tx: tx, repo: x, builder: tuf.NewRepoBuilder(x.gun, ring, trustpinning.TrustPinConfig{})}
		if err := v.load(data.CanonicalRootRole); err != nil {
			return err
		}
		all, err := v.again(n)
		if err != nil {
			return err
		}
		return n.keep(tx, x, all)
	})
}

// again makes what of snapshot and timestamp ends soon anew.
func (v *validator) again(n *Notary) (all []update, err error) {
	_, content, err := v.repo.current(v.tx, data.CanonicalSnapshotRole)
	if err != nil {
		return nil, err
	}
	if n.ends(content) {
		u, err := v.snapshot()
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	} else if err := v.builder.Load(data.CanonicalSnapshotRole, content, 1, true); err != nil {
		return nil, err
	}
	u, err := v.timestamp()
	return append(all, u), err
}

// ends says whether metadata end soon.
func (n *Notary) ends(content []byte) bool {
	var m data.SignedMeta
	return json.Unmarshal(content, &m) == nil && m.Signed.Expires.Before(n.o.Now().Add(renewBefore))
}
