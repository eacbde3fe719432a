package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type rig struct {
	*Log
	t   *testing.T
	now time.Time
}

func each(t *testing.T, test func(r *rig)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		r := &rig{t: t, now: time.UnixMilli(1_800_000_000_000)}
		r.Log = New(open(Schema()), slog.New(slog.DiscardHandler), func() time.Time { return r.now })
		test(r)
	})
}

// write keeps n lines, one a minute, and seals them.
func (r *rig) write(n int) {
	r.t.Helper()
	for i := range n {
		r.now = r.now.Add(time.Minute)
		r.Keep(r.t.Context(), Line{Caller: access.Caller{Name: fmt.Sprint("user", i%3), Method: access.ByPassword, Address: "192.0.2.1"}, Agent: "docker/28",
			Operation: []string{"push", "pull"}[i%2], Type: "artifact", Resource: fmt.Sprintf("p%d/App_%d", i%2+1, i), Project: int64(i%2 + 1), Outcome: 201})
	}
	sealed, err := r.SealNow(r.t.Context())
	must(r.t, err)
	if sealed != n {
		r.t.Fatalf("%d lines sealed, want %d", sealed, n)
	}
}

func (r *rig) exec(query string, args ...any) {
	r.t.Helper()
	must(r.t, r.db.Tx(r.t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	}))
}

// Lines that are sealed at once and lines that are sealed later make one chain.
func TestLinesThatAreSealedAtOnce(t *testing.T) {
	each(t, func(r *rig) {
		r.write(3)
		r.Keep(r.t.Context(), Line{Caller: access.Caller{Name: "late"}, Operation: "pull", Type: "artifact"})
		for _, n := range []int{1, 19, 20, 45} {
			lines := make([]Line, n)
			for i := range lines {
				lines[i] = Line{Caller: access.Caller{Name: "x\x00y"}, Operation: "pull", Type: "artifact", Resource: fmt.Sprint(n, i), Outcome: 200}
			}
			must(t, r.db.Tx(r.t.Context(), func(tx *store.Tx) error { return r.AddSealed(tx, lines) }))
		}
		if n, err := r.SealNow(r.t.Context()); err != nil || n != 1 {
			t.Errorf("%d sealed later, %v", n, err)
		}
		v, err := r.Verify(r.t.Context())
		if err != nil || v.Lines != 3+1+85 || v.Unsealed != 0 {
			t.Errorf("%+v %v", v, err)
		}
		list, total, err := r.Search(r.t.Context(), Query{Caller: "xy"}, 100, 0)
		if err != nil || total != 85 || list[0].Resource != "45 44" || list[84].Resource != "1 0" {
			t.Errorf("%d %v", total, err)
		}
	})
}

func TestAChangedLogShows(t *testing.T) {
	for name, c := range map[string]struct {
		change string
		want   string
	}{
		"a changed caller":        {`UPDATE audit_line SET caller = 'eve' WHERE seq = 5`, "line 5 "},
		"a changed time":          {`UPDATE audit_line SET at = at + 1 WHERE seq = 5`, "line 5 "},
		"a changed outcome":       {`UPDATE audit_line SET outcome = 403 WHERE seq = 10`, "line 10 "},
		"texts that were shifted": {`UPDATE audit_line SET operation = operation || 'a', resource_type = 'rtifact' WHERE seq = 2`, "line 2 "},
		"a line that is gone":     {`DELETE FROM audit_line WHERE seq = 7`, "line 7 is missing"},
		"the first one gone":      {`DELETE FROM audit_line WHERE seq = 1`, "line 1 is missing"},
		"the last one gone":       {`DELETE FROM audit_line WHERE seq = 10`, "line 10 is missing"},
		"all gone":                {`DELETE FROM audit_line`, "line 1 is missing"},
		"lines that were swapped": {`UPDATE audit_line SET seq = CASE seq WHEN 3 THEN 1004 ELSE 1003 END WHERE seq IN (3, 4); UPDATE audit_line SET seq = seq - 1000 WHERE seq > 1000`, "line 3 "},
		"a line behind the end":   {`UPDATE audit_line SET seq = seq WHERE seq = 1; INSERT INTO audit_line (seq, at, caller, caller_kind, address, agent, operation, resource_type, resource, project, outcome, detail) VALUES (11, 1, '', '', '', '', '', '', '', 0, 0, '')`, "1 lines were added"},
		"a chain cut at its end":  {`UPDATE audit_chain SET last_seq = 9`, "is not the one that was last"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(r *rig) {
				r.write(10)
				v, err := r.Verify(t.Context())
				if err != nil || v.Lines != 10 || v.Unsealed != 0 || !strings.HasPrefix(v.Head, "10:") {
					t.Fatalf("%+v %v", v, err)
				}
				for _, statement := range strings.Split(c.change, "; ") {
					r.exec(statement)
				}
				if v, err := r.Verify(t.Context()); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), c.want) {
					r.t.Errorf("%+v, %v; want %q", v, err, c.want)
				}
			})
		})
	}
}

