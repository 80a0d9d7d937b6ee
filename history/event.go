package history

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

const (
	// maxEvents is how many events are kept; the oldest go first.
	maxEvents = 10_000
	// maxPending is how many different events may wait to be written.
	maxPending = 1000
	// flushInterval is how long an event may wait: not more than one write to the disk a second.
	flushInterval = time.Second
	// sameEvent is for how long a repeated event counts as the same, as the default of kube-apiserver's --event-ttl.
	sameEvent = time.Hour
)

// EventType is Kubernetes' (core/v1 Event.type).
type EventType string

// The values of EventType.
const (
	Normal  EventType = "Normal"
	Warning EventType = "Warning"
)

// Event is something that happened to an object. The same type, object, reason and message again within an hour is one
// event with a higher count, as in Kubernetes.
type Event struct {
	// Time is when it happened last, First when it did first.
	Time   time.Time `json:"time"`
	First  time.Time `json:"first"`
	Type   EventType `json:"type"`
	Reason string    `json:"reason"`
	// Object is Pod default/web-5d4f8c7b9-x2x9c.
	Object string `json:"object"`
	// Revision is the number of the revision in force.
	Revision uint64 `json:"revision,omitempty"`
	Message  string `json:"message,omitempty"`
	Count    int    `json:"count"`
}

// EventFilter chooses events. The zero value chooses all.
type EventFilter struct {
	Object   string
	Type     EventType
	Revision uint64
	// Since is the earliest Time.
	Since time.Time
}

func (f EventFilter) matches(e Event) bool {
	return (f.Object == "" || f.Object == e.Object) && (f.Type == "" || f.Type == e.Type) &&
		(f.Revision == 0 || f.Revision == e.Revision) && !e.Time.Before(f.Since)
}

func (e Event) key() [16]byte {
	sum := sha256.Sum256([]byte(string(e.Type) + "\x00" + e.Object + "\x00" + e.Reason + "\x00" + e.Message))
	return [16]byte(sum[:16])
}

// merge adds what is newer to what was there.
func (e Event) merge(newer Event) Event {
	newer.First, newer.Count = e.First, e.Count+newer.Count
	if newer.Time.Before(e.Time) {
		newer.Time = e.Time
	}
	return newer
}

func (e Event) continues(old Event) bool { return e.First.Sub(old.Time) < sameEvent }

// pendingEvents wait to be written, in the order of their last occurrence.
type pendingEvents struct {
	order []Event
	index map[[16]byte]int
}

func newPending() pendingEvents { return pendingEvents{index: map[[16]byte]int{}} }

func (p *pendingEvents) add(e Event) {
	if i, ok := p.index[e.key()]; ok && e.continues(p.order[i]) {
		p.order[i] = p.order[i].merge(e)
		return
	}
	p.index[e.key()] = len(p.order)
	p.order = append(p.order, e)
}

// Event records an event; without a time it is now. It returns at once: the event is on the disk a second later, or
// after Close. It fails if the store is closed, or if the last write failed.
func (s *Store) Event(e Event) error {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if e.First.IsZero() {
		e.First = e.Time
	}
	e.Count = max(e.Count, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("record event: history is closed")
	}
	// While the disk is full the oldest of what waits is given up.
	if len(s.pending.order) >= maxPending {
		s.drop()
	}
	s.pending.add(e)
	if s.timer == nil {
		s.timer = time.AfterFunc(flushInterval, s.flush)
	}
	if s.failure != nil {
		return fmt.Errorf("record event: %w", s.failure)
	}
	return nil
}

// drop gives up the older half. The lock is held.
func (s *Store) drop() {
	kept := s.pending.order[len(s.pending.order)/2:]
	s.pending = newPending()
	for _, e := range kept {
		s.pending.add(e)
	}
}

// flush writes what waits, in one transaction. After a failure it waits on.
func (s *Store) flush() {
	s.mu.Lock()
	batch := s.pending
	s.pending = newPending()
	s.timer = nil
	s.mu.Unlock()
	if len(batch.order) == 0 {
		return
	}
	err := s.update(func(t *tx) error { return t.putEvents(batch.order) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
	if err == nil {
		return
	}
	later := s.pending.order
	s.pending = batch
	for _, e := range later {
		s.pending.add(e)
	}
	if s.timer == nil && !s.closed {
		s.timer = time.AfterFunc(flushInterval, s.flush)
	}
}

// Events returns the newest events first, those included that are not written yet; limit 0 means all.
func (s *Store) Events(filter EventFilter, limit int) (list []Event, err error) {
	s.mu.Lock()
	waiting := append([]Event(nil), s.pending.order...)
	s.mu.Unlock()
	err = guard(func() error {
		// What waits is put into a transaction that is not committed: reading costs no write.
		t, err := s.db.Begin(len(waiting) > 0)
		if err != nil {
			return err
		}
		defer t.Rollback()
		tx := newTx(t)
		if len(waiting) > 0 {
			if err := tx.putEvents(waiting); err != nil {
				return err
			}
		}
		list, err = tx.listEvents(filter, limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	return list, nil
}

func (t *tx) listEvents(filter EventFilter, limit int) (list []Event, err error) {
	c := t.events.Cursor()
	for key, value := c.Last(); key != nil && (limit <= 0 || len(list) < limit); key, value = c.Prev() {
		var e Event
		if err := decode(value, &e); err != nil {
			return nil, err
		}
		if filter.matches(e) {
			list = append(list, e)
		}
	}
	return list, nil
}

// putEvents writes events, each as the newest: a repeated one moves up.
func (t *tx) putEvents(events []Event) error {
	count := uint64(0)
	if value := t.meta.Get(eventCountKey); len(value) == 8 {
		count = binary.BigEndian.Uint64(value)
	}
	for _, e := range events {
		added, err := t.putEvent(e)
		if err != nil {
			return err
		}
		if added {
			count++
		}
	}
	removed, err := t.trimEvents(count)
	if err != nil {
		return err
	}
	return t.meta.Put(eventCountKey, number(count-removed))
}

func (t *tx) putEvent(e Event) (added bool, err error) {
	key := e.key()
	added = true
	if place := t.eventKeys.Get(key[:]); place != nil {
		var old Event
		if value := t.events.Get(place); value != nil {
			if err := decode(value, &old); err != nil {
				return false, err
			}
			if e.continues(old) {
				e, added = old.merge(e), false
				if err := t.events.Delete(place); err != nil {
					return false, err
				}
			}
		}
	}
	n, err := t.events.NextSequence()
	if err != nil {
		return false, err
	}
	if err := t.eventKeys.Put(key[:], number(n)); err != nil {
		return false, err
	}
	return added, put(t.events, number(n), e)
}

// trimEvents removes the oldest events above the limit.
func (t *tx) trimEvents(count uint64) (removed uint64, err error) {
	c := t.events.Cursor()
	for key, value := c.First(); key != nil && count-removed > maxEvents; key, value = c.First() {
		var e Event
		if err := decode(value, &e); err != nil {
			return removed, err
		}
		if err := t.forget(e, key); err != nil {
			return removed, err
		}
		if err := c.Delete(); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// forget removes the way from what an event says to its number, unless a newer one has taken it over.
func (t *tx) forget(e Event, place []byte) error {
	key := e.key()
	if string(t.eventKeys.Get(key[:])) != string(place) {
		return nil
	}
	return t.eventKeys.Delete(key[:])
}
