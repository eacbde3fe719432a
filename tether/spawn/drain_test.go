package spawn

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"
)

func TestWhatIsInThePipeIsDrainedAfterTheDeadline(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close() // another process still holds it
	want := bytes.Repeat([]byte("x"), 60<<10)
	if _, err := w.Write(want); err != nil {
		t.Fatal(err)
	}
	if err := r.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a read after the deadline: %v", err)
	}
	var got []byte
	for range 2 { // the second finds nothing, and does not wait for it
		Drain(r, func(b []byte) { got = append(got, b...) })
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d", len(got), len(want))
	}
}

func TestReadsEndSoonAfterTheProcess(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	EndOutput(nil, r)
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
}
