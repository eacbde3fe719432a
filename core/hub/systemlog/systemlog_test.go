package systemlog

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

func level(l slog.Level) *slog.Level { return &l }

func messages(lines []Line) string {
	var all []string
	for _, l := range lines {
		all = append(all, l.Message)
	}
	return strings.Join(all, " ")
}

func TestLinesAreFound(t *testing.T) {
	l := New(1 << 20)
	var next bytes.Buffer
	log := slog.New(l.Handler(slog.NewTextHandler(&next, &slog.HandlerOptions{Level: slog.LevelWarn})))
	log.Debug("unseen")
	log.Info("first", "container", "c1")
	middle := time.Now()
	plugin := log.With("plugin", "local", "pid", 7)
	plugin.Warn("second", "reason", "a b")
	plugin.WithGroup("g").Error("third", "plugin", "x")
	log.Warn("fourth", "plugin", "vsphere")

	all, total := l.Search(Query{}, 10, 0)
	if messages(all) != "fourth third second first" || total != 4 {
		t.Fatalf("%q %d", messages(all), total)
	}
	if x := all[2]; x.Plugin != "local" || x.Fields != `pid=7 reason="a b"` || x.Level != slog.LevelWarn {
		t.Errorf("%+v", x)
	}
	if x := all[1]; x.Plugin != "local" || x.Fields != `pid=7 g.plugin=x` {
		t.Errorf("%+v", x)
	}
	for i := 1; i < len(all); i++ {
		if all[i].ID >= all[i-1].ID {
			t.Errorf("line %d has the ID %d, the later one %d", i, all[i].ID, all[i-1].ID)
		}
	}
	for _, c := range []struct {
		q    Query
		want string
	}{
		{Query{Level: level(slog.LevelWarn)}, "fourth third second"},
		{Query{Level: level(slog.LevelError)}, "third"},
		{Query{Plugin: "local"}, "third second"},
		{Query{Plugin: Hub}, "first"},
		{Query{Text: "A B"}, "second"},
		{Query{Text: "OURT"}, "fourth"},
		{Query{From: middle}, "fourth third second"},
		{Query{To: middle}, "first"},
		{Query{After: all[2].ID}, "fourth third"},
		{Query{Text: "nothing"}, ""},
	} {
		if got, n := l.Search(c.q, 10, 0); messages(got) != c.want || n != len(got) {
			t.Errorf("%+v: %q of %d, want %q", c.q, messages(got), n, c.want)
		}
	}
	if got, n := l.Search(Query{}, 2, 1); messages(got) != "third second" || n != 4 {
		t.Errorf("the second page: %q of %d", messages(got), n)
	}
	if s := next.String(); strings.Contains(s, "first") || !strings.Contains(s, "second") || !strings.Contains(s, "pid=7") {
		t.Errorf("the log itself: %s", s)
	}
	var out bytes.Buffer
	if err := l.Write(&out); err != nil || strings.Count(out.String(), "\n") != 4 || !strings.HasPrefix(out.String(), "time=") ||
		!strings.Contains(out.String(), `msg="second" plugin="local" pid=7`) {
		t.Errorf("%v %s", err, out.String())
	}
}

// TestWhatIsKeptHasABound logs far more than is kept, from several sides, with a line that is longer than all.
func TestWhatIsKeptHasABound(t *testing.T) {
	const limit = 64 << 10
	l := New(limit)
	log := slog.New(l.Handler(slog.DiscardHandler))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 500 {
				log.Info(fmt.Sprintf("line %d of %d", i, g), "text", strings.Repeat("x", 100))
			}
		})
	}
	wg.Wait()
	log.Info(strings.Repeat("m", 1<<20), "field", strings.Repeat("f", 1<<20))
	lines, total := l.Search(Query{}, 1<<20, 0)
	if l.bytes > limit || total < 50 || total > limit/overhead {
		t.Errorf("%d lines, %d bytes", total, l.bytes)
	}
	if x := lines[0]; len(x.Message) > maxMessage+3 || len(x.Fields) > maxFields+3 || !strings.HasPrefix(x.Fields, "field=ff") {
		t.Errorf("the last line has %d and %d bytes", len(x.Message), len(x.Fields))
	}
}

func TestSecretsAreNotKept(t *testing.T) {
	l := New(1 << 20)
	slog.New(l.Handler(slog.DiscardHandler)).Info("login with password=hunter2 failed", "url", "https://joe:hunter2@proxy/", "token", "hunter2")
	lines, _ := l.Search(Query{}, 1, 0)
	if text := fmt.Sprint(lines); strings.Contains(text, "hunter2") || !strings.Contains(text, "joe:[removed]@") {
		t.Error(text)
	}
}
