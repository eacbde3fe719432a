package keep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync/atomic"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Move copies a hub to another database and storage. Nothing of the old hub is changed. Content comes first: with
// contentOnly that is all, and the old hub may serve meanwhile; a later Move copies what is new. The rows come at the end,
// in one transaction. errdef.ErrConflict if the old database changed meanwhile, and then there are no rows.
func Move(ctx context.Context, from Hub, to Place, contentOnly bool) (r Report, err error) {
	d, err := to.openDatabase(ctx, versions(from.Schemas))
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, d.db.Close()) }()
	var sums map[string]Sum
	open, remove, err := spool(to.Data, "move", func(w io.Writer) error {
		return from.DB.Snapshot(ctx, func(q store.Querier) (err error) {
			sums, err = dump(ctx, q, from.DB.Kind(), from.Schemas, w)
			return err
		})
	})
	if err != nil {
		return Report{}, fmt.Errorf("copy of the database: %w", err)
	}
	defer func() { err = errors.Join(err, remove()) }()
	r = Report{Faults: &Faults{First: []string{}}}
	done, err := openIndex(ctx, scratch(to.Data, "moved.db"))
	if err != nil {
		return r, err
	}
	m := &mover{from: from, to: to, done: done, r: &r}
	if err := m.content(ctx, open); err != nil || contentOnly || r.Faults.Count > 0 {
		return r, errors.Join(err, done.close())
	}
	if err := copyKeys(from.Data, to.Data); err != nil {
		return r, errors.Join(err, done.close())
	}
	r.Tables, err = load(ctx, d.db, d.tables, open, func(*store.Tx) error { return m.unchanged(ctx, sums) })
	if err != nil {
		return r, errors.Join(err, done.close())
	}
	r.Rows, r.Keys = rowsOf(r.Tables), true
	return r, done.remove()
}

// mover copies the content. What it has copied it remembers in a file, so that the next run need not read it again.
type mover struct {
	from Hub
	to   Place
	done *index
	r    *Report
}

func (m *mover) content(ctx context.Context, open opener) error {
	var count, bytes, copied atomic.Int64
	err := parallel(ctx, open, func(ctx context.Context, o object) error {
		count.Add(1)
		bytes.Add(o.size)
		did, err := m.object(ctx, o)
		if did {
			copied.Add(1)
		}
		return err
	})
	m.r.Objects, m.r.Bytes, m.r.Copied = int(count.Load()), bytes.Load(), copied.Load()
	return err
}

func (m *mover) object(ctx context.Context, o object) (copied bool, err error) {
	if was, _, ok, err := m.done.find(ctx, o.digest); err != nil || ok && was.location == o.location {
		return false, err
	}
	ok, err := there(ctx, m.to.Storage, o)
	if err != nil {
		return false, err
	}
	if !ok {
		if missing, err := m.copy(ctx, o); err != nil || missing {
			return false, err
		}
	}
	return !ok, m.done.add(ctx, []object{o})
}

func (m *mover) copy(ctx context.Context, o object) (missing bool, err error) {
	r, err := m.from.Storage.Reader(ctx, o.location, 0)
	if err == nil {
		err = put(ctx, m.to.Storage, o, r)
		_ = r.Close()
	}
	switch {
	case err == nil:
		return false, nil
	case errors.Is(err, errContent):
		m.r.Faults.add("%s at %s: its content is another", o.digest, o.location)
	case gone(err):
		m.r.Faults.add("%s at %s: it is missing", o.digest, o.location)
	default:
		return false, err
	}
	return true, nil
}

// unchanged refuses to end a move whose source went on.
func (m *mover) unchanged(ctx context.Context, sums map[string]Sum) error {
	tables, err := catalogue(ctx, m.from.Schemas)
	if err != nil {
		return err
	}
	kept := tables[:0]
	for _, t := range tables {
		if _, ok := sums[t.Name]; ok {
			kept = append(kept, t)
		}
	}
	var now map[string]Sum
	err = m.from.DB.Snapshot(ctx, func(q store.Querier) (err error) {
		now, err = sumsOf(ctx, q, kept)
		return err
	})
	if err == nil && !maps.Equal(now, sums) {
		err = fmt.Errorf("the hub's database changed while it was copied: stop the hub and run the command again: %w", errdef.ErrConflict)
	}
	return err
}
