// Registry compares the hub's registry with distribution as it is, on the same disk in the same run: pushes and pulls of
// blobs, of manifests, and lists of tags, as docker does them. Ours is the whole hub: its callers come with a token for a
// private project, as docker does, and what they do goes into the audit log. Distribution asks nobody. Both speak HTTP
// without TLS. Each figure is the better of several rounds in which the two take turns, so that what else the machine does hits both.
//
//	go run ./tests/bench/registry
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	serve := flag.String("serve", "", "be a server: "+plain+" or "+ours)
	dir := flag.String("dir", "", "where the servers keep their data (default: a temporary folder that is removed)")
	database := flag.String("database", "", "the hub's database, such as postgres://... (default: SQLite in dir)")
	rounds := flag.Int("rounds", 3, "rounds of each measurement")
	only := flag.String("only", "", "run only the measurements whose names have this in them, such as \"blobs of 1 MB\"; pulls need their pushes")
	profiles := flag.String("profiles", "", "a folder for what the hub's processor does in each measurement (pprof)")
	scale := flag.Float64("scale", 1, "how much of the usual number of requests")
	var o fullOptions
	flag.IntVar(&o.artifacts, "artifacts", 0, "instead measure the lists and the collector of a hub that holds so many artifacts, which take 3 KB each")
	flag.IntVar(&o.repos, "repositories", 10_000, "in how many repositories they are")
	flag.IntVar(&o.garbage, "garbage", 0, "how many artifacts more were deleted and wait for the collector")
	flag.IntVar(&o.times, "times", 40, "how often each list is asked for; 0: only fill the registry")
	flag.Parse()
	if *serve != "" {
		if err := server(*serve, *dir, *database); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if o.artifacts > 0 {
		if *dir == "" {
			fmt.Fprintln(os.Stderr, "bench of the registry: -artifacts needs a -dir, which is kept and used again")
			os.Exit(2)
		}
		if err := full(context.Background(), *dir, *database, o); err != nil {
			fmt.Fprintln(os.Stderr, "bench of the registry:", err)
			os.Exit(1)
		}
		return
	}
	if err := compare(*dir, *database, *only, *profiles, *rounds, *scale); err != nil {
		fmt.Fprintln(os.Stderr, "bench of the registry:", err)
		os.Exit(1)
	}
}

// figure is requests per second, and the median time of one.
type figure struct {
	rate   float64
	median time.Duration
}

func (f figure) String() string {
	return fmt.Sprintf("%.1f/s (%.1f ms)", f.rate, float64(f.median.Microseconds())/1000)
}

func compare(dir, database, only, profiles string, rounds int, scale float64) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "registry"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
	}
	ctx := context.Background()
	var servers []*process
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	for _, kind := range []string{plain, ours} {
		s, err := start(kind, dir, database)
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	fmt.Printf("%-28s %8s %26s %26s %8s\n", "", "clients", plain+" (median)", ours+" (median)", "ratio")
	for _, clients := range []int{2, 16} {
		var loads []*load
		for _, s := range servers {
			loads = append(loads, newLoad(s.url, clients, scale))
		}
		if err := signUp(ctx, servers[1], loads[1]); err != nil {
			return err
		}
		for _, step := range steps {
			if !strings.Contains(step.name, only) {
				continue
			}
			best := make([]figure, len(loads))
			for range rounds {
				for i, l := range loads {
					f, err := measure(ctx, servers[i], l, step, profiles)
					if err != nil {
						return fmt.Errorf("%s, %s: %w", step.name, servers[i].kind, err)
					}
					if f.rate > best[i].rate {
						best[i] = f
					}
				}
			}
			fmt.Printf("%-28s %8d %26s %26s %8.2f\n", step.name, clients, best[0], best[1], best[1].rate/best[0].rate)
		}
	}
	for _, s := range servers {
		now, peak := s.memory()
		fmt.Printf("%s: ready after %d ms; %d MB resident, %d MB at most\n", s.kind, s.ready.Milliseconds(), now>>20, peak>>20)
	}
	return nil
}

// measure runs a step once.
func measure(ctx context.Context, s *process, l *load, x step, profiles string) (figure, error) {
	if s.kind == ours {
		if err := signIn(ctx, s, l); err != nil {
			return figure{}, err
		}
		if profiles != "" {
			name := fmt.Sprintf("%s %d.pprof", x.name, l.clients)
			end, err := s.profile(filepath.Join(profiles, strings.ReplaceAll(name, " ", "-")))
			if err != nil {
				return figure{}, err
			}
			defer end()
		}
	}
	return x.run(ctx, l)
}

// median of times, which it sorts.
func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}
