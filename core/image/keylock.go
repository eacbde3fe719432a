package image

import (
	"context"
	"sync"
)

// keyLock is one lock a key, taken with a context. The zero value is ready to use.
type keyLock struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when the holder lets go
}

// lock waits for the key and returns what releases it.
func (k *keyLock) lock(ctx context.Context, key string) (func(), error) {
	for {
		k.mu.Lock()
		busy, ok := k.held[key]
		if !ok {
			if k.held == nil {
				k.held = map[string]chan struct{}{}
			}
			free := make(chan struct{})
			k.held[key] = free
			k.mu.Unlock()
			return func() { k.unlock(key, free) }, nil
		}
		k.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (k *keyLock) unlock(key string, free chan struct{}) {
	k.mu.Lock()
	delete(k.held, key)
	k.mu.Unlock()
	close(free)
}
