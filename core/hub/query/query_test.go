package query

import (
	"database/sql"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/errdef"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func TestFilters(t *testing.T) {
	for text, want := range map[string][]Filter{
		"":                     nil,
		",":                    nil,
		"name=app":             {{"name", Exact, []string{"app"}}},
		"name=~app":            {{"name", Fuzzy, []string{"app"}}},
		`name=\~app`:           {{"name", Exact, []string{"~app"}}},
		"name=a=b":             {{"name", Exact, []string{"a=b"}}},
		"tags%3Dnil":           {{"tags", Exact, []string{"nil"}}},
		"size=[1~2]":           {{"size", Range, []string{"1", "2"}}},
		"size=[~2]":            {{"size", Range, []string{"", "2"}}},
		`t=["2026-01-01"~]`:    {{"t", Range, []string{"2026-01-01", ""}}},
		"name={a b}":           {{"name", Any, []string{"a", "b"}}},
		`name={"a b"  'c' d}`:  {{"name", Any, []string{"a b", "c", "d"}}},
		`name={"a b}`:          {{"name", Any, []string{"a", "b"}}},
		"labels=(1 2)":         {{"labels", All, []string{"1", "2"}}},
		"name=~app,public=yes": {{"name", Fuzzy, []string{"app"}}, {"public", Exact, []string{"yes"}}},
	} {
		if got, err := Parse(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v %v, want %+v", text, got, err, want)
		}
	}
	for _, bad := range []string{"name", "=", "=x", "name=", "name=~", "a=[", "a=[]", "a=[~]", "a=[1]", "a=[1~2~3]", "a=[1~2", "a={", "a={}", "a={1", "a=()",
		"a=1,a=2", "a={" + strings.Repeat("x ", 33) + "}", strings.Repeat("a", 2049), strings.Repeat("x=1,", 3)} {
		if got, err := Parse(bad); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%.40s: %+v %v", bad, got, err)
		}
	}
	var many []string
	for i := range 17 {
		many = append(many, string(rune('a'+i))+"=1")
	}
	if _, err := Parse(strings.Join(many, ",")); err == nil {
		t.Error("17 filters were read")
	}
	if _, err := Parse(strings.Join(many[:16], ",")); err != nil {
		t.Error(err)
	}
}

func TestSorts(t *testing.T) {
	for text, want := range map[string][]Sort{"": nil, "a": {{"a", false}}, "-a, b": {{"a", true}, {"b", false}}, "-": nil} {
		if got, err := ParseSort(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v %v", text, got, err)
		}
	}
	for _, bad := range []string{"a,b,c,d,e", strings.Repeat("a", 2049)} {
		if _, err := ParseSort(bad); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%.20s: %v", bad, err)
		}
	}
}

var things = store.Schema{Name: "things", Steps: []string{`CREATE TABLE thing (name @ascii PRIMARY KEY, size BIGINT NOT NULL, made BIGINT NOT NULL, public BOOLEAN NOT NULL);
	INSERT INTO thing (name, size, made, public) VALUES ('app', 1, 1000, TRUE), ('Apple', 2, 1767225600000, FALSE), ('b_r', 3, 1798761600000, TRUE), ('bar', 3, 0, FALSE)`}}

var columns = Columns{"name": {SQL: "name"}, "size": {SQL: "size", Type: Number}, "made": {SQL: "made", Type: Millis}, "public": {SQL: "public", Type: Bool, Unsorted: true},
	"long": {Where: func(f Filter, arg func(any) string) (string, error) {
		return "length(name) > " + arg(len(f.Values[0])), nil
	}}}

func TestConditionsOnBothDatabases(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		db := open(things)
		for _, c := range []struct{ q, sort, want string }{
			{"", "", "Apple app b_r bar"},
			{"name=app", "", "app"},
			{"name=~APP", "", "Apple app"},
			{"name=~_", "", "b_r"},
			{"name=~%", "", ""},
			{"name={app bar nothing}", "-name", "bar app"},
			{"size=[2~]", "size,name", "Apple b_r bar"},
			{"size=[2~2]", "", "Apple"},
			{"size={1 3}", "-size,-name", "bar b_r app"},
			{"made=[2026-01-01~2026-12-31 23:00:00]", "", "Apple"},
			{"made=[~1]", "", "app bar"},
			{"public=true,size=3", "", "b_r"},
			{"long=xxx", "", "Apple"},
			{"name=' OR '1'='1", "", ""},
		} {
			filters, err := Parse(c.q)
			if err != nil {
				t.Fatal(err)
			}
			sorts, err := ParseSort(c.sort)
			if err != nil {
				t.Fatal(err)
			}
			where, args, err := columns.Where(filters, nil)
			if err != nil {
				t.Fatal(err)
			}
			order, err := columns.Order(sorts, "name")
			if err != nil {
				t.Fatal(err)
			}
			list, _, err := store.List(t.Context(), db, 10, func(r *sql.Rows) (s string, err error) { return s, r.Scan(&s) },
				store.Once+`SELECT name FROM thing WHERE `+where+` ORDER BY `+order+` LIMIT $`+string(rune('1'+len(args))), args...)
			if got := strings.Join(list, " "); err != nil || got != c.want {
				t.Errorf("q=%s sort=%s: %q %v, want %q", c.q, c.sort, got, err, c.want)
			}
		}
	})
}

func TestWhatAColumnCannotBeAskedFor(t *testing.T) {
	for _, q := range []string{"color=red", "size=x", "size=~1", "size=(1 2)", "made=yesterday", "public=maybe", "public=[true~]", "name=(a b)", "made=[x~]"} {
		filters, err := Parse(q)
		if err != nil {
			t.Fatal(err)
		}
		if where, _, err := columns.Where(filters, nil); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%s: %s %v", q, where, err)
		}
	}
	for _, key := range []string{"color", "public", "long", "name;"} {
		if order, err := columns.Order([]Sort{{Key: key}}, "name"); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%s: %s %v", key, order, err)
		}
	}
}

// FuzzParse looks that what is read stays within its bounds, and that nothing of it is in the text of a statement but in
// its parameters.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"name=app", "name=~a", "size=[1~2]", "name={a b}", `name={"a b" 'c'}`, "labels=(1 2)", "a%3Db", "made=[2026-01-01~]", `name=\~x`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		filters, err := Parse(text)
		if err != nil {
			if !errors.Is(err, errdef.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		if len(filters) > maxFilters {
			t.Fatalf("%d filters", len(filters))
		}
		for _, x := range filters {
			n := len(x.Values)
			if x.Key == "" || n == 0 || n > maxValues || x.Kind == Range && n != 2 || x.Kind <= Fuzzy && n != 1 || slices.Contains(x.Values, "") && x.Kind != Range {
				t.Fatalf("%+v", x)
			}
			x.Key = "name"
			where, args, err := columns.Where([]Filter{x}, nil)
			if err != nil {
				continue
			}
			for _, r := range where {
				if r == utf8.RuneError || !strings.ContainsRune(`()name lower LIKE ESCAPE'\$=<>0123456789IN,AND`, r) {
					t.Fatalf("%q is in the statement %s", r, where)
				}
			}
			if strings.Count(where, "$") != len(args) {
				t.Fatalf("%s has %d parameters", where, len(args))
			}
		}
	})
}
