package output

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openvic/vic/sdk/guest/outlog"
)

func open(t *testing.T, size int64, files int) *Buffer {
	t.Helper()
	b, err := Open(t.TempDir(), size, files, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readAll checks that offsets have no gap unless gaps are allowed.
func readAll(t *testing.T, b *Buffer, o Options) string {
	t.Helper()
	r, err := b.NewReader(o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var s strings.Builder
	last := int64(-1)
	for {
		rec, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return s.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		if rec.Offset < last {
			t.Fatalf("offset %d after %d", rec.Offset, last)
		}
		last = rec.Next()
		s.Write(rec.Data)
	}
}

func TestReaderGoesFromDiskToMemory(t *testing.T) {
	b := open(t, 16<<20, 5)
	var want bytes.Buffer
	chunk := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	for i := range 40 { // 2.6 MB: most of it has left memory
		c := append([]byte(fmt.Sprintf("%04d", i)), chunk...)
		want.Write(c)
		b.Append(outlog.Stdout, c)
	}
	b.Close()
	if got := readAll(t, b, Options{Follow: true}); got != want.String() {
		t.Fatal("the output differs")
	}
	off := int64(want.Len() / 2)
	if got := readAll(t, b, Options{Query: outlog.Query{Offset: off}}); got != want.String()[off:] {
		t.Fatal("the output from the middle differs")
	}
}

// Output that nobody keeps and nobody reads holds the process up once, for a moment.
func TestUnkeptOutputFlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, begun := NewUnkept(), time.Now()
		for range 4 * limitWithoutLog / 4096 {
			b.Append(outlog.Stdout, make([]byte, 4096))
		}
		if d := time.Since(begun); d > 2*unkeptPause {
			t.Errorf("the process was held up for %v", d)
		}
	})
}

func TestAttachedReaderMissesNothingThoughSlow(t *testing.T) {
	for name, make := range map[string]func(t *testing.T) *Buffer{
		"log":    func(t *testing.T) *Buffer { return open(t, 4096, 2) },
		"memory": func(*testing.T) *Buffer { return NewMemory() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { slowReader(t, make(t)) })
		})
	}
}

// slowReader reads a record whenever the writer can write no further.
func slowReader(t *testing.T, b *Buffer) {
	t.Helper()
	r, err := b.NewReader(Options{Follow: true, Attached: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var wg sync.WaitGroup
	var want, got bytes.Buffer
	wg.Go(func() {
		for i := range 300 {
			c := fmt.Appendf(nil, "%05d%s", i, strings.Repeat("x", 5000))
			want.Write(c)
			b.Append(outlog.Stdout, c)
		}
		b.Close()
	})
	for {
		synctest.Wait()
		rec, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got.Write(rec.Data)
	}
	wg.Wait()
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Fatalf("got %d bytes of %d", got.Len(), want.Len())
	}
}

func TestUnattachedReaderDoesNotHoldTheProcess(t *testing.T) {
	b := open(t, 4096, 2)
	r, err := b.NewReader(Options{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 500 {
		b.Append(outlog.Stdout, make([]byte, 5000))
	}
	rec, err := r.Next(t.Context())
	if err != nil || rec.Offset == 0 {
		t.Fatalf("first record %d, %v", rec.Offset, err)
	}
}

func TestWriterGoesOnWhenAttachedReaderLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, 4096, 2)
		r, err := b.NewReader(Options{Follow: true, Attached: true})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 100 {
				b.Append(outlog.Stdout, make([]byte, 5000))
			}
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("the reader was overtaken")
		default:
		}
		r.Close()
		<-done
	})
}

func TestFollowerWakesAndEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, 0, 0)
		r, err := b.NewReader(Options{FromEnd: true, Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		ctx, cancel := context.WithCancel(t.Context())
		records, ended := make(chan outlog.Record), make(chan error)
		go func() {
			rec, err := r.Next(ctx)
			if records <- rec; err == nil {
				_, err = r.Next(ctx)
			}
			ended <- err
		}()
		synctest.Wait() // it waits
		b.Append(outlog.Stderr, []byte("now"))
		if rec := <-records; string(rec.Data) != "now" || rec.Stream != outlog.Stderr {
			t.Fatal(rec)
		}
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
}

func TestOffsetsGoOnInTheNextRun(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		b, err := Open(dir, 0, 0, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		b.Append(outlog.Stdout, fmt.Appendf(nil, "run %d\n", i))
		b.Close()
		if b.End() != int64(6*(i+1)) {
			t.Fatalf("run %d ends at %d", i, b.End())
		}
		if got := readAll(t, b, Options{Query: outlog.Query{TailLines: 2}}); i == 2 && got != "run 1\nrun 2\n" {
			t.Fatalf("tail %q", got)
		}
	}
}
