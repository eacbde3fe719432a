package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

// The storm: processes of this test's own program take jobs of one database, and one of them is killed again and again.
const (
	stormURL  = "VIC_TEST_JOBS_DATABASE" // tells the program that it is a worker
	stormName = "VIC_TEST_JOBS_WORKER"   // its name
	stormJobs = "VIC_TEST_JOBS"          // how many jobs; the default is for each run of the tests
)

// effects is what the storm's jobs do: once by Job.Commit, often in a transaction of their own.
var effects = store.Schema{Name: "effects", Steps: []string{`CREATE TABLE effect (execution BIGINT NOT NULL, kind TEXT NOT NULL)`}}

func insertEffect(tx *store.Tx, j *Job) error {
	_, err := tx.Exec(`INSERT INTO effect (execution, kind) VALUES ($1, $2)`, j.Execution, j.Kind)
	return err
}

func stormKinds(db *store.Store) []Kind {
	soon := func(int) time.Duration { return 5 * time.Millisecond }
	// A job takes a moment, so that a process that is killed has some under way.
	moment := func(ctx context.Context) { pause(ctx, rand.N(20*time.Millisecond)) }
	often := func(ctx context.Context, j *Job) error {
		moment(ctx)
		return db.Tx(ctx, func(tx *store.Tx) error { return insertEffect(tx, j) })
	}
	return []Kind{
		{Name: "ONCE", Parallel: 4, Run: func(ctx context.Context, j *Job) error {
			j.Logf("run %d", j.Run)
			moment(ctx)
			return j.Commit(ctx, func(tx *store.Tx) error { return insertEffect(tx, j) })
		}},
		{Name: "OFTEN", Parallel: 4, Run: often},
		{Name: "FLAKY", Parallel: 4, Attempts: 3, Backoff: soon, Run: func(ctx context.Context, j *Job) error {
			if j.Failures == 0 {
				return errors.New("the first time fails")
			}
			return often(ctx, j)
		}},
		{Name: "PLAN", Parallel: 4, Run: func(ctx context.Context, j *Job) error {
			return j.Commit(ctx, func(tx *store.Tx) error {
				if _, err := tx.Exec(`UPDATE job_execution SET tasks = tasks + 2 WHERE id = $1`, j.Execution); err != nil {
					return err
				}
				return j.q.insert(tx, j.Execution, "ONCE", []TaskRequest{{}, {}})
			})
		}},
	}
}

func stormQueue(db *store.Store) *Queue {
	return New(db, Options{Kinds: stormKinds(db), Log: slog.New(slog.DiscardHandler), Lease: 3 * time.Second, Grace: time.Second, Worker: os.Getenv(stormName)})
}

// stormWorker is the life of a worker: it ends by being killed.
func stormWorker(url string) {
	db, err := store.Open(context.Background(), url, Schema(), effects)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	stormQueue(db).Run(context.Background())
}

func TestTwoHubsOneKilledAgainAndAgain(t *testing.T) {
	jobs := 1000
	if n, err := strconv.Atoi(os.Getenv(stormJobs)); err == nil {
		jobs = n
	}
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			url := storetest.URL(t, kind)
			db := storetest.Open(t, url, Schema(), effects)
			q := stormQueue(db)
			q.kinds = nil // it only asks
			worker := func(name string) *exec.Cmd {
				c := exec.Command(os.Args[0], "-test.run=^$")
				c.Env = append(os.Environ(), stormURL+"="+url, stormName+"="+name)
				c.Stderr = os.Stderr
				must(t, c.Start())
				t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
				return c
			}
			want := map[string]int{}
			for i := range jobs {
				k := []string{"ONCE", "OFTEN", "FLAKY", "PLAN"}[i%4]
				want[k]++
				must(t, db.Tx(t.Context(), func(tx *store.Tx) error {
					_, err := q.Enqueue(tx, Request{Kind: k, Subject: int64(i)})
					return err
				}))
			}
			worker("steady")
			kills, began, left := 0, time.Now(), jobs
			for left > 0 {
				name := fmt.Sprint("victim", kills)
				victim := worker(name)
				for took := 0; left > 0 && took < 40; time.Sleep(5 * time.Millisecond) {
					must(t, db.QueryRow(t.Context(), `SELECT COUNT(*) FROM job_execution WHERE ended = 0`).Scan(&left))
					must(t, db.QueryRow(t.Context(), `SELECT COUNT(*) FROM job_task WHERE worker = $1`, name).Scan(&took))
				}
				_ = victim.Process.Kill()
				_ = victim.Wait()
				kills++
			}
			check(t, db, want)
			var runs, losses int
			must(t, db.QueryRow(t.Context(), `SELECT SUM(run), SUM(losses) FROM job_task`).Scan(&runs, &losses))
			t.Logf("%s: %d jobs, %d kills, %d runs, %d of them lost with a process, %s", kind, jobs, kills, runs, losses, time.Since(began).Round(time.Millisecond))
		})
	}
}

// check looks whether each job was done once, or at least once, and none is left.
func check(t *testing.T, db *store.Store, want map[string]int) {
	t.Helper()
	count := func(query string) (n int) {
		t.Helper()
		must(t, db.QueryRow(t.Context(), query).Scan(&n))
		return n
	}
	if n := count(`SELECT COUNT(*) FROM job_execution WHERE status <> 'Success'`); n != 0 {
		t.Errorf("%d executions did not succeed", n)
	}
	if n := count(`SELECT COUNT(*) FROM job_task WHERE status <> 'Success'`); n != 0 {
		t.Errorf("%d tasks did not succeed", n)
	}
	once := want["ONCE"] + 2*want["PLAN"]
	if n := count(`SELECT COUNT(*) FROM effect WHERE kind = 'ONCE'`); n != once {
		t.Errorf("%d effects of what is done exactly once, want %d", n, once)
	}
	for _, k := range []string{"OFTEN", "FLAKY"} {
		if n := count(`SELECT COUNT(DISTINCT execution) FROM effect WHERE kind = '` + k + `'`); n != want[k] {
			t.Errorf("%s: %d done, want %d", k, n, want[k])
		}
	}
}
