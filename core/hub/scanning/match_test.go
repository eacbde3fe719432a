package scanning

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/settings"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/scan"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// shelf is a Service with many images that were scanned, and the fake scanner.
type shelf struct {
	t       testing.TB
	service *Service
	queue   *jobs.Queue
	fake    *scan.Fake
	db      *store.Store
}

// newShelf has n images of some packages each; every tenth has "rare" 1, all have "common" 1.
func newShelf(t testing.TB, db *store.Store, n, packages int) *shelf {
	t.Helper()
	s := &shelf{t: t, fake: scan.NewFake(), db: db}
	s.service = New(Options{DB: db, Settings: settings.New(db, nil), Queue: func() *jobs.Queue { return s.queue },
		Scanners: func() []Scanner { return []Scanner{{"fake", s.fake, scan.Capabilities()}} }, Log: slog.New(slog.DiscardHandler)})
	s.queue = jobs.New(db, jobs.Options{Kinds: s.service.Jobs(), Log: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.queue.Run(ctx); close(done) }()
	t.Cleanup(func() { stop(); <-done })
	s.know("CVE-1", "nothing", scan.Low)
	s.again()
	for i := range n {
		var list []string
		add := func(name string) {
			list = append(list, fmt.Sprintf(`{"name":%q,"versionInfo":"1","externalRefs":[{"referenceLocator":"pkg:generic/%s@1"}]}`, name, name))
		}
		add("common")
		if i%10 == 0 {
			add("rare")
		}
		for p := range packages {
			add(fmt.Sprintf("package-%d", (i+p)%(2*packages)))
		}
		s.put(digest.FromString(fmt.Sprint(i)).String(), `{"packages":[`+strings.Join(list, ",")+`]}`)
	}
	return s
}

func (s *shelf) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// put makes a report without findings.
func (s *shelf) put(at, sbom string) {
	s.t.Helper()
	x := s.service.Scanners()[0]
	f := &found{s: s.service, ctx: s.t.Context(), report: scan.Report{Database: "1"}}
	s.must(f.Document(scan.SPDX, []byte(sbom)))
	s.must(s.db.Tx(s.t.Context(), func(tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO scan_report (digest, scanner, status) VALUES ($1, $2, 'Running')`, at, x.Name); err != nil {
			return err
		}
		_, err := s.service.keep(tx, at, x, f)
		return err
	}))
}

// know makes the scanner's data say that version 1 of a package has a weakness.
func (s *shelf) know(cve, pkg string, severity scan.Severity) {
	s.t.Helper()
	data := scan.FakeData(cve, pkg, pkg, severity, "1")
	_, err := s.fake.Import(s.t.Context(), scan.ImportRequest{Format: scan.FormatOSV, Ecosystem: pkg, SHA256: digest.FromBytes(data).Encoded(),
		Data: strings.NewReader(string(data))})
	s.must(err)
}

// again finds the new data and waits until images are matched with them. It returns how many were, by the log.
func (s *shelf) again() string {
	s.t.Helper()
	s.must(s.service.CheckDatabases(s.t.Context()))
	list, _, err := s.queue.Executions(s.t.Context(), jobs.Filter{Kind: Match}, 1, 0)
	s.must(err)
	e, err := s.queue.Wait(s.t.Context(), list[0].ID)
	s.must(err)
	if e.Status != jobs.Success {
		s.t.Fatalf("%+v", e)
	}
	tasks, _, err := s.queue.Tasks(s.t.Context(), e.ID, 1, 0)
	s.must(err)
	lines, err := s.queue.TaskLog(s.t.Context(), tasks[0].ID)
	s.must(err)
	return lines[len(lines)-1].Text
}

func (s *shelf) count(query string) (n int) {
	s.t.Helper()
	s.must(s.db.QueryRow(s.t.Context(), query).Scan(&n))
	return n
}

func schemas() []store.Schema {
	return []store.Schema{registry.Schema(), settings.Schema(), jobs.Schema(), Schema()}
}

func TestOnlyWhatNewDataAreAboutIsMatchedAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		s := newShelf(t, open(schemas()...), 30, 5)
		s.know("CVE-2", "rare", scan.Critical)
		if got := s.again(); got != "30 images were looked at, 3 are matched again" {
			t.Error(got)
		}
		if n := s.count(`SELECT COUNT(*) FROM scan_report WHERE severity = 6`); n != 3 {
			t.Errorf("%d images are critical", n)
		}
		if n := s.count(`SELECT COUNT(*) FROM scan_report WHERE database_version = '2'`); n != 30 {
			t.Errorf("%d reports are of the new data", n)
		}
		s.know("CVE-3", "common", scan.Low)
		if got := s.again(); got != "30 images were looked at, 30 are matched again" {
			t.Error(got)
		}
		if n := s.count(`SELECT COUNT(*) FROM scan_finding`); n != 33 {
			t.Errorf("%d findings", n)
		}
		if n := s.count(`SELECT COUNT(*) FROM scan_vuln`); n != 2 {
			t.Errorf("%d texts", n)
		}
		// A weakness that is withdrawn goes, and what is left of deleted images too.
		s.know("CVE-2", "rare", scan.Low)
		s.again()
		if n := s.count(`SELECT COUNT(*) FROM scan_report WHERE severity = 6`); n != 0 {
			t.Errorf("%d images are critical", n)
		}
		s.must(s.service.Tidy(t.Context()))
		if n := s.count(`SELECT COUNT(*) FROM scan_report`) + s.count(`SELECT COUNT(*) FROM scan_finding`) + s.count(`SELECT COUNT(*) FROM scan_sbom`); n != 0 {
			t.Errorf("%d rows are left of images that no repository has", n)
		}
	})
}

// BenchmarkMatchAgain is new data about a package of each, and of every tenth, of 10,000 images of 200 packages.
func BenchmarkMatchAgain(b *testing.B) {
	const images = 10_000
	s := newShelf(b, storetest.Open(b, storetest.URL(b, "sqlite"), schemas()...), images, 200)
	n := 0
	for _, pkg := range []string{"rare", "common"} {
		b.Run(pkg, func(b *testing.B) {
			for b.Loop() {
				n++
				s.know(fmt.Sprintf("CVE-%d", 100+n), pkg, scan.High)
				b.Log(s.again())
			}
		})
	}
}
