package scanning

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/openvic/vic/core/hub/admission"
	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

func (s *Service) runOne(ctx context.Context, j *jobs.Job) error {
	var t Target
	if err := j.Decode(&t); err != nil {
		return err
	}
	return s.scan(ctx, j, t)
}

// scan scans one artifact and ends the job.
func (s *Service) scan(ctx context.Context, j *jobs.Job, t Target) error {
	repo, err := s.o.Registry().Repository(ctx, t.Repository)
	if err == nil {
		m, merr := s.o.Registry().Manifest(ctx, repo, t.Digest)
		if err = merr; err == nil {
			payload, perr := s.o.Registry().Payload(ctx, m.ID)
			if err = perr; err == nil && !admission.HasImageLayer(payload) {
				return s.nothing(ctx, j, t, "it is no image")
			}
		}
	}
	if errors.Is(err, errdef.ErrNotFound) {
		return s.nothing(ctx, j, t, "it is not there any more")
	}
	if err != nil {
		return err
	}
	scanner, err := s.ofProject(ctx, t.Project)
	if err != nil {
		return jobs.Permanent(err)
	}
	err = s.o.DB.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO scan_report (digest, scanner, status, execution, started) VALUES ($1, $2, 'Running', $3, $4)
			ON CONFLICT (digest, scanner) DO UPDATE SET status = 'Running', message = '', execution = excluded.execution, ended = 0`,
			t.Digest, scanner.Name, j.Execution, s.now())
		return err
	})
	if err != nil {
		return err
	}
	found, err := s.ask(ctx, j, scanner, t)
	if err != nil {
		j.Logf("%v", err)
		if j.Kind == All && ctx.Err() == nil {
			return errors.Join(err, s.failed(ctx, t, scanner, err))
		}
		return err
	}
	return j.Commit(ctx, func(tx *store.Tx) error {
		o, err := s.keep(tx, t.Digest, scanner, found)
		if err != nil || s.o.Told == nil {
			return err
		}
		return s.o.Told(tx, Ended{Target: t, Status: o.Status, Overview: &o, Operator: t.Operator, Time: s.o.Now()})
	})
}

// nothing ends a job that has nothing to do.
func (s *Service) nothing(ctx context.Context, j *jobs.Job, t Target, why string) error {
	j.Logf("%s@%s is left out: %s", t.Repository, t.Digest, why)
	return j.Commit(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM scan_report WHERE digest = $1 AND first = 0`, t.Digest)
		return err
	})
}

// failed notes the failure of one scan of many.
func (s *Service) failed(ctx context.Context, t Target, scanner Scanner, why error) error {
	return s.o.DB.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE scan_report SET status = 'Error', message = $1, ended = $2 WHERE digest = $3 AND scanner = $4`, toldOf(t, why.Error()), s.now(),
			t.Digest, scanner.Name)
		return err
	})
}

// maxMessage is how many bytes of an error are kept.
const maxMessage = 1 << 10

// toldOf is what is kept of an error. The report is of a digest, which other projects may have too: they do not learn where it was
// scanned.
func toldOf(t Target, text string) string {
	text = strings.ReplaceAll(text, t.Repository, "the repository")
	return text[:min(len(text), maxMessage)]
}

// ask has the plugin scan.
func (s *Service) ask(ctx context.Context, j *jobs.Job, scanner Scanner, t Target) (*found, error) {
	about, err := scanner.Driver.Describe(ctx)
	if err != nil {
		return nil, fmt.Errorf("scanner %s: %w", scanner.Name, err)
	}
	supports := func(w scan.Want) bool {
		return slices.ContainsFunc(about.Supports, func(x scan.Support) bool { return x.Want == w && slices.Contains(x.MediaTypes, t.MediaType) })
	}
	var wants []scan.Want
	if supports(scan.Vulnerability) {
		wants = append(wants, scan.Vulnerability)
	}
	for _, format := range []scan.Want{scan.SPDX, scan.CycloneDX} { // Harbor's clients know SPDX
		if supports(format) {
			wants = append(wants, format)
			break
		}
	}
	if len(wants) == 0 {
		return nil, jobs.Permanent(fmt.Errorf("scanner %s does not scan %s", scanner.Name, t.MediaType))
	}
	url, ca, err := s.o.Origin()
	if err != nil {
		return nil, err
	}
	credential, err := s.o.Credential(ctx, t.Repository)
	if err != nil {
		return nil, err
	}
	j.Logf("%s %s scans %s@%s", about.Name, about.Version, t.Repository, t.Digest)
	req := scan.ScanRequest{ID: fmt.Sprint(j.ID), Registry: scan.Registry{URL: url, CA: ca, Authorization: credential}, Repository: t.Repository, Digest: t.Digest,
		Tag: t.Tag, MediaType: t.MediaType, Wants: wants}
	out := &found{s: s, ctx: ctx, job: j, tool: about}
	out.report, err = scanner.Driver.Scan(ctx, req, out)
	switch {
	case errors.Is(err, errdef.ErrConflict):
		return nil, jobs.Permanent(fmt.Errorf("scanner %s has no data of weaknesses yet: update them, and scan again: %w", scanner.Name, err))
	case errors.Is(err, errdef.ErrUnsupported), errors.Is(err, errdef.ErrInvalid), errors.Is(err, errdef.ErrExhausted):
		return nil, jobs.Permanent(fmt.Errorf("scanner %s: %w", scanner.Name, err))
	case err != nil:
		return nil, fmt.Errorf("scanner %s: %w", scanner.Name, err)
	}
	return out, out.flush()
}
