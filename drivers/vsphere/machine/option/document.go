package option

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/openvic/vic/sdk/errdef"
)

// Fill gives those options a value from a document, TOML or JSON, that have none yet. What no option
// takes is an error: it would be ignored.
func (v Values) Fill(doc map[string]any, may func(Option) bool) error {
	for _, name := range slices.Sorted(maps.Keys(doc)) {
		o, ok := Find(v.all, name)
		if !ok || !may(o) {
			return fmt.Errorf("%s: %w: it is no option that may be given here", name, errdef.ErrInvalid)
		}
		texts, err := o.texts(doc[name])
		if err != nil {
			return err
		}
		if !v.IsSet(o.Name) {
			v.Set(o.Name, texts...)
		}
	}
	return nil
}

// texts reads the value of an option in a document.
func (o Option) texts(value any) ([]string, error) {
	list, isList := value.([]any)
	if !isList {
		list = []any{value}
	}
	if isList && o.Kind != List {
		return nil, fmt.Errorf("%s: %w: it has one value, not a list", o.Name, errdef.ErrInvalid)
	}
	var out []string
	for _, x := range list {
		s, err := o.text(x)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// text reads one value. A text may be written as a number too: shares are both.
func (o Option) text(value any) (string, error) {
	switch x := value.(type) {
	case bool:
		if o.Kind == Toggle {
			return fmt.Sprint(x), nil
		}
	case int64, json.Number:
		if o.Kind == Number || o.Kind == Text {
			return fmt.Sprint(x), o.Check(fmt.Sprint(x))
		}
	case string:
		if o.Kind != Toggle && o.Kind != Number {
			return x, o.Check(x)
		}
	}
	return "", fmt.Errorf("%s: %w: %v is not %s", o.Name, errdef.ErrInvalid, value,
		map[Kind]string{Text: "a text", List: "a text", Number: "a whole number", Toggle: "true or false", Duration: "a time span such as 3m"}[o.Kind])
}

// Document is the reverse of Fill: values for JSON.
func Document(all []Option, given map[string][]string) map[string]any {
	out := map[string]any{}
	for name, values := range given {
		o, _ := Find(all, name)
		v := Of(all, given)
		switch o.Kind {
		case List:
			out[name] = values
		case Number:
			out[name] = v.Int64(name)
		case Toggle:
			out[name] = v.Bool(name)
		default:
			out[name] = v.String(name)
		}
	}
	return out
}

// TOML prints options as a file for --config.
func TOML(all []Option, given map[string][]string) (string, error) {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(given)) {
		value, err := tomlValue(all, name, given[name])
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s = %s\n", name, value)
	}
	return b.String(), nil
}

func tomlValue(all []Option, name string, values []string) (string, error) {
	o, _ := Find(all, name)
	quoted := make([]string, len(values))
	for i, v := range values {
		if quoted[i] = v; o.Kind == Number || o.Kind == Toggle { // these have no quotes
			continue
		}
		b, err := toml.Marshal(map[string]string{"v": v})
		if err != nil {
			return "", fmt.Errorf("option %s: %w", name, err)
		}
		quoted[i] = strings.TrimSpace(strings.TrimPrefix(string(b), "v = "))
	}
	if o.Kind == List {
		return "[" + strings.Join(quoted, ", ") + "]", nil
	}
	return strings.Join(quoted, ""), nil
}

// Line prints options as a command line has them, quoted for a shell.
func Line(all []Option, given map[string][]string) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(given)) {
		o, _ := Find(all, name)
		for _, v := range given[name] {
			switch {
			case o.Kind != Toggle:
				words = append(words, "--"+name+"="+shellQuote(v))
			case v == "true":
				words = append(words, "--"+name)
			}
		}
	}
	return strings.Join(words, " ")
}

func shellQuote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+,="
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
