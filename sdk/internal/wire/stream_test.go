package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"github.com/openvic/vic/sdk/internal/wire"
)

func TestBytesGoThroughInChunks(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcde"), 50_000)
	var messages [][]byte
	keep := func(p []byte) error {
		if len(p) == 0 || len(p) > wire.ChunkSize {
			t.Errorf("a chunk of %d bytes", len(p))
		}
		messages = append(messages, bytes.Clone(p))
		return nil
	}
	if err := wire.Send(bytes.NewReader(data), keep); err != nil {
		t.Fatal(err)
	}
	if n, err := wire.Write(data, keep); err != nil || n != len(data) {
		t.Fatalf("%d, %v", n, err)
	}
	next := func() ([]byte, error) {
		if len(messages) == 0 {
			return nil, io.EOF
		}
		m := messages[0]
		messages = messages[1:]
		return m, nil
	}
	got, err := io.ReadAll(iotest.OneByteReader(io.LimitReader(wire.NewReader(next), int64(len(data)))))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	var rest bytes.Buffer
	if _, err := wire.NewReader(next).WriteTo(&rest); err != nil || rest.Len() == 0 {
		t.Errorf("%d bytes, %v", rest.Len(), err)
	}
}

func TestABrokenStreamIsNotTakenForItsEnd(t *testing.T) {
	broken := fmt.Errorf("download: %w", io.EOF)
	if err := wire.Send(iotest.ErrReader(broken), func([]byte) error { return nil }); !errors.Is(err, broken) {
		t.Errorf("Send: %v", err)
	}
	r := wire.NewReader(func() ([]byte, error) { return nil, broken })
	if _, err := r.WriteTo(io.Discard); !errors.Is(err, broken) {
		t.Errorf("WriteTo: %v", err)
	}
}
