package registry

import (
	"sync"

	"github.com/openvic/vic/core/store"
)

// begunUploads are those that began in this process a short time ago, and have no object yet: a client that begins one goes on with
// it at once, and its row is on its way to the disk meanwhile.
type begunUploads struct {
	mu  sync.Mutex
	ids map[string]func() error // waits until the row is on the disk
}

// maxBegun bounds them: beyond it they begin anew.
const maxBegun = 10_000

func (b *begunUploads) keep(id string, wait func() error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ids == nil || len(b.ids) >= maxBegun {
		b.ids = map[string]func() error{}
	}
	b.ids[id] = wait
}

// durable returns when the row of an upload is on the disk, in which it was found.
func (b *begunUploads) durable(id string, s *store.Store) error {
	b.mu.Lock()
	wait := b.ids[id]
	delete(b.ids, id)
	b.mu.Unlock()
	if wait == nil {
		return s.Durable()
	}
	return wait()
}
