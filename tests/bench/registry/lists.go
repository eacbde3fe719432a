package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// fullOptions say how large the filled registry is.
type fullOptions struct{ artifacts, repos, garbage, times int }

// full measures a registry that holds much: the hub's lists and searches, its start, and the collector beside pushes.
func full(ctx context.Context, dir, database string, o fullOptions) error {
	s, err := start(ours, dir, database) // makes the tables and the first user
	if err != nil {
		return err
	}
	s.stop()
	f, err := openFiller(ctx, cmp.Or(database, "sqlite:"+filepath.Join(dir, "hub.db")), dir, o.artifacts, o.repos, o.garbage)
	if err != nil {
		return err
	}
	var there int
	if err := f.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM project WHERE name = $1`, bigProject).Scan(&there); err != nil {
		return err
	}
	if there == 0 {
		began := time.Now()
		if err := f.fill(ctx); err != nil {
			return err
		}
		fmt.Printf("filled with %d artifacts in %d repositories, and %d that were deleted, in %.0f s\n", o.artifacts, o.repos, o.garbage, time.Since(began).Seconds())
	}
	size, err := f.size(ctx)
	if err != nil {
		return err
	}
	if err := f.db.Close(); err != nil {
		return err
	}
	if o.times == 0 {
		return nil
	}
	if s, err = start(ours, dir, database); err != nil {
		return err
	}
	defer s.stop()
	now, _ := s.memory()
	fmt.Printf("database %d MB; ready after %d ms with %d MB resident\n", size>>20, s.ready.Milliseconds(), now>>20)
	if err := lists(ctx, s, o); err != nil {
		return err
	}
	now, peak := s.memory()
	fmt.Printf("%d MB resident, %d MB at most\n", now>>20, peak>>20)
	if o.garbage == 0 {
		return nil
	}
	return collecting(ctx, s)
}

// lists prints how long lists and searches take.
func lists(ctx context.Context, s *process, o fullOptions) error {
	login, err := robot(ctx, s)
	if err != nil {
		return err
	}
	last := fmt.Sprintf("v1.%d", o.artifacts/40)
	day := time.Now().Add(-36 * time.Hour).UTC().Format(time.DateTime)
	for _, x := range []struct{ name, path string }{
		{"projects", "/api/v2.0/projects?page_size=50"},
		{"projects by name", "/api/v2.0/projects?name=team-1&page_size=50"},
		{"repositories of a project", "/api/v2.0/projects/big/repositories?page_size=50"},
		{"... the last page", fmt.Sprintf("/api/v2.0/projects/big/repositories?page_size=50&page=%d", o.repos/100)},
		{"... by name", "/api/v2.0/projects/big/repositories?q=name=~-0123&page_size=50"},
		{"artifacts of a repository", "/api/v2.0/projects/big/repositories/app-00001/artifacts?page_size=50"},
		{"... the last page", fmt.Sprintf("/api/v2.0/projects/big/repositories/app-00001/artifacts?page_size=50&page=%d", o.artifacts/1000)},
		{"one artifact", "/api/v2.0/projects/big/repositories/app-00001/artifacts/" + last},
		{"tags of an artifact", "/api/v2.0/projects/big/repositories/app-00001/artifacts/" + last + "/tags"},
		{"tags/list of /v2/", "/v2/" + bigRepo + "/tags/list?n=100"},
		{"... after one", "/v2/" + bigRepo + "/tags/list?n=100&last=" + last},
		{"catalogue", "/v2/_catalog?n=100"},
		{"... after one", "/v2/_catalog?n=100&last=team-120"},
		{"audit log", "/api/v2.0/audit-logs?page_size=50"},
		{"... page 2,000", "/api/v2.0/audit-logs?page_size=50&page=2000"},
		{"... of a user", "/api/v2.0/audit-logs?q=username=dev7&page_size=50"},
		{"... with a text", "/api/v2.0/audit-logs?q=resource=~service-0777&page_size=50"},
		{"... of an operation and a time", "/api/v2.0/audit-logs?q=operation=push,op_time=[" + strings.ReplaceAll(day, " ", "%20") + "~]&page_size=50"},
		{"... with a text that is nowhere", "/api/v2.0/audit-logs?q=resource=~nowhere&page_size=50"},
		{"log of a project", "/api/v2.0/projects/team-120/logs?page_size=50"},
		{"search", "/api/v2.0/search?q=service-0777"},
		{"statistics", "/api/v2.0/statistics"},
		{"quotas", "/api/v2.0/quotas?page_size=50"},
		{"summary of a project", "/api/v2.0/projects/big/summary"},
	} {
		times := make([]time.Duration, o.times)
		status, bytes := 0, 0
		for i := range times {
			began := time.Now()
			if status, bytes, err = get(ctx, s.url+x.path, login); err != nil {
				return err
			}
			times[i] = time.Since(began)
		}
		slices.Sort(times)
		fmt.Printf("%-34s %4d %8d bytes   median %7.1f ms   p95 %7.1f ms\n", x.name, status, bytes, ms(times[len(times)/2]), ms(times[len(times)*95/100]))
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// get reads an answer to its end.
func get(ctx context.Context, url string, login [2]string) (status, bytes int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, 0, err
	}
	req.SetBasicAuth(login[0], login[1])
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	return res.StatusCode, int(n), err
}

// robot makes a robot that may do everything that a robot may: its secret costs less to check than a password.
func robot(ctx context.Context, s *process) (login [2]string, err error) {
	_, b, err := ask(ctx, s, "GET", "/api/v2.0/permissions", "")
	if err != nil {
		return login, err
	}
	var all map[string][]map[string]string
	if err := json.Unmarshal(b, &all); err != nil {
		return login, err
	}
	body, err := json.Marshal(map[string]any{"name": fmt.Sprintf("bench%d", time.Now().UnixNano()), "level": "system", "duration": -1,
		"permissions": []map[string]any{{"kind": "system", "namespace": "/", "access": all["system"]},
			{"kind": "project", "namespace": "*", "access": all["project"]}}})
	if err != nil {
		return login, err
	}
	if _, b, err = ask(ctx, s, "POST", "/api/v2.0/robots", string(body)); err != nil {
		return login, err
	}
	var made struct{ Name, Secret string }
	if err := json.Unmarshal(b, &made); err != nil {
		return login, err
	}
	return [2]string{made.Name, made.Secret}, nil
}