func TestALineIsThereIfWhatItIsAboutIs(t *testing.T) {
	each(t, func(r *rig) {
		undone := errors.New("undone")
		err := r.db.Tx(t.Context(), func(tx *store.Tx) error {
			return errors.Join(r.Add(tx, Line{Operation: "push"}), undone)
		})
		if !errors.Is(err, undone) {
			r.t.Fatal(err)
		}
		must(t, r.db.Tx(t.Context(), func(tx *store.Tx) error { return r.Add(tx, Line{Operation: "delete"}) }))
		if list, total, err := r.Search(t.Context(), Query{}, 10, 0); err != nil || total != 1 || list[0].Operation != "delete" || !list[0].Time.Equal(r.now) {
			r.t.Errorf("%+v %d %v", list, total, err)
		}
		if v, err := r.Verify(t.Context()); err != nil || v.Unsealed != 1 || v.Lines != 0 {
			r.t.Errorf("%+v %v", v, err)
		}
	})
}

func TestSeveralWriteAndSealAtOnce(t *testing.T) {
	each(t, func(r *rig) {
		const writers, lines = 8, 20
		ctx, stop := context.WithCancel(t.Context())
		var sealers, wg sync.WaitGroup
		for range 3 {
			other := New(r.db, r.log, r.Log.now) // as another process
			sealers.Go(func() {
				for ctx.Err() == nil {
					if _, err := other.SealNow(ctx); err != nil && ctx.Err() == nil {
						r.t.Error(err)
						return
					}
				}
			})
		}
		for range writers {
			wg.Go(func() {
				for i := range lines {
					r.Keep(t.Context(), Line{Operation: "push", Resource: fmt.Sprint(i)})
				}
			})
		}
		wg.Wait()
		stop()
		sealers.Wait()
		_, err := r.SealNow(t.Context())
		must(t, err)
		if v, err := r.Verify(t.Context()); err != nil || v.Lines != writers*lines {
			r.t.Errorf("%+v %v", v, err)
		}
	})
}

func TestSealRunsByItself(t *testing.T) {
	each(t, func(r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.Seal(ctx); close(done) }()
		r.Keep(ctx, Line{Operation: "push"})
		for v, err := r.Verify(ctx); v.Lines != 1; v, err = r.Verify(ctx) { // bounded by the test's own time
			must(t, err)
		}
		cancel()
		<-done
	})
}

func TestOldLinesAreForgottenAndTheChainHolds(t *testing.T) {
	each(t, func(r *rig) {
		begin := r.now
		r.write(10)
		n, err := r.Forget(t.Context(), begin.Add(4*time.Minute+time.Second))
		if err != nil || n != 4 {
			r.t.Fatalf("%d lines are gone, %v", n, err)
		}
		if v, err := r.Verify(t.Context()); err != nil || v.Lines != 6 {
			r.t.Errorf("%+v %v", v, err)
		}
		r.write(3)
		if v, err := r.Verify(t.Context()); err != nil || v.Lines != 9 {
			r.t.Errorf("%+v %v", v, err)
		}
		r.exec(`DELETE FROM audit_line WHERE seq = 5`)
		if _, err := r.Verify(t.Context()); !errors.Is(err, ErrBroken) {
			r.t.Errorf("%v", err)
		}
		if n, err := r.Forget(t.Context(), begin); err != nil || n != 0 {
			r.t.Errorf("%d %v", n, err)
		}
		if n, err := r.Forget(t.Context(), r.now.Add(time.Hour)); err != nil || n != 8 {
			r.t.Errorf("all: %d %v", n, err)
		}
		if v, err := r.Verify(t.Context()); err != nil || v.Lines != 0 {
			r.t.Errorf("%+v %v", v, err)
		}
	})
}

