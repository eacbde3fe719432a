package scan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/openvic/vic/sdk/errdef"
)

// Verified reads Data and ends with io.EOF only if its hash is SHA256; else with errdef.ErrInvalid, as it
// does when there are more than MaxImport bytes. A driver that reads it to the end before it changes
// anything keeps the rule of Import.
func (r ImportRequest) Verified() io.Reader {
	return &verified{from: bounded(r.Data, MaxImport, "data"), hash: sha256.New(), sum: r.SHA256}
}

type verified struct {
	from io.Reader
	hash hash.Hash
	sum  string
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.from.Read(p)
	v.hash.Write(p[:n])
	if err == io.EOF { //nolint:errorlint // one that wraps io.EOF is a stream that broke
		if got := hex.EncodeToString(v.hash.Sum(nil)); got != v.sum {
			return n, fmt.Errorf("data: the sha256 is %s, not %s: %w", got, v.sum, errdef.ErrInvalid)
		}
	}
	return n, err
}

// bounded reads at most max bytes of r; one more is errdef.ErrInvalid.
func bounded(r io.Reader, max int64, what string) io.Reader {
	return &limit{from: r, left: max, max: max, what: what}
}

type limit struct {
	from io.Reader
	left int64
	max  int64
	what string
}

func (l *limit) Read(p []byte) (int, error) {
	if l.from == nil {
		return 0, fmt.Errorf("%s: there is no reader: %w", l.what, errdef.ErrInvalid)
	}
	n, err := l.from.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, fmt.Errorf("%s: has more than %d bytes: %w", l.what, l.max, errdef.ErrInvalid)
	}
	return n, err
}
