package scanning

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

// maxDocument bounds an SBOM that is kept; one of 5,000 packages has some 10 MiB.
const maxDocument = 64 << 20

// found is what a scan finds. Texts go into the database as they come, where they are for all reports, so that the memory has
// numbers alone; they count when keep has made them a report's.
type found struct {
	s      *Service
	ctx    context.Context
	job    *jobs.Job // nil: nobody looks at the progress
	tool   scan.Description
	report scan.Report

	waiting  []scan.Finding
	links    []link
	format   scan.Want
	document bytes.Buffer
	packer   *zstd.Encoder
	size     int64
	names    *purls
}

// link is one finding of a report.
type link struct {
	vuln, place int64
	cve, pkg    string
	fixed       bool
	severity    scan.Severity
}

var _ scan.Sink = (*found)(nil)

// Progress implements scan.Sink.
func (f *found) Progress(p scan.Progress) error {
	if f.job != nil {
		f.job.Progress(int64(p.Percent), 100)
	}
	return f.ctx.Err()
}

// batch is how many findings go into the database at once.
const batch = 200

// Findings implements scan.Sink.
func (f *found) Findings(list []scan.Finding) error {
	f.waiting = append(f.waiting, list...)
	if len(f.waiting) < batch {
		return nil
	}
	return f.flush()
}

// Document implements scan.Sink.
func (f *found) Document(format scan.Want, data []byte) (err error) {
	if f.packer == nil {
		if f.packer, err = zstd.NewWriter(&f.document, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1)); err != nil {
			return err
		}
		f.format, f.names = format, newPURLs()
	}
	if f.size += int64(len(data)); f.size > maxDocument {
		return fmt.Errorf("the SBOM has more than %d bytes: %w", maxDocument, errdef.ErrExhausted)
	}
	if _, err := f.packer.Write(data); err != nil {
		return err
	}
	_, err = f.names.Write(data)
	return err
}

// detail is what a finding says, without where in an image it is.
type detail struct {
	scan.Finding
	VendorJSON json.RawMessage `json:",omitempty"`
}

func detailOf(x scan.Finding) detail {
	d := detail{Finding: x, VendorJSON: x.VendorJSON}
	d.Layer, d.Path, d.Finding.VendorJSON = "", "", nil
	return d
}

// score is the highest CVSS of version 3 or later, in tenths.
func score(x scan.Finding) (tenths int64) {
	for _, c := range x.CVSS {
		if !strings.HasPrefix(c.Version, "2") {
			tenths = max(tenths, int64(math.Round(c.Score*10)))
		}
	}
	return tenths
}

// flush finds the numbers of the findings that wait, and writes the texts that are new.
func (f *found) flush() error {
	list := f.waiting
	f.waiting = nil
	for len(list) > 0 {
		n := min(batch, len(list))
		links, err := f.s.record(f.ctx, list[:n])
		if err != nil {
			return err
		}
		if f.links = append(f.links, links...); len(f.links) > scan.MaxFindings {
			return fmt.Errorf("there are more than %d findings: %w", scan.MaxFindings, errdef.ErrExhausted)
		}
		list = list[n:]
	}
	return nil
}

// text is a finding as it is written.
type text struct {
	sum    [sha256.Size]byte // of detail
	detail []byte
	where  [sha256.Size]byte
}

// record returns the numbers of findings. What most images have is remembered, so that the database is asked for what is rare.
func (s *Service) record(ctx context.Context, list []scan.Finding) ([]link, error) {
	out, texts, missing := make([]link, len(list)), make([]text, len(list)), []int{}
	for i, x := range list {
		d, err := json.Marshal(detailOf(x))
		if err != nil {
			return nil, err
		}
		texts[i] = text{sha256.Sum256(d), d, sha256.Sum256([]byte("place\x00" + x.Layer + "\x00" + x.Path))}
		l := link{cve: x.ID, pkg: x.Package, fixed: x.FixedIn != "", severity: x.Severity}
		if l.vuln, l.place = s.known.find(texts[i].sum), s.known.find(texts[i].where); l.vuln == 0 || l.place == 0 {
			missing = append(missing, i)
		}
		out[i] = l
	}
	if len(missing) == 0 {
		return out, nil
	}
	err := s.o.DB.Tx(ctx, func(tx *store.Tx) error {
		for _, i := range missing {
			var err error
			if out[i].vuln, out[i].place, err = write(tx, list[i], texts[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, i := range missing {
		s.known.keep(texts[i].sum, out[i].vuln)
		s.known.keep(texts[i].where, out[i].place)
	}
	return out, nil
}

func write(tx *store.Tx, x scan.Finding, t text) (vuln, place int64, err error) {
	aliases, err := json.Marshal(append([]string{}, x.Aliases...))
	if err != nil {
		return 0, 0, err
	}
	sum := hex.EncodeToString(t.sum[:])
	vuln, err = number(tx, `scan_vuln WHERE sum = $1`, []any{sum},
		`INSERT INTO scan_vuln (sum, cve, aliases, package, version, fixed, severity, score, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (sum) DO NOTHING`,
		sum, x.ID, string(aliases), x.Package, x.Version, x.FixedIn, int64(x.Severity), score(x), t.detail)
	if err != nil {
		return 0, 0, err
	}
	place, err = number(tx, `scan_place WHERE layer = $1 AND path = $2`, []any{x.Layer, x.Path},
		`INSERT INTO scan_place (layer, path) VALUES ($1, $2) ON CONFLICT (layer, path) DO NOTHING`, x.Layer, x.Path)
	return vuln, place, err
}

// numbers remembers the numbers of texts by their hashes. Rows of texts are never removed.
type numbers struct {
	mu   sync.Mutex
	kept map[[sha256.Size]byte]int64
}

// maxNumbers bounds what is remembered, some 10 MB: beyond that it begins anew.
const maxNumbers = 100_000

func (n *numbers) find(sum [sha256.Size]byte) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.kept[sum]
}

func (n *numbers) keep(sum [sha256.Size]byte, id int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.kept == nil || len(n.kept) >= maxNumbers {
		n.kept = map[[sha256.Size]byte]int64{}
	}
	n.kept[sum] = id
}

// number finds a row of a table or adds it, and returns its number.
func number(tx *store.Tx, where string, key []any, insert string, values ...any) (id int64, err error) {
	find := func() error { return tx.Row(`SELECT COALESCE(MAX(id), 0) FROM `+where, key...).Scan(&id) }
	if err := find(); err != nil || id != 0 {
		return id, err
	}
	if _, err := tx.Exec(insert, values...); err != nil {
		return 0, err
	}
	return id, find()
}
