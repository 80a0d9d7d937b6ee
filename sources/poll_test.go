package sources

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// scripted is a source whose fetches succeed or fail as the test says.
type scripted struct {
	mu        sync.Mutex
	fetched   []time.Time
	fail      error
	artifact  *Artifact
	changes   chan struct{}
	watchFail error
}

func (s *scripted) Fetch(ctx context.Context) (*Artifact, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetched = append(s.fetched, time.Now())
	if s.fail != nil {
		return nil, s.fail
	}
	return s.artifact, ctx.Err()
}
func (s *scripted) Resolve(context.Context, string) (*Artifact, error) { return s.artifact, nil }
func (s *scripted) Pin(context.Context, uint64, string) error          { return nil }
func (s *scripted) String() string                                     { return "scripted" }
func (s *scripted) Changes(context.Context) (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watchFail != nil {
		return nil, s.watchFail
	}
	return s.changes, nil
}

// set changes the script while Poll runs.
func (s *scripted) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// times returns when it was fetched.
func (s *scripted) times() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.fetched)
}

func TestNextFetch(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cases := []struct {
		failures        int
		interval        time.Duration
		jitter, random  float64
		want            time.Duration
		whatThisIsAbout string
	}{
		{0, time.Minute, 0.1, 0.5, time.Minute, "the interval"},
		{0, time.Minute, 0.1, 0, 54 * time.Second, "at the earliest a tenth before"},
		{0, time.Minute, 0.1, 1, 66 * time.Second, "at the latest a tenth after"},
		{0, time.Minute, 0, 0, time.Minute, "no jitter"},
		{1, time.Minute, 0.1, 0.5, time.Second, "first retry"},
		{2, time.Minute, 0.1, 0.5, 2 * time.Second, "doubled"},
		{3, time.Minute, 0.1, 0, 3600 * time.Millisecond, "retries jitter too"},
		{7, time.Hour, 0, 0, 64 * time.Second, "sixth doubling"},
		{9, time.Hour, 0, 0, 256 * time.Second, "eighth doubling"},
		{10, time.Hour, 0, 0, 5 * time.Minute, "never more than five minutes"},
		{1 << 40, time.Hour, 0, 0, 5 * time.Minute, "for ever"},
		{8, time.Minute, 0, 0, time.Minute, "never more than the interval"},
		{1, 100 * time.Millisecond, 0, 0, 100 * time.Millisecond, "an interval below the first retry"},
	}
	for _, c := range cases {
		if got := nextFetch(now, c.failures, c.interval, c.jitter, c.random).Sub(now); got.Round(time.Microsecond) != c.want {
			t.Errorf("%s: %v, want %v", c.whatThisIsAbout, got, c.want)
		}
	}
}

// poll runs Poll in a bubble of its own time and hands the test the source and the events so far.
func poll(t *testing.T, src *scripted, opts PollOptions, test func(events func() []Event)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		src.changes = make(chan struct{}, 1)
		src.artifact = &Artifact{Revision: "main@sha1:1"}
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var events []Event
		done := make(chan struct{})
		go func() {
			defer close(done)
			Poll(ctx, src, opts, func(e Event) {
				mu.Lock()
				defer mu.Unlock()
				events = append(events, e)
			})
		}()
		synctest.Wait()
		test(func() []Event {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(events)
		})
		cancel()
		<-done
	})
}

func TestPollAtTheInterval(t *testing.T) {
	src := &scripted{}
	poll(t, src, PollOptions{Jitter: -1}, func(events func() []Event) {
		if len(events()) != 1 || events()[0].Trigger != "start" || !events()[0].Changed {
			t.Fatalf("events = %+v, want a start", events())
		}
		time.Sleep(5*time.Minute + time.Second)
		synctest.Wait()
		if len(events()) != 6 {
			t.Fatalf("%d fetches in five minutes, want 6", len(events()))
		}
		for _, e := range events()[1:] {
			if e.Trigger != "poll" || e.Changed || e.Artifact != src.artifact {
				t.Errorf("event = %+v, want a poll without a change", e)
			}
		}
		src.set(func() { src.artifact = &Artifact{Revision: "main@sha1:2"} })
		time.Sleep(time.Minute)
		synctest.Wait()
		if last := events()[len(events())-1]; !last.Changed || last.Artifact.Revision != "main@sha1:2" {
			t.Errorf("event = %+v, want the new revision", last)
		}
	})
}

func TestPollJitters(t *testing.T) {
	src := &scripted{}
	poll(t, src, PollOptions{Interval: time.Minute}, func(events func() []Event) {
		time.Sleep(time.Hour)
		synctest.Wait()
		waits := map[time.Duration]bool{}
		fetched := src.times()
		for i, at := range fetched[1:] {
			wait := at.Sub(fetched[i])
			waits[wait] = true
			if wait < 54*time.Second || wait > 66*time.Second {
				t.Errorf("waited %v", wait)
			}
		}
		if len(waits) < 30 {
			t.Errorf("only %d different waits in an hour", len(waits))
		}
	})
}

