// Package scanning has images scanned by plugins of the kind scan, keeps what they find, and refuses images that a project does
// not take. It owns the queue, the reports and the rule; a plugin owns its data of weaknesses.
//
// A scan begins on a push (a project's auto_scan), by hand, or for all images of a project or of the hub, by hand or on a
// schedule. When a scanner's data change, images that hold a package which the change is about are matched again from their
// stored SBOM, without a pull; images whose scanner gives no SBOM wait for the next scan of all.
package scanning

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/settings"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
	"github.com/openvic/vic/sdk/secret"
)

// The kinds of jobs, in Harbor's words where it has them. The subject of One is the number of a manifest; that of All the number
// of a project, or 0 for the hub; of the others nothing.
const (
	One    = "IMAGE_SCAN"
	All    = "SCAN_ALL"
	Match  = "SCAN_MATCH"
	Update = "SCAN_DATA_UPDATE"
)

// Caller is who pulls for a scan, as the registry and its log see it.
const Caller = "hub!scan"

// MetadataScanner is the project's metadata that names its scanner; without it the hub's default counts.
const MetadataScanner = "scanner"

// Scanner is a plugin that scans.
type Scanner struct {
	Name         string
	Driver       scan.Driver
	Capabilities []string
}

func (s Scanner) can(capability string) bool { return slices.Contains(s.Capabilities, capability) }

// Options are what a Service is made of.
type Options struct {
	DB       *store.Store
	Settings *settings.Settings
	Queue    func() *jobs.Queue // asked for when something is to be done
	Registry func() *registry.Registry
	// Scanners are the plugins by role, the first one the default.
	Scanners func() []Scanner
	// Origin is where scanners find the hub: its address, and the authority of its certificate, empty for the system's.
	Origin func() (url string, ca []byte, err error)
	// Credential is the value of a header Authorization that lets the hub's own scan pull from one repository until it has
	// ended.
	Credential func(ctx context.Context, repository string) (secret.Text, error)
	// Told is told of the end of a scan within its transaction: nil, or a function for webhooks.
	Told func(tx *store.Tx, e Ended) error
	Log  *slog.Logger
	Now  func() time.Time // nil: time.Now
}

// Ended is a scan that has ended.
type Ended struct {
	Target
	Status   jobs.Status
	Overview *Overview // nil: there is no report
	Operator string
	Time     time.Time
}

// Service does it all. It may be used by several goroutines.
type Service struct {
	o     Options
	known numbers
}

// New makes a Service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Service{o: o}
}

func (s *Service) now() int64 { return s.o.Now().UnixMilli() }

// ErrNoScanner says that there is none.
var ErrNoScanner = fmt.Errorf("no scanner is configured: name a plugin of kind scan in roles.scan of hub.toml: %w", errdef.ErrConflict)

// Scanner finds one by its name, or the default for "".
func (s *Service) Scanner(ctx context.Context, name string) (Scanner, error) {
	all := s.o.Scanners()
	if name == "" {
		v, err := s.o.Settings.Now(ctx)
		if err != nil {
			return Scanner{}, err
		}
		if name = v.Scanner; name == "" || !slices.ContainsFunc(all, func(x Scanner) bool { return x.Name == name }) {
			if len(all) == 0 {
				return Scanner{}, ErrNoScanner
			}
			return all[0], nil
		}
	}
	for _, x := range all {
		if x.Name == name {
			return x, nil
		}
	}
	return Scanner{}, fmt.Errorf("scanner %s: %w", name, errdef.ErrNotFound)
}

// Scanners are all, the default one first told.
func (s *Service) Scanners() []Scanner { return s.o.Scanners() }

// Of is the scanner of a project: its own, or the default if that is not there any more.
func (s *Service) Of(ctx context.Context, metadata map[string]string) (Scanner, error) {
	x, err := s.Scanner(ctx, metadata[MetadataScanner])
	if errors.Is(err, errdef.ErrNotFound) {
		return s.Scanner(ctx, "")
	}
	return x, err
}

// ofProject is Of by the project's number.
func (s *Service) ofProject(ctx context.Context, project int64) (Scanner, error) {
	m, err := s.o.Settings.Metadata(ctx, s.o.DB, project)
	if err != nil {
		return Scanner{}, err
	}
	return s.Of(ctx, m)
}

// Jobs are the kinds.
func (s *Service) Jobs() []jobs.Kind {
	const longest = time.Hour
	return []jobs.Kind{
		{Name: One, Run: s.runOne, Attempts: 3, Parallel: 2, Timeout: longest, Ended: s.ended, Keep: 5},
		{Name: All, Run: s.runAll, Attempts: 3, Parallel: 2, Timeout: 24 * time.Hour, Wait: 7 * 24 * time.Hour, Ended: s.endedAll,
			Alone: func(project int64) string { return fmt.Sprint(project) }, Keep: 20},
		{Name: Update, Run: s.runUpdate, Parallel: 1, Timeout: 6 * time.Hour, Keep: 20},
		{Name: Match, Run: s.runMatch, Attempts: 3, Parallel: 2, Timeout: 24 * time.Hour, Keep: 20},
	}
}

// Target is an artifact to scan.
type Target struct {
	Project    int64  `json:"project"`
	Repository string `json:"repository"`
	Digest     string `json:"digest"`
	Tag        string `json:"tag,omitempty"`
	MediaType  string `json:"media_type"`
	Operator   string `json:"operator,omitempty"`
	// Again scans it also if there is a report.
	Again bool `json:"again,omitempty"`
}

// ended tells what did not end by Commit: failures and stops.
func (s *Service) ended(tx *store.Tx, e jobs.Execution) error {
	if e.Status == jobs.Success {
		return nil
	}
	var t Target
	if err := json.Unmarshal(e.Params, &t); err != nil {
		return err
	}
	_, err := tx.Exec(`UPDATE scan_report SET status = $1, message = $2, ended = $3 WHERE execution = $4`, string(e.Status), toldOf(t, e.Message), s.now(), e.ID)
	if err != nil || s.o.Told == nil {
		return err
	}
	return s.o.Told(tx, Ended{Target: t, Status: e.Status, Operator: t.Operator, Time: s.o.Now()})
}

// endedAll notes the end of scans that were under way when a scan of all was stopped, or took too long.
func (s *Service) endedAll(tx *store.Tx, e jobs.Execution) error {
	if e.Status == jobs.Success {
		return nil
	}
	_, err := tx.Exec(`UPDATE scan_report SET status = $1, message = $2, ended = $3 WHERE execution = $4 AND status = 'Running'`,
		string(e.Status), e.Message, s.now(), e.ID)
	return err
}
