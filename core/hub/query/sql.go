package query

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openvic/vic/core/store"
)

// Type is what a column holds.
type Type int

// The types.
const (
	Text   Type = iota
	Number      // BIGINT
	Millis      // BIGINT: a time, in milliseconds since 1970
	Bool
)

// Column is something that a list can be filtered and sorted by.
type Column struct {
	// SQL is the expression; "": it can only be filtered by, as Where says.
	SQL  string
	Type Type
	// Where, if not nil, makes the condition itself. arg adds a parameter to the statement and gives its place ("$3").
	Where func(f Filter, arg func(any) string) (string, error)
	// Unsorted columns are for filters alone.
	Unsorted bool
}

// Columns are those of a list, by the names that clients use.
type Columns map[string]Column

// Where makes a condition of the filters, and adds their parameters to those that the statement has already.
// errdef.ErrInvalid: a column that there is not, or a value that it cannot have.
func (c Columns) Where(filters []Filter, args []any) (string, []any, error) {
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	var all []string
	for _, f := range filters {
		one, err := c.One(f, arg)
		if err != nil {
			return "", nil, err
		}
		all = append(all, "("+one+")")
	}
	if len(all) == 0 {
		return "1 = 1", args, nil
	}
	return strings.Join(all, " AND "), args, nil
}

// One makes the condition of one filter. arg is as in Column.
func (c Columns) One(f Filter, arg func(any) string) (string, error) {
	col, ok := c[f.Key]
	if !ok {
		return "", invalid("q: %.40q is not one of %s", f.Key, strings.Join(c.Names(false), ", "))
	}
	if col.Where != nil {
		return col.Where(f, arg)
	}
	return col.where(f, arg)
}

// Order makes the list of an ORDER BY. last, which is not empty, makes the order of all rows certain and comes at the
// end: by it alone if the client asks for nothing.
func (c Columns) Order(sorts []Sort, last string) (string, error) {
	var all []string
	for _, s := range sorts {
		col, ok := c[s.Key]
		if !ok || col.SQL == "" || col.Unsorted {
			return "", invalid("sort: %.40q is not one of %s", s.Key, strings.Join(c.Names(true), ", "))
		}
		one := col.SQL
		if s.Down {
			one += " DESC"
		}
		all = append(all, one)
	}
	return strings.Join(append(all, last), ", "), nil
}

// Names are the columns, in order, or those of them that a list can be sorted by.
func (c Columns) Names(sorted bool) []string {
	var all []string
	for name, col := range c {
		if !sorted || col.SQL != "" && !col.Unsorted {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

func (c Column) where(f Filter, arg func(any) string) (string, error) {
	switch f.Kind {
	case Fuzzy:
		if c.Type != Text {
			return "", invalid("q: %.40q is no text: it has no parts", f.Key)
		}
		return fmt.Sprintf(`lower(%s) LIKE %s ESCAPE '\'`, c.SQL, arg(store.Containing(strings.ToLower(f.Values[0])))), nil
	case Range:
		return c.between(f, arg)
	case All:
		return "", invalid("q: %.40q has one value, not several: want {A B} for one of them", f.Key)
	}
	list := make([]string, 0, 2*len(f.Values))
	for _, s := range f.Values {
		v, err := c.value(f.Key, s)
		if err != nil {
			return "", err
		}
		list = append(list, arg(v))
	}
	if len(list) == 1 {
		return c.SQL + " = " + list[0], nil
	}
	return c.SQL + " IN (" + strings.Join(list, ", ") + ")", nil
}

func (c Column) between(f Filter, arg func(any) string) (string, error) {
	if c.Type == Bool {
		return "", invalid("q: %.40q is true or false: it has no range", f.Key)
	}
	var all []string
	for i, op := range []string{" >= ", " <= "} {
		if f.Values[i] == "" {
			continue
		}
		v, err := c.value(f.Key, f.Values[i])
		if err != nil {
			return "", err
		}
		all = append(all, c.SQL+op+arg(v))
	}
	return strings.Join(all, " AND "), nil
}

// value reads one as the column has it.
func (c Column) value(key, s string) (any, error) {
	switch c.Type {
	case Number:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, invalid("q: %.40q: %.40q is no number", key, s)
		}
		return n, nil
	case Bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return nil, invalid("q: %.40q: want true or false", key)
		}
		return b, nil
	case Millis:
		t, err := Time(s)
		if err != nil {
			return nil, invalid("q: %.40q: %w", key, err)
		}
		return t.UnixMilli(), nil
	}
	return s, nil
}

// Time reads one: RFC 3339, "2006-01-02 15:04:05" with a space or a T, a date, all in UTC, or seconds since 1970.
func Time(s string) (time.Time, error) {
	const farthest = 1 << 40
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 && n < farthest {
		return time.Unix(n, 0), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is no time", s)
}
