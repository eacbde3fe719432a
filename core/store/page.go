package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// List reads a page of at most limit rows. The query's last parameter is its LIMIT, which List gives itself: one more
// than asked for, so that it can say whether more follow. A page goes on where the last row's key was (name > $1, or
// (pushed, id) < ($1, $2)) and never by OFFSET, whose cost grows with each page.
func List[T any](ctx context.Context, q Querier, limit int, scan func(*sql.Rows) (T, error), query string, args ...any) (list []T, more bool, err error) {
	rows, err := q.Query(ctx, query, append(args[:len(args):len(args)], limit+1)...)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for rows.Next() {
		if len(list) == limit {
			return list, true, nil
		}
		v, err := scan(rows)
		if err != nil {
			return nil, false, err
		}
		list = append(list, v)
	}
	return list, false, rows.Err()
}

// Containing is a pattern of LIKE that finds part anywhere; the statement says ESCAPE '\'. What a client sends stands for
// itself: "%" and "_" are no wildcards.
func Containing(part string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(part) + "%"
}

// maxCursor bounds what comes back from a client.
const maxCursor = 4096

// Cursor makes a text for a URL of the key of a page's last row. Clients hand it back and do not look inside.
func Cursor(key ...any) string {
	b, err := json.Marshal(key)
	if err != nil { // numbers and texts always can be
		panic(fmt.Sprintf("store: a cursor of %T: %v", key, err))
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// ReadCursor reads a Cursor into pointers to the types that it was made of.
func ReadCursor(cursor string, key ...any) error {
	if len(cursor) > maxCursor {
		return fmt.Errorf("the cursor of a page has at most %d characters", maxCursor)
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return fmt.Errorf("%q is not the cursor of a page", cursor)
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil || len(parts) != len(key) {
		return fmt.Errorf("%q is not the cursor of a page of this list", cursor)
	}
	for i, p := range parts {
		if err := json.Unmarshal(p, key[i]); err != nil {
			return fmt.Errorf("%q is not the cursor of a page of this list", cursor)
		}
	}
	return nil
}
