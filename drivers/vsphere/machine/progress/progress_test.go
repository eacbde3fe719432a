package progress

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
)

func TestALineHasItsSeconds(t *testing.T) {
	var buf bytes.Buffer
	l := New(&buf)
	l.now = func() time.Time { return l.start.Add(12345 * time.Millisecond) }
	l.Printf("made %s", "vch1")
	if got := buf.String(); got != "   12.3s  made vch1\n" {
		t.Errorf("%q", got)
	}
}

func TestATransferShowsItsQuarters(t *testing.T) {
	var buf bytes.Buffer
	l := New(&buf)
	const size = 16 << 20
	n, err := io.Copy(io.Discard, l.Reader(io.LimitReader(zero{}, size), "a.iso", size))
	if err != nil || n != size {
		t.Fatal(n, err)
	}
	for _, want := range []string{"25 %", "50 %", "75 %"} {
		if strings.Count(buf.String(), want) != 1 {
			t.Errorf("want %s once in\n%s", want, buf.String())
		}
	}
}

func TestANilLogIsSilent(t *testing.T) {
	var l *Log
	l.Printf("x")
	if l.Elapsed() != 0 || l.Reader(zero{}, "a", 1<<30) == nil {
		t.Error("a nil log works")
	}
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { return len(p), nil }
