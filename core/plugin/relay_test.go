package plugin

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// A plugin's records come out as they were written: the values in their order, numbers with all digits.
func TestRelayKeepsRecords(t *testing.T) {
	for in, want := range map[string]string{
		`{"time":"x","level":"WARN","msg":"made","b":1073741824,"a":{"n":2.50},"err":"no"}`: `level=WARN msg=made b=1073741824 a=map[n:2.50] err=no`,
		`{"@timestamp":"x","@level":"debug","@message":"hclog's","z":"1","y":null}`:         `level=DEBUG msg=hclog's z=1 y=<nil>`,
		`{"msg":"cut","a":`:             `level=INFO msg="plugin wrote" line="{\"msg\":\"cut\",\"a\":"`,
		`{"msg":"one"} {"msg":"two"}`:   `level=INFO msg="plugin wrote" line="{\"msg\":\"one\"} {\"msg\":\"two\"}"`,
		`{"level":"INFO","a":"no msg"}`: `level=INFO msg="plugin wrote" line="{\"level\":\"INFO\",\"a\":\"no msg\"}"`,
		`{1:2}`:                         `level=INFO msg="plugin wrote" line={1:2}`,
		`{"msg":3,"a":"]"]`:             `level=INFO msg="plugin wrote" line="{\"msg\":3,\"a\":\"]\"]"`,
	} {
		var out bytes.Buffer
		r := &relay{log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))}
		if _, err := r.Write([]byte(in + "\n")); err != nil || strings.TrimSpace(out.String()) != want {
			t.Errorf("%s\n got %s\nwant %s", in, out.String(), want)
		}
	}
}
