package scanning

import (
	"context"
	"log/slog"
	"testing"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

// A scan of all that is under way: one of its images is Running in it.
func TestAScanOfAllEndsWhatItBegan(t *testing.T) {
	db := storetest.Open(t, storetest.URL(t, "sqlite"), schemas()...)
	s := New(Options{DB: db})
	began := make(chan struct{})
	kinds := s.Jobs()
	for i, k := range kinds {
		if k.Name == All {
			kinds[i].Run = func(ctx context.Context, j *jobs.Job) error {
				err := db.Tx(ctx, func(tx *store.Tx) error {
					_, err := tx.Exec(`INSERT INTO scan_report (digest, scanner, status, execution) VALUES ('sha256:a', 'fake', 'Running', $1)`, j.Execution)
					return err
				})
				if err != nil {
					return err
				}
				close(began)
				<-ctx.Done()
				return ctx.Err()
			}
		}
	}
	q := jobs.New(db, jobs.Options{Kinds: kinds, Log: slog.New(slog.DiscardHandler)})
	s.o.Queue = func() *jobs.Queue { return q }
	ctx, end := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { q.Run(ctx); close(done) }()
	t.Cleanup(func() { end(); <-done })
	tx := func(f func(*store.Tx) error) {
		t.Helper()
		if err := db.Tx(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	var id int64
	tx(func(tx *store.Tx) (err error) {
		id, err = q.Enqueue(tx, jobs.Request{Kind: All, Payload: allTask{}})
		return err
	})
	<-began
	tx(func(tx *store.Tx) error { return q.Stop(tx, id) })
	if e, err := q.Wait(t.Context(), id); err != nil || e.Status != jobs.Stopped {
		t.Fatalf("%+v, %v", e, err)
	}
	var status string
	if err := db.QueryRow(t.Context(), `SELECT status FROM scan_report`).Scan(&status); err != nil || status != string(jobs.Stopped) {
		t.Errorf("the image's scan is %s, %v", status, err)
	}
}
