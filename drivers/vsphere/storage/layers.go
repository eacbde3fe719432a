package storage

import (
	"errors"
	"fmt"
	"path"
	"sort"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

const (
	imagesDir = "images"
	metaName  = "layer.json"
	pinFor    = 15 * time.Minute // a prepared disk whose VM never came
)

func layerDir(id string) string { return path.Join(imagesDir, id) }
func diskFile(id string) string { return path.Join(imagesDir, id, id+".vmdk") }
func metaFile(id string) string { return path.Join(imagesDir, id, metaName) }

// layer is the content of layer.json.
type layer struct {
	ID      string    `json:"id"`
	Parent  string    `json:"parent,omitempty"`
	Size    int64     `json:"size"`
	Depth   int       `json:"depth"` // disks in the chain
	Created time.Time `json:"created"`
}

type status int

const (
	writing status = iota
	written
	complete
	removing
)

type entry struct {
	layer
	status status
	done   chan struct{} // closed when writing has ended
	err    error         // of writing
}

type pin struct {
	layer string
	since time.Time
}

// layers is what the driver knows of its layers.
type layers struct {
	mu   sync.Mutex // guards the tables and the entries; not held while a layer is written
	all  map[string]*entry
	pins map[string]pin // container to the layer that its disk will stand on
}

func (l *layers) init() {
	l.all = map[string]*entry{}
	l.pins = map[string]pin{}
}

func (l *layers) add(x layer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all[x.ID] = &entry{layer: x, status: complete}
}

func (l *layers) complete(id string) (layer, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.all[id]
	if e == nil || e.status != complete {
		return layer{}, false
	}
	return e.layer, true
}

func (l *layers) allComplete() []layer {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []layer
	for _, e := range l.all {
		if e.status == complete {
			out = append(out, e.layer)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out
}

// begin claims a layer for writing. If it is there already, or another call writes it, that entry is
// returned and mine is false. parent is the layer below.
func (l *layers) begin(id, parentID string) (e *entry, parent layer, mine bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e = l.all[id]; e != nil {
		if e.status == removing {
			return nil, parent, false, fmt.Errorf("layer %s is being removed: %w", id, errdef.ErrConflict)
		}
		return e, parent, false, nil
	}
	if parentID != "" {
		p := l.all[parentID]
		if p == nil || p.status != complete && p.status != written {
			return nil, parent, false, fmt.Errorf("layer %s: the layer below, %s: %w", id, parentID, errdef.ErrNotFound)
		}
		parent = p.layer
	}
	e = &entry{layer: layer{ID: id, Parent: parentID}, done: make(chan struct{})}
	l.all[id] = e
	return e, parent, true, nil
}

// end is the end of a write.
func (l *layers) end(e *entry, x layer, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.err = err
	if err != nil {
		delete(l.all, e.ID)
	} else {
		e.layer, e.status = x, written
	}
	close(e.done)
}

// commitable returns a written layer, and whether it is complete already.
func (l *layers) commitable(id string) (layer, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.all[id]
	if e == nil || e.status == writing || e.status == removing {
		return layer{}, false, fmt.Errorf("layer %s is not written: %w", id, errdef.ErrNotFound)
	}
	if p := l.all[e.Parent]; e.Parent != "" && (p == nil || p.status != complete) {
		return layer{}, false, fmt.Errorf("layer %s: the layer below is not complete: %w", id, errdef.ErrConflict)
	}
	return e.layer, e.status == complete, nil
}

func (l *layers) commit(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.all[id]; e != nil && e.status == written {
		e.status = complete
	}
}

// beginRemove claims a layer for removal; there is false if there is none. alive are the containers
// whose VMs exist: the VM says itself what it stands on.
func (l *layers) beginRemove(id string, alive map[string]bool) (there bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.all[id]
	if e == nil {
		return false, nil
	}
	if e.status == writing || e.status == removing {
		return false, fmt.Errorf("layer %s is being written or removed: %w", id, errdef.ErrConflict)
	}
	for _, o := range l.all {
		if o.Parent == id {
			return false, fmt.Errorf("layer %s: layer %s stands on it: %w", id, o.ID, errdef.ErrConflict)
		}
	}
	for c, p := range l.pins {
		if alive[c] || time.Since(p.since) > pinFor {
			delete(l.pins, c)
		} else if p.layer == id {
			return false, fmt.Errorf("layer %s: a disk for container %s was prepared on it: %w", id, c, errdef.ErrConflict)
		}
	}
	e.status = removing
	return true, nil
}

// endRemove forgets a layer. One whose files could not be removed has lost its mark and can be
// removed again.
func (l *layers) endRemove(id string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ok {
		delete(l.all, id)
	} else if e := l.all[id]; e != nil {
		e.status = written
	}
}

// pin notes that a container's disk will stand on a complete layer.
func (l *layers) pin(container, id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.all[id]; e == nil || e.status != complete {
		return false
	}
	l.pins[container] = pin{layer: id, since: time.Now()}
	return true
}

func (l *layers) unpin(container string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pins, container)
}

// sound splits layers into those whose chain is whole and the others.
func sound(found map[string]layer) (good, bad []layer) {
	var whole func(id string, depth int) error
	whole = func(id string, depth int) error {
		l, ok := found[id]
		if !ok || depth > len(found) {
			return errors.New("the chain is broken")
		}
		if l.Parent == "" {
			return nil
		}
		return whole(l.Parent, depth+1)
	}
	for id, l := range found {
		if whole(id, 0) == nil {
			good = append(good, l)
		} else {
			bad = append(bad, l)
		}
	}
	return good, bad
}