// Names go with the last line that has them, and are found again when they come back, by a hub that knew their numbers too.
func TestTextsGoWithTheirLines(t *testing.T) {
	each(t, func(r *rig) {
		ctx, begin := r.t.Context(), r.now
		keep := func(names ...string) {
			r.t.Helper()
			r.now = r.now.Add(time.Hour)
			for _, name := range names {
				r.Keep(ctx, Line{Caller: access.Caller{Name: name}, Type: "project", Resource: "projects/of-" + name})
				_, err := r.SealNow(ctx)
				must(r.t, err)
			}
		}
		keep("ann", "ann", "bob")
		keep("bob")
		if n, err := r.Forget(ctx, begin.Add(90*time.Minute)); err != nil || n != 3 {
			r.t.Fatalf("%d %v", n, err)
		}
		var texts int
		must(r.t, r.db.QueryRow(ctx, `SELECT COUNT(*) FROM audit_text`).Scan(&texts))
		if texts != 2 {
			r.t.Errorf("%d texts of bob's one line", texts)
		}
		keep("ann", "bob")
		for q, want := range map[Query]int{{Caller: "ann"}: 1, {Resource: "of-ann"}: 1, {Caller: "bob"}: 2, {Resource: "of-bob"}: 2} {
			if list, total, err := r.Search(ctx, q, 10, 0); err != nil || total != want || len(list) != want {
				r.t.Errorf("%+v: %d of %d, %v", q, len(list), total, err)
			}
		}
	})
}

func TestSearch(t *testing.T) {
	each(t, func(r *rig) {
		begin := r.now
		r.write(12)
		for _, c := range []struct {
			q    Query
			want int
		}{
			{Query{}, 12}, {Query{Project: 1}, 6}, {Query{Operation: "pull"}, 6}, {Query{Operation: "pul"}, 0}, {Query{Caller: "USER1"}, 4}, {Query{Caller: "%"}, 0},
			{Query{Resource: "app_1"}, 3}, {Query{Resource: "app1"}, 0}, {Query{Type: "artifact", Project: 2, Caller: "user0"}, 2}, {Query{Type: "member"}, 0},
			{Query{From: begin.Add(11 * time.Minute)}, 2}, {Query{To: begin.Add(11 * time.Minute)}, 10},
			{Query{From: begin.Add(2 * time.Minute), To: begin.Add(3 * time.Minute)}, 1},
		} {
			list, total, err := r.Search(t.Context(), c.q, 100, 0)
			if err != nil || total != c.want || len(list) != c.want {
				r.t.Errorf("%+v: %d of %d, %v; want %d", c.q, len(list), total, err, c.want)
			}
		}
		list, total, err := r.Search(t.Context(), Query{}, 5, 10)
		if err != nil || total != 12 || len(list) != 2 || list[0].Resource != "p2/App_1" {
			r.t.Errorf("%+v %d %v", list, total, err)
		}
	})
}

func TestWhatClientsSendIsCut(t *testing.T) {
	each(t, func(r *rig) {
		long := strings.Repeat("x", 1<<20)
		r.Keep(t.Context(), Line{Caller: access.Caller{Name: long, Address: long}, Agent: long, Resource: long, Detail: long})
		list, _, err := r.Search(t.Context(), Query{}, 1, 0)
		must(t, err)
		if x := list[0]; len(x.Agent) != maxText || len(x.Caller.Name) != maxText || len(x.Resource) != maxText || len(x.Detail) != maxDetail {
			r.t.Errorf("%d %d %d %d", len(x.Agent), len(x.Caller.Name), len(x.Resource), len(x.Detail))
		}
	})
}

func TestWhateverAClientSendsIsKept(t *testing.T) {
	each(t, func(r *rig) {
		odd := "a\x00b\xff\xfe\u00fc" + strings.Repeat("\u00fc", maxText)
		r.Keep(t.Context(), Line{Caller: access.Caller{Name: odd}, Agent: odd, Resource: odd, Detail: odd})
		list, total, err := r.Search(t.Context(), Query{}, 1, 0)
		if err != nil || total != 1 || !strings.HasPrefix(list[0].Agent, "ab\u00fc") {
			r.t.Errorf("%d lines, %v", total, err)
		}
	})
}

