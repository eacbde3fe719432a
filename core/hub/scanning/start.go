package scanning

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/hub/admission"
	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// MetadataAuto is the project's metadata that has each pushed image scanned.
const MetadataAuto = "auto_scan"

// maxChildren bounds the images of one index.
const maxChildren = 100

func isIndex(mediaType string) bool {
	return mediaType == v1.MediaTypeImageIndex || strings.Contains(mediaType, "manifest.list")
}

// images are what of an artifact can be scanned: itself, or the images that an index names.
func (s *Service) images(ctx context.Context, repo registry.Repository, m registry.Stored) ([]registry.Stored, error) {
	payload, err := s.o.Registry().Payload(ctx, m.ID)
	if err != nil {
		return nil, err
	}
	if !isIndex(m.MediaType) {
		if !admission.HasImageLayer(payload) {
			return nil, nil
		}
		return []registry.Stored{m}, nil
	}
	var index v1.Index
	if err := json.Unmarshal(payload, &index); err != nil {
		return nil, err
	}
	var all []registry.Stored
	for _, d := range index.Manifests[:min(len(index.Manifests), maxChildren)] {
		if isIndex(d.MediaType) {
			continue
		}
		child, err := s.o.Registry().Manifest(ctx, repo, d.Digest.String())
		if errors.Is(err, errdef.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		one, err := s.images(ctx, repo, child)
		if err != nil {
			return nil, err
		}
		all = append(all, one...)
	}
	return all, nil
}

// Start has an artifact scanned, for an index each of its images. errdef.ErrConflict: it is being scanned, or there is no
// scanner. errdef.ErrInvalid: there is no image in it.
func (s *Service) Start(ctx context.Context, repo registry.Repository, m registry.Stored, operator string) error {
	scanner, err := s.ofProject(ctx, repo.Project)
	if err != nil {
		return err
	}
	list, err := s.images(ctx, repo, m)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return fmt.Errorf("%s@%s holds no image that could be scanned: %w", repo.Name, m.Digest, errdef.ErrInvalid)
	}
	return s.o.DB.Tx(ctx, func(tx *store.Tx) error {
		for _, x := range list {
			t := Target{Project: repo.Project, Repository: repo.Name, Digest: x.Digest.String(), MediaType: x.MediaType, Operator: operator, Again: true}
			if len(m.Tags) > 0 {
				t.Tag = m.Tags[0].Name
			}
			if err := s.enqueue(tx, scanner, t, x.ID, jobs.ByHand); err != nil {
				return err
			}
		}
		return nil
	})
}

