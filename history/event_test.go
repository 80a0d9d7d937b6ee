package history

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func events(t *testing.T, s *Store, filter EventFilter, limit int) []Event {
	t.Helper()
	list, err := s.Events(filter, limit)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func record(t *testing.T, s *Store, e Event) {
	t.Helper()
	if err := s.Event(e); err != nil {
		t.Fatal(err)
	}
}

// The same event again is one with a higher count, whether the first is written already or not.
func TestRepeatedEventsAreCounted(t *testing.T) {
	for _, written := range []bool{false, true} {
		t.Run(fmt.Sprintf("written %v", written), func(t *testing.T) {
			s := newStore(t)
			step := func(after time.Duration, object, message string, revision uint64) {
				record(t, s, Event{Time: noon.Add(after), Type: Warning, Reason: "BackOff", Object: object, Message: message, Revision: revision})
				if written {
					s.flush()
				}
			}
			step(0, "Pod default/web", "back-off", 1)
			step(time.Minute, "Pod default/db", "back-off", 1)
			step(2*time.Minute, "Pod default/web", "back-off", 2)
			step(3*time.Minute, "Pod default/web", "another message", 2)
			step(30*time.Minute, "Pod default/web", "back-off", 3)
			list := events(t, s, EventFilter{}, 0)
			if len(list) != 3 {
				t.Fatalf("%d events, want 3: %+v", len(list), list)
			}
			web := find(list, "Pod default/web", "back-off")
			if web.Count != 3 || !web.First.Equal(noon) || !web.Time.Equal(noon.Add(30*time.Minute)) || web.Revision != 3 {
				t.Errorf("event = %+v", web)
			}
			// After an hour of silence it is a new one.
			step(2*time.Hour, "Pod default/web", "back-off", 4)
			list = events(t, s, EventFilter{Object: "Pod default/web"}, 0)
			if len(list) != 3 || list[0].Count != 1 || !list[0].First.Equal(noon.Add(2*time.Hour)) {
				t.Errorf("events = %+v", list)
			}
		})
	}
}

func find(list []Event, object, message string) Event {
	for _, e := range list {
		if e.Object == object && e.Message == message {
			return e
		}
	}
	return Event{}
}

func TestEventsAreFilteredAndNewestFirst(t *testing.T) {
	s := newStore(t)
	for i := range 100 {
		e := Event{Time: noon.Add(time.Duration(i) * time.Second), Type: Normal, Reason: "Started", Object: fmt.Sprint("Pod default/", i%10), Revision: uint64(i % 2), Message: fmt.Sprint(i)}
		if i%3 == 0 {
			e.Type = Warning
		}
		record(t, s, e)
		if i == 50 {
			s.flush()
		}
	}
	cases := []struct {
		filter EventFilter
		limit  int
		want   []string
	}{
		{EventFilter{}, 3, []string{"99", "98", "97"}},
		{EventFilter{Object: "Pod default/4"}, 2, []string{"94", "84"}},
		{EventFilter{Type: Warning}, 2, []string{"99", "96"}},
		{EventFilter{Revision: 1, Type: Warning}, 2, []string{"99", "93"}},
		{EventFilter{Since: noon.Add(98 * time.Second)}, 0, []string{"99", "98"}},
		{EventFilter{Object: "Pod default/none"}, 0, nil},
	}
	for _, c := range cases {
		var got []string
		for _, e := range events(t, s, c.filter, c.limit) {
			got = append(got, e.Message)
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%+v: %v, want %v", c.filter, got, c.want)
		}
	}
}

func TestOnlyTheNewestEventsAreKept(t *testing.T) {
	s := newStore(t)
	s.db.NoSync = true
	for i := range maxEvents + 500 {
		record(t, s, Event{Time: noon.Add(time.Duration(i) * time.Second), Reason: "Started", Object: fmt.Sprint(i)})
		if i%500 == 499 {
			s.flush()
		}
	}
	s.flush()
	list := events(t, s, EventFilter{}, 0)
	if len(list) != maxEvents || list[0].Object != fmt.Sprint(maxEvents+499) || list[maxEvents-1].Object != "500" {
		t.Errorf("%d events, from %s to %s", len(list), list[0].Object, list[len(list)-1].Object)
	}
	err := s.view(func(tx *tx) error {
		if n := tx.eventKeys.Stats().KeyN; n != maxEvents {
			t.Errorf("%d keys for %d events", n, maxEvents)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestMemoryIsBoundedWhileNothingCanBeWritten(t *testing.T) {
	s := newStore(t)
	for i := range 10 * maxPending {
		record(t, s, Event{Time: noon, Reason: "Started", Object: fmt.Sprint(i)})
	}
	s.mu.Lock()
	waiting := len(s.pending.order)
	s.mu.Unlock()
	if waiting > maxPending {
		t.Errorf("%d events wait, want at most %d", waiting, maxPending)
	}
	if list := events(t, s, EventFilter{}, 1); list[0].Object != fmt.Sprint(10*maxPending-1) {
		t.Errorf("the newest event is %s", list[0].Object)
	}
}

func TestEventsAreOnTheDiskAfterClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := open(t, path)
	record(t, s, Event{Type: Normal, Reason: "Started", Object: "Pod default/web"})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Event(Event{Reason: "Late"}); err == nil {
		t.Error("an event was taken after Close")
	}
	list := events(t, open(t, path), EventFilter{}, 0)
	if len(list) != 1 || list[0].Count != 1 || time.Since(list[0].Time) > time.Minute {
		t.Errorf("events = %+v", list)
	}
}

// One write a second at most, and none while nothing happens or somebody reads.
func TestEventsAreWrittenInBatches(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	synctest.Test(t, func(t *testing.T) {
		s := open(t, path)
		writes := func() int64 {
			synctest.Wait()
			stats := s.db.Stats()
			return stats.TxStats.GetWrite()
		}
		before := writes()
		for i := range 100 {
			record(t, s, Event{Reason: "Started", Object: fmt.Sprint(i)})
			if n := len(events(t, s, EventFilter{}, 0)); n != i+1 {
				t.Fatalf("%d events, want %d", n, i+1)
			}
		}
		if writes() != before {
			t.Error("something was written at once")
		}
		time.Sleep(flushInterval + time.Millisecond)
		one := writes() - before
		if one == 0 {
			t.Fatal("nothing was written after a second")
		}
		time.Sleep(time.Hour)
		if writes() != before+one {
			t.Error("something was written while nothing happened")
		}
		s.mu.Lock()
		waiting := len(s.pending.order)
		s.mu.Unlock()
		if waiting != 0 {
			t.Errorf("%d events wait", waiting)
		}
		s.Close()
	})
}

func TestAFailedWriteIsRepeatedAndReported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := open(t, path)
	record(t, s, Event{Time: noon, Reason: "Started", Object: "a"})
	s.db.Close() // as if the disk were gone
	s.flush()
	if err := s.Event(Event{Time: noon, Reason: "Started", Object: "b"}); err == nil {
		t.Error("the failure is not reported")
	}
	if _, err := s.Events(EventFilter{}, 0); err == nil {
		t.Error("a list without a file")
	}
	again := open(t, path)
	s.db = again.db
	s.flush()
	if list := events(t, s, EventFilter{}, 0); len(list) != 2 {
		t.Errorf("%d events after the repeated write, want 2", len(list))
	}
	if err := s.Event(Event{Time: noon, Reason: "Started", Object: "c"}); err != nil {
		t.Errorf("an old failure is still reported: %v", err)
	}
	if errors.Is(s.failure, errDamaged) {
		t.Error("a closed file counts as damaged")
	}
}
