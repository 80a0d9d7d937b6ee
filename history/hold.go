package history

import (
	"fmt"
	"time"
)

// Hold keeps a source at a revision although the repository has a newer commit, until the next commit or podyard resume.
type Hold struct {
	// Number is the revision that is held; Head the commit that is held out, as its source names it.
	Number uint64 `json:"number"`
	Head   string `json:"head"`
	Reason string `json:"reason,omitempty"`
	// Failed is the revision that did not become ready, if that is why the last good one is held; 0 for a hold by hand.
	Failed uint64    `json:"failed,omitempty"`
	By     string    `json:"by,omitempty"`
	Since  time.Time `json:"since"`
}

// Hold returns the hold in force, or nil.
func (s *Store) Hold() (*Hold, error) {
	var hold *Hold
	err := s.view(func(t *tx) error {
		value := t.meta.Get(holdKey)
		if value == nil {
			return nil
		}
		hold = &Hold{}
		return decode(value, hold)
	})
	if err != nil {
		return nil, fmt.Errorf("read hold: %w", err)
	}
	return hold, nil
}

// SetHold puts a hold in force; nil lifts it.
func (s *Store) SetHold(hold *Hold) error {
	err := s.update(func(t *tx) error {
		if hold == nil {
			return t.meta.Delete(holdKey)
		}
		return put(t.meta, holdKey, hold)
	})
	if err != nil {
		return fmt.Errorf("set hold: %w", err)
	}
	return nil
}
