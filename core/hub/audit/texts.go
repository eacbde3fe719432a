package audit

import (
	"context"
	"database/sql"
	"regexp"
	"strings"
	"sync"

	"github.com/openvic/vic/core/store"
)

// Callers and what they do things to are few, and lines are many. So a part of a text is looked for among the texts, and then the
// lines that have them by number. A line gets the numbers when it is sealed; 0 is a line that has none yet. They are not part of
// what is hashed, since they say nothing that the line's own texts do not.
const schemaTexts = `
CREATE TABLE audit_text (
	id @id,
	kind @ascii NOT NULL,
	text @ascii NOT NULL,
	UNIQUE (kind, text)
);
ALTER TABLE audit_line ADD COLUMN actor BIGINT NOT NULL DEFAULT 0;
ALTER TABLE audit_line ADD COLUMN subject BIGINT NOT NULL DEFAULT 0;
CREATE INDEX audit_line_actor ON audit_line (actor, id);
CREATE INDEX audit_line_subject ON audit_line (subject, id);
CREATE INDEX audit_line_type ON audit_line (resource_type, id) WHERE resource_type <> 'artifact';
CREATE INDEX audit_line_operation ON audit_line (operation, id) WHERE operation <> 'pull' AND operation <> 'push'`

// The kinds of texts.
const (
	callerText  = "caller"
	subjectText = "subject" // a resource; of an artifact, its repository
)

type text struct{ kind, text string }

// texts knows the numbers of texts that are in the database. It may be used by several goroutines.
type texts struct {
	mu    sync.Mutex
	known map[text]int64
	first int64 // where the chain began: texts go when it moves, by whatever process
}

// maxTexts bounds what is remembered: beyond that it begins anew.
const maxTexts = 10_000

// numbering gives numbers within one transaction.
type numbering struct {
	tx   *store.Tx
	t    *texts
	made map[text]int64 // by this transaction, which may be undone
}

// within is for a transaction that has locked the chain, and the chain's begin.
func (t *texts) within(tx *store.Tx, first end) numbering {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first != first.seq {
		t.first, t.known = first.seq, nil
	}
	return numbering{tx, t, map[text]int64{}}
}

// forgetTexts removes the texts of lines up to a place in the chain that no later line has, before those lines go.
func forgetTexts(tx *store.Tx, upTo int64) error {
	_, err := tx.Exec(`DELETE FROM audit_text WHERE id IN (SELECT actor FROM audit_line WHERE seq <= $1 UNION SELECT subject FROM audit_line WHERE seq <= $1)
		AND NOT EXISTS (SELECT 1 FROM audit_line l WHERE l.actor = audit_text.id AND l.seq > $1)
		AND NOT EXISTS (SELECT 1 FROM audit_line l WHERE l.subject = audit_text.id AND l.seq > $1)`, upTo)
	return err
}

// of gives a line's texts their numbers.
func (n numbering) of(x Line) (actor, subject int64, err error) {
	about := x.Resource
	if x.Type == "artifact" {
		about, _, _ = strings.Cut(about, "@")
	}
	if actor, err = n.number(text{callerText, x.Caller.Name}); err == nil {
		subject, err = n.number(text{subjectText, about})
	}
	return actor, subject, err
}

func (n numbering) number(x text) (id int64, err error) {
	if id, ok := n.made[x]; ok {
		return id, nil
	}
	n.t.mu.Lock()
	id = n.t.known[x]
	n.t.mu.Unlock()
	if id != 0 {
		return id, nil
	}
	made, err := n.tx.Exec(`INSERT INTO audit_text (kind, text) VALUES ($1, $2) ON CONFLICT DO NOTHING`, x.kind, x.text)
	if err != nil {
		return 0, err
	}
	if err := n.tx.Row(`SELECT id FROM audit_text WHERE kind = $1 AND text = $2`, x.kind, x.text).Scan(&id); err != nil {
		return 0, err
	}
	if made > 0 {
		n.made[x] = id
		return id, nil
	}
	n.t.mu.Lock()
	defer n.t.mu.Unlock()
	if n.t.known == nil || len(n.t.known) >= maxTexts {
		n.t.known = map[text]int64{}
	}
	n.t.known[x] = id
	return id, nil
}

// maxFound is how many texts a part may be in. If it is in more, it is looked for in the lines, and found soon.
const maxFound = 500

// find returns the numbers of the texts that have a part, whatever the case; false if they are too many.
func (l *Log) find(ctx context.Context, kind, part string) ([]int64, bool, error) {
	list, more, err := store.List(ctx, l.db, maxFound, func(r *sql.Rows) (id int64, err error) { return id, r.Scan(&id) },
		`SELECT id FROM audit_text WHERE kind = $1 AND lower(text) LIKE lower($2) ESCAPE '\' LIMIT $3`, kind, store.Containing(part))
	return list, !more, err
}

// digestPart is what may be a part of a digest, which no text has.
var digestPart = regexp.MustCompile(`@|^(sha(256|512):)?[0-9a-f]{6,}$`)
