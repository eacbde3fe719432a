// Registry compares the hub's registry with distribution as it is, on the same disk in the same run: pushes and pulls of
// blobs, of manifests, and lists of tags, as docker does them. Ours is the whole hub: its callers come with a token for a
// private project, as docker does, and what they do goes into the audit log. Distribution asks nobody. Both speak HTTP
// without TLS. Each figure is the better of several rounds in which the two take turns, so that what else the machine does hits both.
//
//	go run ./tests/bench/registry            # on SQLite
//	go run ./tests/bench/registry -postgres  # on a PostgreSQL of its own
//
// The last columns say what a request costs however busy the machine is: milliseconds of the processor's time in the server and its
// database, theirs, ours and the ratio, and how often ours waited for its database.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openvic/vic/core/store/storetest"
)

func main() {
	serve := flag.String("serve", "", "be a server: "+plain+" or "+ours)
	dir := flag.String("dir", "", "where the servers keep their data (default: a temporary folder that is removed)")
	database := flag.String("database", "", "the hub's database, such as postgres://... (default: SQLite in dir)")
	postgres := flag.Bool("postgres", false, "keep the hub's database on a PostgreSQL of the measurement's own, on the same disk")
	rounds := flag.Int("rounds", 3, "rounds of each measurement")
	only := flag.String("only", "", "run only the measurements whose names a regular expression finds, such as \"blobs of 1 MB\"; "+
		"pulls need their pushes, manifests the blobs of 1 KB")
	profiles := flag.String("profiles", "", "a folder for what the hub's processor does in each measurement (pprof)")
	clients := flag.String("clients", "2,16", "how many clients at a time")
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
	if err := compare(options{*dir, *database, *postgres, *only, *profiles, *clients, *rounds, *scale}); err != nil {
		fmt.Fprintln(os.Stderr, "bench of the registry:", err)
		os.Exit(1)
	}
}

// figure is requests per second, the median time of one, and what they cost the server.
type figure struct {
	rate   float64
	median time.Duration
	n      int64 // requests
	spent  spent
}

func (f figure) String() string {
	return fmt.Sprintf("%.1f/s (%.1f ms)", f.rate, float64(f.median.Microseconds())/1000)
}

// cpu is the processor's time of one request in milliseconds.
func (f figure) cpu() float64 { return f.spent.cpu.Seconds() * 1000 / float64(f.n) }

// options of a comparison: see the flags of main.
type options struct {
	dir, database           string
	postgres                bool
	only, profiles, clients string
	rounds                  int
	scale                   float64
}

// rig is the two servers, and the parent of the processes of the hub's database if we started it.
type rig struct {
	options
	wanted   *regexp.Regexp
	servers  []*process
	postgres int
}

func compare(o options) (err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "registry"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(o.dir) }()
	}
	ctx := context.Background()
	r := &rig{options: o}
	if r.wanted, err = regexp.Compile(o.only); err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if o.postgres {
		url, parent, stop, err := storetest.Server(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = stop() }()
		r.database, r.postgres = url, parent
	}
	defer func() {
		for _, s := range r.servers {
			s.stop()
		}
	}()
	for _, kind := range []string{plain, ours} {
		s, err := start(kind, r.dir, r.database)
		if err != nil {
			return err
		}
		r.servers = append(r.servers, s)
	}
	fmt.Printf("%-28s %8s %24s %24s %6s   %s\n", "", "clients", plain+" (median)", ours+" (median)", "ratio", "CPU ms a request, ratio; round trips")
	for f := range strings.SplitSeq(o.clients, ",") {
		clients, err := strconv.Atoi(f)
		if err != nil {
			return fmt.Errorf("-clients: %w", err)
		}
		if err := r.steps(ctx, clients); err != nil {
			return err
		}
	}
	for _, s := range r.servers {
		now, peak := s.memory()
		fmt.Printf("%s: ready after %d ms; %d MB resident, %d MB at most\n", s.kind, s.ready.Milliseconds(), now>>20, peak>>20)
	}
	return nil
}

// steps takes all measurements with a number of clients.
func (r *rig) steps(ctx context.Context, clients int) error {
	var loads []*load
	for _, s := range r.servers {
		loads = append(loads, newLoad(s.url, clients, r.scale))
	}
	if err := signUp(ctx, r.servers[1], loads[1]); err != nil {
		return err
	}
	for _, step := range steps {
		if !r.wanted.MatchString(step.name) {
			continue
		}
		best, all := make([]figure, len(loads)), make([]figure, len(loads))
		for range r.rounds {
			for i, l := range loads {
				f, err := r.measure(ctx, r.servers[i], l, step)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", step.name, r.servers[i].kind, err)
				}
				if f.rate > best[i].rate {
					best[i] = f
				}
				all[i].n += f.n
				all[i].spent.cpu += f.spent.cpu
				all[i].spent.trips += f.spent.trips
			}
		}
		theirs, mine := all[0].cpu(), all[1].cpu()
		fmt.Printf("%-28s %8d %24s %24s %6.2f   %5.2f %5.2f %5.2f; %4.1f\n", step.name, clients, best[0], best[1], best[1].rate/best[0].rate,
			theirs, mine, theirs/mine, float64(all[1].spent.trips)/float64(all[1].n))
	}
	return nil
}

// measure runs a step once.
func (r *rig) measure(ctx context.Context, s *process, l *load, x step) (f figure, err error) {
	database := 0
	if s.kind == ours {
		if err := signIn(ctx, s, l); err != nil {
			return figure{}, err
		}
		database = r.postgres
	}
	if s.kind == ours && r.profiles != "" {
		name := fmt.Sprintf("%s %d.pprof", x.name, l.clients)
		end, err := s.profile(filepath.Join(r.profiles, strings.ReplaceAll(name, " ", "-")))
		if err != nil {
			return figure{}, err
		}
		defer end()
	}
	before, err := s.spent(database)
	if err != nil {
		return figure{}, err
	}
	if f, err = x.run(ctx, l); err != nil {
		return f, err
	}
	after, err := s.spent(database)
	f.spent = after.minus(before)
	return f, err
}

// median of times, which it sorts.
func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}
