package layers

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/plugins/scan-osv/sqlite"
	"github.com/openvic/vic/sdk/errdef"
)

const cacheSchema = `
CREATE TABLE layer (diff_id TEXT PRIMARY KEY, used INTEGER NOT NULL, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE blob (digest TEXT PRIMARY KEY, diff_id TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX blob_layer ON blob (diff_id);
CREATE INDEX layer_used ON layer (used);`

const (
	maxKept  = 128 << 20 // bytes of one layer's JSON
	evictAt  = 100       // look for room after so many new layers
	maxBlobs = 16        // compressions of one layer
)

// Cache keeps what layers mean. A layer is known by its diff ID; it is found for a blob only after the blob was seen to
// be that layer, so that nobody passes a blob off as a layer that is known.
type Cache struct {
	db   *sql.DB
	keep int
	enc  *zstd.Encoder
	dec  *zstd.Decoder

	mu    sync.Mutex
	turns map[string]chan struct{} // diff IDs that are being looked at; closed when done
	added int
}

// OpenCache opens the file, or makes it. keep is how many layers stay: those that were used last.
func OpenCache(path string, keep int) (*Cache, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxKept))
	if err != nil {
		return nil, err
	}
	db, err := sqlite.Open(path, Version, cacheSchema)
	if err != nil {
		return nil, err
	}
	return &Cache{db: db, keep: keep, enc: enc, dec: dec, turns: map[string]chan struct{}{}}, nil
}

// Close closes the file.
func (c *Cache) Close() error { return c.db.Close() }

// Get returns the layer; look is called if nobody knows it, by one caller at a time for each layer.
func (c *Cache) Get(ctx context.Context, blob, diffID digest.Digest, look func() (*Layer, error)) (*Layer, error) {
	release, err := c.turn(ctx, diffID.String())
	if err != nil {
		return nil, err
	}
	defer release()
	l, err := c.find(ctx, blob, diffID)
	if l != nil || err != nil {
		return l, err
	}
	if l, err = look(); err != nil {
		return nil, err
	}
	return l, c.put(ctx, blob, diffID, l)
}

// turn waits until nobody else looks at the layer.
func (c *Cache) turn(ctx context.Context, id string) (release func(), err error) {
	for {
		c.mu.Lock()
		busy := c.turns[id]
		if busy == nil {
			done := make(chan struct{})
			c.turns[id] = done
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				delete(c.turns, id)
				c.mu.Unlock()
				close(done)
			}, nil
		}
		c.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Cache) find(ctx context.Context, blob, diffID digest.Digest) (*Layer, error) {
	var data []byte
	err := c.db.QueryRowContext(ctx, `SELECT l.data FROM blob b JOIN layer l ON l.diff_id = b.diff_id WHERE b.digest = ? AND b.diff_id = ?`,
		blob.String(), diffID.String()).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap(ctx, err)
	}
	text, err := c.dec.DecodeAll(data, nil)
	if err != nil {
		return nil, fmt.Errorf("what is kept of the layer %s: %v: %w", diffID, err, errdef.ErrInternal) //nolint:errorlint // one class
	}
	l := &Layer{}
	if err := json.Unmarshal(text, l); err != nil {
		return nil, fmt.Errorf("what is kept of the layer %s: %v: %w", diffID, err, errdef.ErrInternal) //nolint:errorlint // one class
	}
	_, err = c.db.ExecContext(ctx, `UPDATE layer SET used = ?1 WHERE diff_id = ?2 AND used < ?1 - 3600`, time.Now().Unix(), diffID.String())
	return l, wrap(ctx, err)
}

func (c *Cache) put(ctx context.Context, blob, diffID digest.Digest, l *Layer) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if len(text) > maxKept {
		return nil // it is looked at each time
	}
	data := c.enc.EncodeAll(text, nil)
	err = sqlite.Write(ctx, c.db, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO layer VALUES (?, ?, ?)`, diffID.String(), time.Now().Unix(), data); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM blob WHERE diff_id = ?1 AND (SELECT count(*) FROM blob WHERE diff_id = ?1) >= ?2`, diffID.String(), maxBlobs)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO blob VALUES (?, ?)`, blob.String(), diffID.String())
		return err
	})
	if err != nil {
		return wrap(ctx, err)
	}
	c.mu.Lock()
	c.added++
	full := c.added%evictAt == 0
	c.mu.Unlock()
	if full {
		return wrap(ctx, c.evict(ctx))
	}
	return nil
}

// evict forgets the layers that were not used for the longest.
func (c *Cache) evict(ctx context.Context) error {
	return sqlite.Write(ctx, c.db, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM layer WHERE diff_id IN (SELECT diff_id FROM layer ORDER BY used DESC LIMIT -1 OFFSET ?)`, c.keep)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM blob WHERE diff_id NOT IN (SELECT diff_id FROM layer)`)
		return err
	})
}

func wrap(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("the cache of layers: %w: %w", err, errdef.ErrUnavailable)
}
