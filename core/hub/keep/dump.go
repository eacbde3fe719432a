package keep

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/openvic/vic/core/store"
)

// format is the number of what is written here: lines of JSON, compressed by zstd. The first says the version of each
// schema. A table is a line with its columns, a line for each row, and a line with its sum. The last line says that
// nothing is missing.
const format = 1

type dumpHead struct {
	Format   int            `json:"format"`
	Versions map[string]int `json:"versions"`
}

type dumpEnd struct {
	End string `json:"end"` // the table's name; "*": of all
	Sum
}

// transient are the tables of what is only under way. Their objects are not kept either: who was pushing begins again.
var transient = []string{"upload", "trash"}

// dump writes one state of the database and tells the sum of each table.
func dump(ctx context.Context, q store.Querier, kind string, schemas []store.Schema, w io.Writer) (map[string]Sum, error) {
	tables, err := catalogue(ctx, schemas)
	if err != nil {
		return nil, err
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	d := &dumper{ctx: ctx, q: q, kind: kind, out: bufio.NewWriterSize(z, 256<<10), sums: map[string]Sum{}}
	d.line(dumpHead{format, versions(schemas)})
	for _, t := range tables {
		if !slices.Contains(transient, t.Name) && d.err == nil {
			d.err = d.table(t)
		}
	}
	d.line(dumpEnd{End: "*"})
	return d.sums, errors.Join(d.err, d.out.Flush(), z.Close())
}

func versions(schemas []store.Schema) map[string]int {
	v := map[string]int{}
	for _, sc := range schemas {
		v[sc.Name] = len(sc.Steps)
	}
	return v
}

type dumper struct {
	ctx  context.Context
	q    store.Querier
	kind string
	out  *bufio.Writer
	sums map[string]Sum
	err  error // the first
}

func (d *dumper) line(v any) {
	if d.err == nil {
		d.err = json.NewEncoder(d.out).Encode(v)
	}
}

func (d *dumper) table(t table) (err error) {
	if t.Last, err = lastNumber(d.ctx, d.q, d.kind, t); err != nil {
		return fmt.Errorf("table %s: %w", t.Name, err)
	}
	d.line(t)
	total, err := readRows(d.ctx, d.q, t, func(line []byte) error {
		_, err := d.out.Write(append(line, '\n'))
		return err
	})
	if err != nil {
		return fmt.Errorf("table %s: %w", t.Name, err)
	}
	d.sums[t.Name] = total
	d.line(dumpEnd{t.Name, total})
	return d.err
}

// readRows hands out each row of a table as a line and tells their sum.
func readRows(ctx context.Context, q store.Querier, t table, each func(line []byte) error) (Sum, error) {
	var total sum
	by := ""
	if len(t.key) > 0 {
		by = " ORDER BY " + names(t.key)
	}
	rows, err := q.Query(ctx, "SELECT "+names(t.columns())+" FROM "+quote(t.Name)+by)
	if err != nil {
		return Sum{}, err
	}
	defer rows.Close()
	row, into := make([]any, len(t.Columns)), make([]any, len(t.Columns))
	for i := range row {
		into[i] = &row[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return Sum{}, err
		}
		line, err := t.encode(row)
		if err != nil {
			return Sum{}, err
		}
		total.add(line)
		if err := each(line); err != nil {
			return Sum{}, err
		}
	}
	return total.total(), rows.Err()
}

// lastNumber is the last number that a table gave, 0 if none.
func lastNumber(ctx context.Context, q store.Querier, kind string, t table) (n int64, err error) {
	if t.Numbered == "" {
		return 0, nil
	}
	if kind == "sqlite" {
		return n, q.QueryRow(ctx, `SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = $1`, t.Name).Scan(&n)
	}
	var sequence string
	if err := q.QueryRow(ctx, `SELECT pg_get_serial_sequence($1, $2)`, quote(t.Name), t.Numbered).Scan(&sequence); err != nil {
		return 0, err
	}
	return n, q.QueryRow(ctx, `SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM `+sequence).Scan(&n)
}

// maxLine bounds a line of a dump: the largest manifest in base64, and what is around it.
const maxLine = 16 << 20

// reader reads a dump.
type reader struct {
	z     *zstd.Decoder
	lines *bufio.Scanner
	head  dumpHead
}

// newReader reads the beginning. The caller closes it.
func newReader(r io.Reader) (*reader, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20), zstd.WithDecoderMaxWindow(32<<20))
	if err != nil {
		return nil, err
	}
	d := &reader{z: z, lines: bufio.NewScanner(z)}
	d.lines.Buffer(make([]byte, 64<<10), maxLine)
	line, err := d.next()
	if err == nil {
		if err = json.Unmarshal(line, &d.head); err == nil && d.head.Format != format {
			err = fmt.Errorf("it has format %d, and this version of vic-hub reads format %d", d.head.Format, format)
		}
	}
	if err != nil {
		z.Close()
		return nil, fmt.Errorf("copy of the database: %w", err)
	}
	return d, nil
}

func (d *reader) close() { d.z.Close() }

func (d *reader) next() ([]byte, error) {
	if d.lines.Scan() {
		return d.lines.Bytes(), nil
	}
	if err := d.lines.Err(); err != nil {
		return nil, err
	}
	return nil, io.ErrUnexpectedEOF
}

// each reads all of it: table is called before a table's rows, row with each of them. It compares rows and sums.
func (d *reader) each(begin func(table) error, row func(table, []byte) error) error {
	for {
		line, err := d.next()
		if err != nil {
			return fmt.Errorf("copy of the database: %w", err)
		}
		if bytes.HasPrefix(line, []byte(`{"end":"*"`)) {
			return nil
		}
		var t table
		if err := json.Unmarshal(line, &t); err != nil || t.Name == "" || len(t.Columns) == 0 {
			return fmt.Errorf("copy of the database: a table was expected, and it has %.80q", line)
		}
		if err := begin(t); err != nil {
			return err
		}
		if err := d.rows(t, row); err != nil {
			return fmt.Errorf("copy of the database: %w", err)
		}
	}
}

func (d *reader) rows(t table, row func(table, []byte) error) error {
	var got sum
	for {
		line, err := d.next()
		if err != nil {
			return err
		}
		if bytes.HasPrefix(line, []byte("{")) {
			var end dumpEnd
			if err := json.Unmarshal(line, &end); err != nil {
				return err
			}
			if end.End != t.Name || end.Sum != got.total() {
				return fmt.Errorf("the rows of %s are not those that were written: it is damaged", t.Name)
			}
			return nil
		}
		got.add(line)
		if err := row(t, line); err != nil {
			return err
		}
	}
}
