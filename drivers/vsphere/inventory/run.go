package inventory

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/session"
)

const (
	pollSeconds = 30               // of one long poll
	pollSlack   = 30 * time.Second // after which a poll without an answer is given up
	firstWait   = 100 * time.Millisecond
	longestWait = 5 * time.Second
)

// Run keeps the cache up to date until ctx ends. When the session or the connection breaks it
// starts again with a snapshot.
func (i *Inventory) Run(ctx context.Context) {
	wait, level := firstWait, slog.LevelWarn
	for ctx.Err() == nil {
		begun := time.Now()
		err := i.collect(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, context.Canceled) { // there is a new session
			wait = firstWait
			continue
		}
		i.setHealth(err)
		if time.Since(begun) > time.Minute {
			wait, level = firstWait, slog.LevelWarn
		}
		i.log.Log(ctx, level, "the watch on the VMs broke; starting it again", "err", err)
		level = slog.LevelDebug // while it does not come up
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, longestWait)
	}
}

// collect makes a collector and a filter, and polls until something breaks or the session
// that they belong to is replaced.
func (i *Inventory) collect(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	renewed := i.session.Renewed()
	go func() {
		select {
		case <-renewed:
			cancel()
		case <-ctx.Done():
		}
	}()
	c := i.session.Client()
	res, err := methods.CreatePropertyCollector(ctx, c, &types.CreatePropertyCollector{This: c.ServiceContent.PropertyCollector})
	if err != nil {
		return session.Error("make a property collector", err)
	}
	pc := res.Returnval
	defer cleanup(func(ctx context.Context) {
		_, _ = methods.DestroyPropertyCollector(ctx, c, &types.DestroyPropertyCollector{This: pc})
	})
	if _, err := methods.CreateFilter(ctx, c, &types.CreateFilter{This: pc, Spec: i.filter()}); err != nil {
		return session.Error("make a property filter", err)
	}
	return i.poll(ctx, pc)
}

// cleanup runs f with a context of its own: the caller's may have ended.
func cleanup(f func(context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	f(ctx)
}

// filter follows the pool's own list of VMs, so that VMs enter and leave by themselves.
func (i *Inventory) filter() types.PropertyFilterSpec {
	return types.PropertyFilterSpec{
		ObjectSet: []types.ObjectSpec{{
			Obj:       i.pool,
			Skip:      types.NewBool(true),
			SelectSet: []types.BaseSelectionSpec{&types.TraversalSpec{Type: i.pool.Type, Path: "vm"}},
		}},
		PropSet: []types.PropertySpec{{Type: "VirtualMachine", PathSet: properties()}},
	}
}

func (i *Inventory) poll(ctx context.Context, pc types.ManagedObjectReference) error {
	var all []types.ObjectUpdate // until the first report is complete
	complete := false
	version := ""
	for {
		// The first poll must not wait: a pool without VMs has nothing to report.
		seconds := int32(pollSeconds)
		if !complete {
			seconds = 0
		}
		set, err := i.pollOnce(ctx, pc, version, seconds)
		if err != nil {
			return err
		}
		var updates []types.ObjectUpdate
		truncated := false
		if set != nil {
			version = set.Version
			truncated = set.Truncated != nil && *set.Truncated
			for _, fs := range set.FilterSet {
				updates = append(updates, fs.ObjectSet...)
			}
		}
		switch {
		case complete:
			if len(updates) > 0 {
				i.apply(updates)
			}
		case truncated:
			all = append(all, updates...)
		default:
			i.replace(append(all, updates...))
			i.setHealth(nil)
			all, complete = nil, true
		}
	}
}

func (i *Inventory) pollOnce(ctx context.Context, pc types.ManagedObjectReference, version string, seconds int32) (*types.UpdateSet, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+pollSlack)
	defer cancel()
	res, err := methods.WaitForUpdatesEx(ctx, i.session.Client(), &types.WaitForUpdatesEx{
		This: pc, Version: version, Options: &types.WaitOptions{MaxWaitSeconds: &seconds},
	})
	if err != nil {
		return nil, session.Error("wait for changes", err)
	}
	return res.Returnval, nil
}
