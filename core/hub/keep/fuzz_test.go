package keep

import (
	"bytes"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// FuzzCopyOfADatabase reads whatever somebody gives as a copy: it ends, by an error or not, and what is read as a row is
// written again as the same row.
func FuzzCopyOfADatabase(f *testing.F) {
	const row = `{"table":"t","columns":[{"name":"a","kind":"integer"},{"name":"b","kind":"text"},{"name":"c","kind":"bytes"},{"name":"d","kind":"boolean"}]}`
	for _, seed := range []string{
		``, `{}`, `{"format":2}`, "{\"format\":1}\n{\"end\":\"*\"}",
		"{\"format\":1}\n" + row + "\n[1,\"x\",{\"base64\":\"AAE=\"},true]\n{\"end\":\"t\",\"rows\":1,\"digest\":\"\"}\n",
		"{\"format\":1}\n" + row + "\n[1,{\"base64\":\"/w==\"},null,false]\n",
		"{\"format\":1}\n{\"table\":\"blob\",\"columns\":[{\"name\":\"digest\",\"kind\":\"text\"}]}\n[\"sha256:x\"]\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var out bytes.Buffer
		z, err := zstd.NewWriter(&out)
		must(t, err)
		_, err = z.Write(text)
		must(t, err)
		must(t, z.Close())
		open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil }
		_ = objects(t.Context(), open, func([]object) error { return nil })
		d, err := newReader(bytes.NewReader(out.Bytes()))
		if err != nil {
			return
		}
		defer d.close()
		_ = d.each(func(table) error { return nil }, func(tb table, line []byte) error {
			row, err := tb.decode(line)
			if err != nil {
				return nil
			}
			once, err := tb.encode(row)
			if err != nil {
				return nil
			}
			again, err := tb.decode(once)
			must(t, err)
			twice, err := tb.encode(again)
			must(t, err)
			if !bytes.Equal(once, twice) {
				t.Errorf("%q is read and written as %q", once, twice)
			}
			return nil
		})
	})
}