func TestPollBacksOffAndRecovers(t *testing.T) {
	src := &scripted{fail: errors.New("down")}
	poll(t, src, PollOptions{Interval: 10 * time.Minute, Jitter: -1}, func(events func() []Event) {
		time.Sleep(time.Hour)
		synctest.Wait()
		var waits []time.Duration
		fetched := src.times()
		for i, at := range fetched[1:11] {
			waits = append(waits, at.Sub(fetched[i]))
		}
		want := "[1s 2s 4s 8s 16s 32s 1m4s 2m8s 4m16s 5m0s]"
		if got := fmt.Sprint(waits); got != want {
			t.Errorf("waits = %s, want %s", got, want)
		}
		last := events()[len(events())-1]
		if last.Failures != len(events()) || last.Trigger != "retry" || last.Err == nil || last.Artifact != nil {
			t.Errorf("event = %+v", last)
		}
		if left := time.Until(last.Next); left <= 0 || left > 5*time.Minute {
			t.Errorf("next attempt in %v", left)
		}
		src.set(func() { src.fail = nil })
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if last := events()[len(events())-1]; last.Err != nil || last.Failures != 0 || !last.Changed || last.Next.Sub(last.Started) != 10*time.Minute {
			t.Errorf("event = %+v, want success and the interval again", last)
		}
		before := len(events())
		src.set(func() { src.fail = errors.New("down again") })
		src.changes <- struct{}{}
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if n := len(events()) - before; n != 2 {
			t.Errorf("%d fetches, want the one after the change and the first retry", n)
		}
	})
}

func TestPollFetchesAtOnceWhenAsked(t *testing.T) {
	src := &scripted{}
	synctest.Test(t, func(t *testing.T) {
		src.changes, src.artifact = make(chan struct{}, 1), &Artifact{Revision: "main@sha1:1"}
		ask := make(chan struct{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		var triggers []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			Poll(ctx, src, PollOptions{Interval: time.Hour, Sync: ask}, func(e Event) {
				src.set(func() { triggers = append(triggers, e.Trigger) })
			})
		}()
		synctest.Wait()
		for _, c := range []chan struct{}{src.changes, ask, src.changes} {
			c <- struct{}{}
			synctest.Wait()
		}
		seen := func() (list []string) {
			synctest.Wait()
			src.set(func() { list = slices.Clone(triggers) })
			return list
		}
		if got := fmt.Sprint(seen()); got != "[start change sync change]" {
			t.Errorf("triggers = %s", got)
		}
		close(src.changes) // the watch breaks down: the poll goes on, and subscribes anew
		synctest.Wait()
		src.set(func() { src.changes = make(chan struct{}, 1) })
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		before := len(seen())
		src.changes <- struct{}{}
		synctest.Wait()
		if now := seen(); len(now) != before+1 || now[before] != "change" {
			t.Errorf("triggers after a broken watch = %v", now)
		}
		cancel()
		<-done
	})
}

func TestPollWithoutAWatch(t *testing.T) {
	src := &scripted{watchFail: fmt.Errorf("watch: %w", ErrWatchLimit)}
	poll(t, src, PollOptions{Interval: time.Minute, Jitter: -1}, func(events func() []Event) {
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(events()); n != 13 {
			t.Errorf("%d fetches in a minute, want one every 5 s", n)
		}
		if !errors.Is(events()[0].Unwatched, ErrWatchLimit) {
			t.Errorf("Unwatched = %v", events()[0].Unwatched)
		}
		// As soon as a watch can be had it is used, and the interval is the usual one.
		src.set(func() { src.watchFail = nil })
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if last := events()[len(events())-1]; last.Unwatched != nil || last.Next.Sub(last.Started) != time.Minute {
			t.Errorf("event = %+v", last)
		}
	})
}

// The whole way with a real repository: commit, broken repository, repaired repository.
func TestPollOfARealRepository(t *testing.T) {
	repo := newRepo(t)
	src := open(t, t.TempDir(), Options{URL: repo})
	events := make(chan Event, 100)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Poll(ctx, src, PollOptions{Interval: time.Hour}, func(e Event) { events <- e })
	}()
	next := func(ok func(Event) bool) {
		t.Helper()
		deadline := time.After(20 * time.Second)
		for {
			select {
			case e := <-events:
				if ok(e) {
					return
				}
			case <-deadline:
				t.Fatal("no such event within 20 s")
			}
		}
	}
	next(func(e Event) bool { return e.Trigger == "start" && e.Changed })
	head := commit(t, repo, "app.yaml", "two")
	next(func(e Event) bool { return e.Trigger == "change" && e.Changed && e.Artifact.Commit.Hash == head })
	git(t, repo, "update-ref", "-d", "refs/heads/main")
	next(func(e Event) bool { return errors.Is(e.Err, ErrEmpty) })
	git(t, repo, "update-ref", "refs/heads/main", head)
	next(func(e Event) bool { return e.Err == nil && e.Artifact.Commit.Hash == head && !e.Changed })
	cancel()
	<-done
}
