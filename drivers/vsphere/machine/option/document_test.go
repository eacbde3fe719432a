package option

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/openvic/vic/sdk/errdef"
)

func kinds() []Option {
	return []Option{Str("", "text", "", ""), Many("", "list", "", ""), Num("", "number", "", 7, ""), Flag("", "toggle", "", ""),
		Span("", "span", 60e9, ""), Str("", "secret", "", "").Hidden(), Str("", "once", "", "").ForRun()}
}

func anyOption(Option) bool { return true }

func TestDocumentsAreReadByTheKindsOfOptions(t *testing.T) {
	for _, c := range []struct {
		json string
		want map[string][]string // nil: refused
	}{
		{`{"text": "a"}`, map[string][]string{"text": {"a"}}},
		{`{"text": 12}`, map[string][]string{"text": {"12"}}}, // shares are both
		{`{"text": true}`, nil},
		{`{"text": ["a"]}`, nil},
		{`{"text": null}`, nil},
		{`{"list": ["a", "b"]}`, map[string][]string{"list": {"a", "b"}}},
		{`{"list": "a"}`, map[string][]string{"list": {"a"}}},
		{`{"list": [1]}`, nil},
		{`{"number": 8}`, map[string][]string{"number": {"8"}}},
		{`{"number": 8.5}`, nil},
		{`{"number": 1e3}`, nil},
		{`{"number": 99999999999999999999}`, nil},
		{`{"number": "8"}`, nil},
		{`{"toggle": false}`, map[string][]string{"toggle": {"false"}}},
		{`{"toggle": "true"}`, nil},
		{`{"span": "3m"}`, map[string][]string{"span": {"3m"}}},
		{`{"span": "soon"}`, nil},
		{`{"nosuch": 1}`, nil},
	} {
		dec := map[string]any{}
		if err := numbers(c.json, &dec); err != nil {
			t.Fatal(err)
		}
		v := New(kinds())
		err := v.Fill(dec, anyOption)
		if c.want == nil && !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%s is taken: %v %v", c.json, v.Given(), err)
		}
		if c.want != nil && (err != nil || !reflect.DeepEqual(v.Given(), c.want)) {
			t.Errorf("%s: %v %v", c.json, v.Given(), err)
		}
	}
}

func numbers(text string, v any) error {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	return dec.Decode(v)
}

func TestWhatIsGivenComesBeforeADocument(t *testing.T) {
	v := New(kinds())
	v.Set("text", "mine")
	if err := v.Fill(map[string]any{"text": "theirs", "number": int64(1)}, Option.Recorded); err != nil || v.String("text") != "mine" || v.Int("number") != 1 {
		t.Errorf("%v %v", v.Given(), err)
	}
	for _, never := range []string{"secret", "once"} {
		if err := v.Fill(map[string]any{never: "x"}, Option.Recorded); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("a file may hold %s: %v", never, err)
		}
		v.Set(never, "x")
	}
	if kept := v.Recorded(); len(kept) != 2 {
		t.Errorf("the record holds %v", kept)
	}
}

func TestOptionsComeBackFromWhatIsPrinted(t *testing.T) {
	given := map[string][]string{"text": {`it's "quoted"`}, "list": {"a", "b c"}, "number": {"9"}, "toggle": {"true"}}
	text, err := TOML(kinds(), given)
	if err != nil {
		t.Fatal(err)
	}
	var fromTOML map[string]any
	if err := toml.Unmarshal([]byte(text), &fromTOML); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(Document(kinds(), given))
	if err != nil {
		t.Fatal(err)
	}
	var fromJSON map[string]any
	if err := numbers(string(b), &fromJSON); err != nil {
		t.Fatal(err)
	}
	for _, doc := range []map[string]any{fromTOML, fromJSON} {
		v := New(kinds())
		if err := v.Fill(doc, anyOption); err != nil || !reflect.DeepEqual(v.Given(), given) {
			t.Errorf("%v: %v %v", doc, v.Given(), err)
		}
	}
	if got, want := Line(kinds(), given), `--list=a --list='b c' --number=9 --text='it'\''s "quoted"' --toggle`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	v := New(kinds())
	if v.Int64("number") != 7 || v.Duration("span").Seconds() != 60 || v.Bool("toggle") || v.IsSet("number") {
		t.Errorf("defaults: %v", v)
	}
}

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{"a/b:c": "a/b:c", "VM Network": "'VM Network'", "": "''", "it's": `'it'\''s'`} {
		if got := shellQuote(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
