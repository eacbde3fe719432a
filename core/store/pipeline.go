package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// maxQueued is how many statements wait at most to be sent with the next one.
const maxQueued = 200

// pipeline is a transaction on a connection to PostgreSQL. What nobody waits for is sent with the next statement whose answer
// somebody does wait for: BEGIN, what Do was given, and COMMIT. A transaction that asks nothing is one message, and holds its
// locks no longer than the server takes for it.
type pipeline struct {
	ctx   context.Context
	conn  *sql.Conn
	queue []statement
	begun bool // the server may be in the transaction
}

type statement struct {
	query string
	args  []any
}

// begin takes a connection of the pool. The caller calls end.
func begin(ctx context.Context, db *sql.DB) (*pipeline, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &pipeline{ctx: context.WithoutCancel(ctx), conn: conn, queue: []statement{{query: "BEGIN"}}}, nil
}

// add has a statement run with the next ones.
func (p *pipeline) add(query string, args []any) error {
	if len(p.queue) >= maxQueued {
		if err := p.send(nil); err != nil {
			return err
		}
	}
	p.queue = append(p.queue, statement{query, args})
	return nil
}

// send sends what waits. read, which may be nil, is given the answer to the last statement.
func (p *pipeline) send(read func(pgx.BatchResults) error) error {
	if len(p.queue) == 0 {
		return nil
	}
	list := p.queue
	p.queue = nil
	p.begun = true
	err := p.conn.Raw(func(c any) error {
		std, ok := c.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("%T is no connection of pgx", c)
		}
		var b pgx.Batch
		for _, s := range list {
			b.Queue(s.query, s.args...)
		}
		return answers(std.Conn().SendBatch(p.ctx, &b), len(list), read)
	})
	if err != nil && pgconn.SafeToRetry(err) { // nothing was sent
		err = errors.Join(driver.ErrBadConn, err)
	}
	return err
}

// answers reads the answers to n statements.
func answers(res pgx.BatchResults, n int, read func(pgx.BatchResults) error) (err error) {
	for i := 0; i < n && err == nil; i++ {
		if i == n-1 && read != nil {
			err = read(res)
			continue
		}
		_, err = res.Exec()
	}
	if e := res.Close(); err == nil {
		err = e
	}
	return err
}

// exec runs a statement and says how many rows it changed.
func (p *pipeline) exec(query string, args []any) (n int64, err error) {
	if err := p.add(query, args); err != nil {
		return 0, err
	}
	err = p.send(func(res pgx.BatchResults) error {
		tag, err := res.Exec()
		n = tag.RowsAffected()
		return err
	})
	return n, err
}

// row runs a statement and scans its first row; sql.ErrNoRows.
func (p *pipeline) row(query string, args, dest []any) error {
	if err := p.add(query, args); err != nil {
		return err
	}
	var found error // no row is no failure of what was sent
	err := p.send(func(res pgx.BatchResults) error {
		err := res.QueryRow().Scan(dest...)
		if errors.Is(err, pgx.ErrNoRows) {
			found, err = sql.ErrNoRows, nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return found
}

// commit sends what waits, and the end.
func (p *pipeline) commit() error {
	if !p.begun && len(p.queue) == 1 { // BEGIN alone: nothing was done
		p.queue = nil
		return nil
	}
	p.queue = append(p.queue, statement{query: "COMMIT"})
	err := p.send(func(res pgx.BatchResults) error {
		tag, err := res.Exec()
		if err == nil && tag.String() != "COMMIT" {
			err = errors.New("the database has rolled the transaction back")
		}
		return err
	})
	if err == nil {
		p.begun = false
	}
	return err
}

// end gives the connection back, and undoes what was not committed. One that cannot be told to is closed by the pool, which
// sees that it is in a transaction.
func (p *pipeline) end() {
	if p.begun {
		ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
		defer cancel()
		_, _ = p.conn.ExecContext(ctx, "ROLLBACK")
	}
	_ = p.conn.Close()
}
