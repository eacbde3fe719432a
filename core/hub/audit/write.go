package audit

import (
	"fmt"
	"strings"
	"time"

	"github.com/openvic/vic/core/store"
)

// lineColumns are those that a line is written to; a sealed one has sealColumns too.
const (
	lineColumns = `at, caller, caller_kind, address, agent, operation, resource_type, resource, project, outcome, detail`
	sealColumns = `, id, seq, hash, actor, subject`
)

// insertAtOnce is how many sealed lines one statement writes, if there are so many.
const insertAtOnce = 20

var (
	insertOne    = insertOf(lineColumns, 1)
	insertSealed = map[int]string{1: insertOf(lineColumns+sealColumns, 1), insertAtOnce: insertOf(lineColumns+sealColumns, insertAtOnce)}
)

// insertOf is the statement that writes a number of rows.
func insertOf(columns string, rows int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `INSERT INTO audit_line (%s) VALUES `, columns)
	width := strings.Count(columns, ",") + 1
	for i := range rows * width {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%width == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", i+1)
	}
	b.WriteByte(')')
	return b.String()
}

// tidy makes a line what is kept of it.
func (x *Line) tidy(now func() time.Time) {
	if x.Time.IsZero() {
		x.Time = now()
	}
	x.Time = time.UnixMilli(x.Time.UnixMilli())
	x.Caller.Name, x.Caller.Address, x.Agent = cut(x.Caller.Name, maxText), cut(x.Caller.Address, maxText), cut(x.Agent, maxText)
	x.Resource, x.Detail = cut(x.Resource, maxText), cut(x.Detail, maxDetail)
}

// values are those of lineColumns.
func (x *Line) values() []any {
	return []any{x.Time.UnixMilli(), x.Caller.Name, string(x.Caller.Method), x.Caller.Address, x.Agent, x.Operation, x.Type, x.Resource, x.Project,
		x.Outcome, x.Detail}
}

// AddSealed writes lines within a transaction and seals them at once, which is less work than to seal them later. Until the
// transaction ends nobody else seals.
func (l *Log) AddSealed(tx *store.Tx, lines []Line) error {
	first, last, err := chain(tx)
	if err != nil {
		return err
	}
	numbers, err := tx.Numbers("audit_line", len(lines))
	if err != nil {
		return err
	}
	named := l.texts.within(tx, first)
	var args []any
	for i, x := range lines {
		x.tidy(l.now)
		x.ID = numbers[i]
		actor, subject, err := named.of(x)
		if err != nil {
			return err
		}
		last = end{last.seq + 1, sum(last.seq+1, last.hash, x)}
		args = append(append(args, x.values()...), x.ID, last.seq, last.hash, actor, subject)
	}
	for width := len(args) / len(lines); len(args) > 0; {
		n := 1
		if len(args) >= width*insertAtOnce {
			n = insertAtOnce
		}
		if err := tx.Do(insertSealed[n], args[:n*width]...); err != nil {
			return err
		}
		args = args[n*width:]
	}
	return setEnd(tx, last)
}