// enqueue adds a scan, which is the last one of its report.
func (s *Service) enqueue(tx *store.Tx, scanner Scanner, t Target, manifest int64, cause jobs.Cause) error {
	id, err := s.o.Queue().Enqueue(tx, jobs.Request{Kind: One, Subject: manifest, Cause: cause, Alone: t.Digest + " " + scanner.Name, Payload: t})
	if errors.Is(err, errdef.ErrConflict) {
		return fmt.Errorf("%s@%s is being scanned; wait until it has ended, or stop it: %w", t.Repository, t.Digest, errdef.ErrConflict)
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO scan_report (digest, scanner, status, execution, started) VALUES ($1, $2, 'Pending', $3, $4)
		ON CONFLICT (digest, scanner) DO UPDATE SET status = 'Pending', message = '', execution = excluded.execution, started = excluded.started, ended = 0`,
		t.Digest, scanner.Name, id, s.now())
	return err
}

// Pushed has a pushed image scanned if its project wants that, within the transaction of the push.
func (s *Service) Pushed(tx *store.Tx, e registry.Event) error {
	if isIndex(e.Artifact.MediaType) || e.Artifact.Subject != "" || !strings.HasSuffix(e.Artifact.ArtifactType, "+json") || len(s.o.Scanners()) == 0 {
		return nil
	}
	m, err := s.o.Settings.Metadata(tx.Context(), tx, e.ProjectID)
	if err != nil || m[MetadataAuto] != "true" {
		return err
	}
	scanner, err := s.Of(tx.Context(), m)
	if err != nil {
		return err
	}
	var id int64
	var there bool
	err = tx.Row(`SELECT m.id, EXISTS (SELECT 1 FROM scan_report WHERE digest = m.digest AND scanner = $3 AND (first > 0 OR status IN ('Pending', 'Running')))
		FROM manifest m JOIN repo r ON r.id = m.repo_id WHERE r.name = $1 AND m.digest = $2`,
		e.Artifact.Repository, e.Artifact.Digest.String(), scanner.Name).Scan(&id, &there)
	if err != nil || there { // what is known of it is kept up to date
		return err
	}
	t := Target{Project: e.ProjectID, Repository: e.Artifact.Repository, Digest: e.Artifact.Digest.String(), MediaType: e.Artifact.MediaType, Operator: e.Caller}
	if len(e.Tags) > 0 {
		t.Tag = e.Tags[0]
	}
	if err = s.enqueue(tx, scanner, t, id, jobs.ByEvent); errors.Is(err, errdef.ErrConflict) {
		return nil
	}
	return err
}

// Stop stops the scans of an artifact that its project asked for and that have not ended. A report is of a digest, so its last scan
// may be another project's, or a task of a scan of all, which go on. errdef.ErrNotFound: there are none.
func (s *Service) Stop(ctx context.Context, repo registry.Repository, m registry.Stored) error {
	list, err := s.images(ctx, repo, m)
	if err != nil {
		return err
	}
	scanner, err := s.ofProject(ctx, repo.Project)
	if err != nil {
		return err
	}
	var own []int64
	for _, x := range list {
		all, err := s.reports(ctx, scanner.Name, []string{x.Digest.String()})
		if err != nil {
			return err
		}
		for _, o := range all {
			_, err := s.Task(ctx, repo, o)
			if err == nil && !o.Status.Ended() {
				own = append(own, o.Execution)
			}
			if err != nil && !errors.Is(err, errdef.ErrNotFound) {
				return err
			}
		}
	}
	err = s.o.DB.Tx(ctx, func(tx *store.Tx) error {
		for _, id := range own {
			if err := s.o.Queue().Stop(tx, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && len(own) == 0 {
		err = fmt.Errorf("no scan of %s@%s is under way: %w", repo.Name, m.Digest, errdef.ErrNotFound)
	}
	return err
}

// StartAll has all images of a project scanned, or for 0 of the hub. errdef.ErrConflict: that is under way.
func (s *Service) StartAll(ctx context.Context, project int64, cause jobs.Cause) (id int64, err error) {
	if _, err := s.Scanner(ctx, ""); err != nil {
		return 0, err
	}
	err = s.o.DB.Tx(ctx, func(tx *store.Tx) (err error) {
		id, err = s.o.Queue().Enqueue(tx, jobs.Request{Kind: All, Subject: project, Cause: cause, Payload: allTask{Project: project}})
		if errors.Is(err, errdef.ErrConflict) {
			err = fmt.Errorf("a scan of all is under way; wait until it has ended, or stop it: %w", errdef.ErrConflict)
		}
		return err
	})
	return id, err
}

// allTask is a task of All: the first finds the images, the others scan one each.
type allTask struct {
	Project int64   `json:"project"`
	One     *Target `json:"one,omitempty"`
}

// runAll finds what is to be scanned and adds a task for each image, or scans one.
func (s *Service) runAll(ctx context.Context, j *jobs.Job) error {
	var p allTask
	if err := j.Decode(&p); err != nil {
		return err
	}
	if p.One != nil {
		return s.scan(ctx, j, *p.One)
	}
	const page = 500
	added, last := 0, int64(0)
	for {
		list, err := s.after(ctx, p.Project, last, page)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			j.Logf("%d artifacts are to be scanned", added)
			return nil
		}
		tasks := make([]jobs.TaskRequest, len(list))
		for i, x := range list {
			last = x.id
			tasks[i].Payload = allTask{Project: p.Project, One: &x.Target}
		}
		if err := j.Add(ctx, tasks...); err != nil {
			return err
		}
		added += len(tasks)
	}
}

type numbered struct {
	Target
	id int64
}

// after lists images by number: each digest once, for the whole hub.
func (s *Service) after(ctx context.Context, project, last int64, limit int) ([]numbered, error) {
	rows, err := s.o.DB.Query(ctx, `SELECT m.id, r.project_id, r.name, m.digest, m.media_type,
			COALESCE((SELECT MIN(t.name) FROM tag t WHERE t.manifest_id = m.id), '')
		FROM manifest m JOIN repo r ON r.id = m.repo_id
		WHERE m.id > $1 AND m.subject IS NULL AND m.media_type NOT LIKE '%index%' AND m.media_type NOT LIKE '%manifest.list%'
			AND ($2 = 0 AND NOT EXISTS (SELECT 1 FROM manifest o WHERE o.digest = m.digest AND o.id < m.id) OR r.project_id = $2)
		ORDER BY m.id LIMIT $3`, last, project, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []numbered
	for rows.Next() {
		x := numbered{Target: Target{Again: true}}
		if err := rows.Scan(&x.id, &x.Project, &x.Repository, &x.Digest, &x.MediaType, &x.Tag); err != nil {
			return nil, err
		}
		list = append(list, x)
	}
	return list, rows.Err()
}
