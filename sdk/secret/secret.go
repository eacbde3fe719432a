// Package secret holds text that must not turn up in a log: passwords, tokens, keys. The plugin kinds
// use it in the requests that carry such text.
package secret

import "log/slog"

// Text is a secret. Every way of printing it (fmt, log/slog, encoding/json) shows Hidden instead;
// string(t) is the text itself. Who stores one takes string(t) and seals it first.
type Text string

// Hidden is what is printed in place of a secret.
const Hidden = "[secret]"

// String is Hidden, or empty if there is no secret.
func (t Text) String() string {
	if t == "" {
		return ""
	}
	return Hidden
}

// GoString is for %#v.
func (t Text) GoString() string { return `secret.Text("` + t.String() + `")` }

// LogValue is for log/slog.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText is for encoding/json and its like.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
