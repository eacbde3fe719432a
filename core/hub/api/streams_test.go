package api

import (
	"bytes"
	"errors"
	"io"
	"net/http/httptest"
	"runtime"
	"testing"
)

// A container that prints nothing but ends of lines costs the hub what it prints, not the square of it.
func TestEmptyLinesOfALogAreCheap(t *testing.T) {
	w := &logWriter{w: httptest.NewRecorder(), contains: "nothing"}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rest, err := w.split(1, bytes.Repeat([]byte{'\n'}, maxLogLine), io.EOF)
	runtime.ReadMemStats(&after)
	if len(rest) != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%q, %v", rest, err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
		t.Errorf("%d bytes of memory for %d empty lines", n, maxLogLine)
	}
}
