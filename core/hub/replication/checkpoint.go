package replication

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/secret"
)

// mark is the checkpoint of a task, as the database has it.
type mark struct {
	r    *Replication
	task int64
	last secret.Text
}

func (m *mark) what() string { return fmt.Sprintf("checkpoint of replication task %d", m.task) }

// load reads it; empty: there is none that can be read, and the copy begins anew.
func (m *mark) load(ctx context.Context) (secret.Text, error) {
	var sealed []byte
	err := m.r.o.DB.QueryRow(ctx, `SELECT sealed FROM replication_checkpoint WHERE task_id = $1`, m.task).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	open, err := m.r.o.Sealer.Open(m.what(), sealed)
	if err != nil {
		return "", nil
	}
	m.last = secret.Text(open)
	return m.last, nil
}

// keep writes it if it is another one.
func (m *mark) keep(ctx context.Context, c secret.Text) error {
	if c == "" || c == m.last {
		return nil
	}
	sealed := m.r.o.Sealer.Seal(m.what(), []byte(c))
	err := m.r.o.DB.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO replication_checkpoint (task_id, sealed) VALUES ($1, $2)
			ON CONFLICT (task_id) DO UPDATE SET sealed = excluded.sealed`, m.task, sealed)
		return err
	})
	if err == nil {
		m.last = c
	}
	return err
}

func (m *mark) forget(ctx context.Context) error {
	if m.last == "" {
		return nil
	}
	return m.r.o.DB.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM replication_checkpoint WHERE task_id = $1`, m.task)
		return err
	})
}

// readJSON reads what a task told, if it told anything.
func readJSON(b json.RawMessage, v any) error {
	if len(b) == 0 {
		return errors.New("nothing was told")
	}
	return json.Unmarshal(b, v)
}
