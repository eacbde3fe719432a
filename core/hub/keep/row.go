package keep

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// octets is what is no text: {"base64": "..."}.
type octets struct {
	Base64 []byte `json:"base64"`
}

// encode makes one line of a row, without its end, the same whichever database it came from.
func (t table) encode(row []any) ([]byte, error) {
	out := make([]any, len(row))
	for i, v := range row {
		c := t.Columns[i]
		n, err := normal(c.Kind, v)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t.Name, c.Name, err)
		}
		switch x := n.(type) {
		case []byte:
			out[i] = octets{x}
		case string:
			out[i] = x
			if !utf8.ValidString(x) { // SQLite keeps it; JSON would change it
				out[i] = octets{[]byte(x)}
			}
		default:
			out[i] = x
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(out)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// normal gives a value the one Go type of its column's kind; nil stays nil.
func normal(kind string, v any) (any, error) {
	switch x := v.(type) {
	case nil:
		return nil, nil
	case int64:
		switch kind {
		case kindInteger:
			return x, nil
		case kindBoolean:
			return x != 0, nil
		case kindReal:
			return float64(x), nil
		}
	case float64:
		if kind == kindReal {
			return x, nil
		}
	case bool:
		if kind == kindBoolean {
			return x, nil
		}
	case string:
		switch kind {
		case kindText:
			return x, nil
		case kindBytes:
			return []byte(x), nil
		}
	case []byte:
		switch kind {
		case kindText:
			return string(x), nil
		case kindBytes:
			return x, nil
		}
	}
	return nil, fmt.Errorf("a %T in a column of kind %s", v, kind)
}

// decode reads what encode made.
func (t table) decode(line []byte) ([]any, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(line, &raw); err != nil {
		return nil, fmt.Errorf("a row of %s: %w", t.Name, err)
	}
	if len(raw) != len(t.Columns) {
		return nil, fmt.Errorf("a row of %s has %d values, and the table %d columns", t.Name, len(raw), len(t.Columns))
	}
	row := make([]any, len(raw))
	for i, r := range raw {
		var err error
		if row[i], err = value(t.Columns[i].Kind, r); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t.Name, t.Columns[i].Name, err)
		}
	}
	return row, nil
}

func value(kind string, raw json.RawMessage) (any, error) {
	if string(raw) == "null" {
		return nil, nil
	}
	read := func(v any) error { return json.Unmarshal(raw, v) }
	switch kind {
	case kindInteger:
		var n int64
		err := read(&n)
		return n, err
	case kindReal:
		var n float64
		err := read(&n)
		return n, err
	case kindBoolean:
		var b bool
		err := read(&b)
		return b, err
	case kindText:
		if len(raw) > 0 && raw[0] == '{' {
			var o octets
			err := read(&o)
			return string(o.Base64), err
		}
		var s string
		err := read(&s)
		return s, err
	case kindBytes:
		var o octets
		err := read(&o)
		if o.Base64 == nil {
			o.Base64 = []byte{}
		}
		return o.Base64, err
	}
	return nil, fmt.Errorf("unknown kind %q", kind)
}

// sum is a digest of rows in any order: their SHA-256 added up, since the two databases do not sort alike. It shows
// mistakes; against somebody who forges a backup it is no help, nor is any digest that lies beside the data.
type sum struct {
	rows int64
	n    [4]uint64
}

func (s *sum) add(line []byte) {
	h := sha256.Sum256(line)
	var carry uint64
	for i := range s.n {
		var v uint64
		for j := range 8 {
			v |= uint64(h[8*i+j]) << (8 * j)
		}
		s.n[i], carry = bits.Add64(s.n[i], v, carry)
	}
	s.rows++
}

// Sum is what a table held.
type Sum struct {
	Rows   int64  `json:"rows"`
	Digest string `json:"digest"` // hex
}

func (s *sum) total() Sum {
	var b []byte
	for _, v := range s.n {
		for j := range 8 {
			b = append(b, byte(v>>(8*j)))
		}
	}
	return Sum{Rows: s.rows, Digest: hex.EncodeToString(b)}
}