func TestNamesAreFoundAsTheyAreWritten(t *testing.T) {
	each(t, func(r *rig) {
		r.Keep(r.t.Context(), Line{Caller: access.Caller{Name: "\u00c9mile"}, Operation: "pull", Resource: "p/app"})
		list, total, err := r.Search(r.t.Context(), Query{Caller: "\u00c9MILE", Resource: "P/A"}, 10, 0)
		if err != nil || total != 1 || len(list) != 1 {
			r.t.Errorf("%+v, %d, %v", list, total, err)
		}
	})
}

// Lines that Forget removes while Verify walks are not missed: no interleaving makes a false alarm.
func TestVerifyWhileOldLinesAreForgotten(t *testing.T) {
	each(t, func(r *rig) {
		begin := r.now
		const lines = 300
		r.write(lines)
		done := make(chan error, 1)
		go func() {
			for i := range lines {
				if _, err := r.Forget(t.Context(), begin.Add(time.Duration(i+1)*time.Minute)); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		for walks := 0; ; walks++ {
			if v, err := r.Verify(t.Context()); err != nil {
				r.t.Fatalf("walk %d: %+v %v", walks, v, err)
			}
			select {
			case err := <-done:
				must(t, err)
				return
			default:
			}
		}
	})
}

func TestSignInsDoNotFillTheLog(t *testing.T) {
	each(t, func(r *rig) {
		s := NewSignIns(r.Log, func(_ context.Context, name string) bool { return name == "alice" })
		count := func(q Query) int {
			t.Helper()
			_, n, err := r.Search(t.Context(), q, 1, 0)
			must(t, err)
			return n
		}
		good := SignIn{Name: "alice", Method: access.ByPassword, Address: "192.0.2.1", Outcome: 200}
		for range 100 {
			s.Keep(t.Context(), good)
		}
		if n := count(Query{Caller: "alice"}); n != 1 {
			r.t.Errorf("%d lines of one who signs in with each request", n)
		}
		r.now = r.now.Add(2 * time.Hour)
		s.Keep(t.Context(), good)
		if n := count(Query{Caller: "alice", Operation: "sign-in"}); n != 2 {
			r.t.Errorf("%d lines after two hours", n)
		}
		for i := range 1000 {
			bad := SignIn{Name: []string{"alice", "hunter2"}[i%2], Method: access.ByPassword, Address: fmt.Sprint("192.0.2.", i%50), Outcome: 401}
			s.Keep(t.Context(), bad)
		}
		before := count(Query{})
		if before > 2+failuresAll {
			r.t.Errorf("%d lines of a guesser", before)
		}
		if n := count(Query{Resource: "alice"}); n == 0 {
			r.t.Error("nothing tells whose password was guessed")
		}
		if count(Query{Resource: "hunter2"})+count(Query{Caller: "hunter2"}) > 0 {
			r.t.Error("what was typed as a name is in the log")
		}
		r.now = r.now.Add(2 * time.Minute)
		s.Keep(t.Context(), SignIn{Name: "alice", Outcome: 401, Address: "192.0.2.1"})
		list, _, err := r.Search(t.Context(), Query{}, 2, 0)
		must(t, err)
		if !strings.Contains(list[1].Detail, fmt.Sprint(1000-(before-2), " more failed sign-ins")) {
			r.t.Errorf("%+v", list)
		}
	})
}

func TestEachTellsAllLinesInOrder(t *testing.T) {
	each(t, func(r *rig) {
		const lines = 1203 // more than a page
		r.write(lines)
		n, last := 0, int64(0)
		must(t, r.Each(t.Context(), Query{Operation: "push"}, func(x Line) error {
			if n++; x.ID <= last || x.Operation != "push" {
				return fmt.Errorf("%+v after %d", x, last)
			}
			last = x.ID
			return nil
		}))
		if n != (lines+1)/2 {
			r.t.Errorf("%d lines", n)
		}
		enough := errors.New("enough")
		if err := r.Each(t.Context(), Query{}, func(Line) error { return enough }); !errors.Is(err, enough) {
			r.t.Error(err)
		}
	})
}

func TestOldLinesGoEachNight(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		r := &rig{t: t, now: time.Now().AddDate(0, 0, -10)}
		r.Log = New(open(Schema(), jobs.Schema()), slog.New(slog.DiscardHandler), func() time.Time { return r.now })
		r.write(5)
		r.now = time.Now()
		r.write(3)
		clock := time.Now()
		q := jobs.New(r.db, jobs.Options{Kinds: []jobs.Kind{r.Jobs()}, Log: r.log, Now: func() time.Time { return clock }})
		must(t, Prepare(t.Context(), r.db, q, 0))
		must(t, Prepare(t.Context(), r.db, q, 7))
		must(t, Prepare(t.Context(), r.db, q, 7))
		s, err := q.Schedule(t.Context(), r.db, Purge, 0)
		must(t, err)
		clock = s.Next.Add(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { q.Run(ctx); close(done) }()
		for {
			list, _, err := q.Executions(t.Context(), jobs.Filter{Kind: Purge}, 1, 0)
			must(t, err)
			if len(list) == 1 {
				e, err := q.Wait(t.Context(), list[0].ID)
				if err != nil || e.Status != jobs.Success {
					t.Fatalf("%+v %v", e, err)
				}
				break
			}
		}
		cancel()
		<-done
		if v, err := r.Verify(t.Context()); err != nil || v.Lines != 3 {
			t.Errorf("%+v %v", v, err)
		}
		must(t, Prepare(t.Context(), r.db, q, 0))
		if _, err := q.Schedule(t.Context(), r.db, Purge, 0); err == nil {
			t.Error("the schedule stays")
		}
	})
}

// Searches find what a look at each line would, sealed or not, at any page.
func TestSearchesFindWhatALookAtEachLineWould(t *testing.T) {
	each(t, func(r *rig) {
		r.write(40)
		for i := range 5 { // not sealed
			r.Keep(r.t.Context(), Line{Caller: access.Caller{Name: "User1"}, Operation: "sign-in", Type: "session", Resource: fmt.Sprint("app_", i), Outcome: 200})
		}
		lines := make([]Line, 30)
		for i := range lines {
			lines[i] = Line{Caller: access.Caller{Name: fmt.Sprint("robot$", i%4)}, Operation: "pull", Type: "artifact",
				Resource: fmt.Sprintf("p%d/tool@sha256:%064x", i%3, i+0xabcdef00), Outcome: 200, Project: int64(i % 3)}
		}
		must(t, r.db.Tx(r.t.Context(), func(tx *store.Tx) error { return r.AddSealed(tx, lines) }))
		all, total, err := r.Search(r.t.Context(), Query{}, 100, 0)
		must(t, err)
		if total != 75 || len(all) != 75 {
			t.Fatalf("%d of %d lines", len(all), total)
		}
		has := func(text, part string) bool { return strings.Contains(strings.ToLower(text), strings.ToLower(part)) }
		for _, q := range []Query{{Caller: "user1"}, {Caller: "USER"}, {Caller: "nobody"}, {Caller: "$"}, {Resource: "app_1"}, {Resource: "tool"}, {Resource: "P1/TOOL@SHA"},
			{Resource: "abcdef0"}, {Resource: "tool@"}, {Resource: "nowhere"}, {Caller: "robot", Resource: "p2"}, {Operation: "sign-in"}, {Operation: "pull"},
			{Type: "session"}, {Type: "artifact", Operation: "pull", Caller: "r"}, {Project: 2}, {Project: 2, Caller: "1"}, {Project: 1, Resource: "tool"},
			{From: r.now.Add(-10 * time.Minute)}, {To: r.now.Add(-10 * time.Minute), Operation: "push"}, {Operation: "pull", From: r.now, Resource: "p1"}} {
			var want []int64
			for _, x := range all {
				if (q.Project == 0 || x.Project == q.Project) && (q.Operation == "" || x.Operation == q.Operation) && (q.Type == "" || x.Type == q.Type) &&
					has(x.Caller.Name, q.Caller) && has(x.Resource, q.Resource) && !x.Time.Before(q.From) && (q.To.IsZero() || x.Time.Before(q.To)) {
					want = append(want, x.ID)
				}
			}
			var got []int64
			for offset := 0; offset <= len(want); offset += 7 {
				list, total, err := r.Search(r.t.Context(), q, 7, offset)
				must(t, err)
				if total != len(want) {
					t.Errorf("%+v: %d lines, want %d", q, total, len(want))
				}
				for _, x := range list {
					got = append(got, x.ID)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%+v: %v, want %v", q, got, want)
			}
		}
	})
}
