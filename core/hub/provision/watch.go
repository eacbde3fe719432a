package provision

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/openvic/vic/core/hub/fleet"
	"github.com/openvic/vic/core/hub/vchs"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Times of the watch.
const (
	sweepEvery = time.Minute
	settle     = 2 * time.Minute // after which a container that was made is seen, if it is there
	sweepBatch = 500
)

// Run gives back what provisions hold whose containers are removed, and ends requests that nobody has decided about, until ctx
// ends. Several hubs may do so at once: each row is changed by one of them.
func (p *Provisions) Run(ctx context.Context) {
	ticks := time.NewTicker(sweepEvery)
	defer ticks.Stop()
	_, _, next := p.o.Fleet.Snapshot(func(vchs.VCH) bool { return false })
	for {
		list, more, err := p.o.Fleet.Since(next)
		if errors.Is(err, errdef.ErrNotFound) { // the sweep finds what was missed
			_, _, next = p.o.Fleet.Snapshot(func(vchs.VCH) bool { return false })
			continue
		}
		next += uint64(len(list))
		for _, c := range list {
			if c.Kind == fleet.KindRemoved {
				p.try(ctx, func() error { return p.removed(ctx, c.VCH, c.ID) })
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-more:
		case <-ticks.C:
			p.try(ctx, func() error { return p.sweep(ctx) })
		}
	}
}

func (p *Provisions) try(ctx context.Context, f func() error) {
	if err := f(); err != nil && ctx.Err() == nil {
		p.o.Log.Warn("what provisions hold cannot be looked at; it is tried again", "err", err)
	}
}

// removed ends a provision whose container is gone from its VCH; what another VCH says of that ID means nothing.
func (p *Provisions) removed(ctx context.Context, vch int64, container string) error {
	return p.o.DB.Tx(ctx, func(tx *store.Tx) error {
		x, err := scan(tx.Lock(selectProvision+` WHERE container = $1 AND vch = $2 AND status = 'done' ORDER BY id LIMIT 1`, container, vch).Scan)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // it was made by others
		}
		if err != nil {
			return err
		}
		x.Status = Removed
		if err := p.set(tx, &x); err != nil {
			return err
		}
		return release(tx, x.Project, x.Size)
	})
}

// sweep ends requests that nobody has decided about, and provisions whose containers went while nobody looked.
func (p *Provisions) sweep(ctx context.Context) error {
	now := p.o.Now()
	err := p.o.DB.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE provision SET status = 'expired', updated = $1, sealed_body = $2 WHERE status = 'waiting' AND expires < $1`, now.Unix(), []byte{})
		return err
	})
	if err != nil {
		return err
	}
	states, containers, _ := p.o.Fleet.Snapshot(func(vchs.VCH) bool { return true })
	type place struct {
		vch int64
		id  string
	}
	there, up := map[place]bool{}, map[int64]bool{}
	for _, c := range containers {
		there[place{c.VCH, c.ID}] = true
	}
	for _, s := range states {
		up[s.ID] = s.Up
	}
	for after := int64(0); ; {
		list, more, err := store.List(ctx, p.o.DB, sweepBatch, func(r *sql.Rows) (Provision, error) { return scan(r.Scan) },
			selectProvision+` WHERE status = 'done' AND id > $1 AND updated < $2 ORDER BY id LIMIT $3`, after, now.Add(-settle).Unix())
		if err != nil {
			return err
		}
		for _, x := range list {
			after = x.ID
			if there[place{x.VCH, x.Container}] {
				continue
			}
			gone, err := p.vchIsUpOrGone(ctx, x.VCH, up)
			if err == nil && gone {
				err = p.removed(ctx, x.VCH, x.Container)
			}
			if err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
	}
}

// vchIsUpOrGone says whether a container that is not seen on a VCH is not there: the VCH answers, or the hub has forgotten it.
// Of one that is away, or that this hub has not looked at yet, nobody knows.
func (p *Provisions) vchIsUpOrGone(ctx context.Context, vch int64, up map[int64]bool) (bool, error) {
	if answers, known := up[vch]; known {
		return answers, nil
	}
	_, err := p.o.VCHs.Get(ctx, vch)
	if errors.Is(err, errdef.ErrNotFound) {
		return true, nil
	}
	return false, err
}
