package audit

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/openvic/vic/core/store"
)

// Verify walks the chain from its begin. ErrBroken tells the first line that is wrong or missing. Lines that Forget removes
// meanwhile are not missed.
func (l *Log) Verify(ctx context.Context) (v Verified, err error) {
	for {
		var begin end
		v, begin, err = l.walk(ctx)
		if !errors.Is(err, ErrBroken) {
			return v, err
		}
		now, herr := l.begin(ctx)
		if herr != nil || now.seq <= begin.seq {
			return v, errors.Join(err, herr)
		}
	}
}

// begin is where the chain begins now.
func (l *Log) begin(ctx context.Context) (e end, err error) {
	err = l.db.QueryRow(ctx, `SELECT first_seq, first_hash FROM audit_chain WHERE id = 1`).Scan(&e.seq, &e.hash)
	return e, err
}

// walk is one walk of Verify, and where it began.
func (l *Log) walk(ctx context.Context) (v Verified, first end, err error) {
	var last end
	err = l.db.Tx(ctx, func(tx *store.Tx) (err error) {
		first, last, err = chain(tx)
		return err
	})
	if err != nil {
		return v, first, err
	}
	at := first
	const batch = 1000
	for at.seq < last.seq {
		type sealed struct {
			Line
			end
		}
		list, _, err := store.List(ctx, l.db, batch, func(r *sql.Rows) (s sealed, err error) {
			s.Line, err = scan(r, &s.seq, &s.hash)
			return s, err
		}, `SELECT `+columns+`, seq, hash FROM audit_line WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3`, at.seq, last.seq)
		if err != nil {
			return v, first, err
		}
		for _, s := range list {
			if s.seq != at.seq+1 {
				return v, first, fmt.Errorf("%w: line %d is missing", ErrBroken, at.seq+1)
			}
			if want := sum(s.seq, at.hash, s.Line); string(want) != string(s.hash) {
				return v, first, fmt.Errorf("%w: line %d of %s is not what was written", ErrBroken, s.seq, s.Time.UTC().Format(time.RFC3339))
			}
			at = s.end
			v.Lines++
		}
		if len(list) == 0 {
			return v, first, fmt.Errorf("%w: line %d is missing", ErrBroken, at.seq+1)
		}
	}
	if string(at.hash) != string(last.hash) {
		return v, first, fmt.Errorf("%w: the last line, %d, is not the one that was last", ErrBroken, at.seq)
	}
	var extra int64
	if err := l.db.QueryRow(ctx, `SELECT COUNT(*) FROM audit_line WHERE seq > $1`, last.seq).Scan(&extra); err != nil {
		return v, first, err
	}
	if extra > 0 {
		// Another process may have sealed meanwhile: then the chain's end has moved too.
		if now, err := l.head(ctx); err != nil || now.seq == last.seq {
			return v, first, errors.Join(err, fmt.Errorf("%w: %d lines were added behind its end", ErrBroken, extra))
		}
	}
	v.Head = fmt.Sprintf("%d:%s", last.seq, hex.EncodeToString(last.hash))
	err = l.db.QueryRow(ctx, `SELECT COUNT(*) FROM audit_line WHERE seq IS NULL`).Scan(&v.Unsealed)
	return v, first, err
}

// forgetAtOnce is how many lines Forget removes in one transaction, for which others wait.
const forgetAtOnce = 2000

// Forget removes sealed lines that are older than a time; the chain begins after them from then on. It returns how many.
func (l *Log) Forget(ctx context.Context, before time.Time) (total int64, err error) {
	for {
		var n int64
		err := l.db.Tx(ctx, func(tx *store.Tx) (err error) {
			n, err = forgetSome(tx, before)
			return err
		})
		total += n
		if err != nil || n == 0 {
			return total, err
		}
	}
}

func forgetSome(tx *store.Tx, before time.Time) (int64, error) {
	first, _, err := chain(tx)
	if err != nil {
		return 0, err
	}
	var e end
	// Up to the line before the first that is to stay: lines are sealed almost in the order of their times.
	err = tx.Row(`SELECT seq, hash FROM audit_line WHERE seq IS NOT NULL AND at < $1 AND seq <= $2
		AND seq < COALESCE((SELECT MIN(seq) FROM audit_line WHERE seq IS NOT NULL AND at >= $1), 9223372036854775807) ORDER BY seq DESC LIMIT 1`,
		before.UnixMilli(), first.seq+forgetAtOnce).Scan(&e.seq, &e.hash)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if err := forgetTexts(tx, e.seq); err != nil {
		return 0, err
	}
	n, err := tx.Exec(`DELETE FROM audit_line WHERE seq <= $1`, e.seq)
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(`UPDATE audit_chain SET first_seq = $1, first_hash = $2 WHERE id = 1`, e.seq, e.hash)
	return n, err
}
