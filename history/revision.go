package history

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Outcome is how far a revision has come.
type Outcome string

// The values of Outcome.
const (
	// Applying is being rolled out.
	Applying Outcome = "applying"
	// Ready was rolled out, and every object became ready.
	Ready Outcome = "ready"
	// Failed was not rolled out, and the cause is in the message.
	Failed Outcome = "failed"
	// RolledBack failed, and the last good revision took its place.
	RolledBack Outcome = "rolled back"
	// Superseded was replaced by a newer revision before it was ready.
	Superseded Outcome = "superseded"
	// Refused did not render or validate; nothing was changed.
	Refused Outcome = "refused"
	// Unapproved would delete so much that somebody has to approve it; nothing was changed.
	Unapproved Outcome = "unapproved"
)

// Revision is one commit that was, or was to be, applied.
type Revision struct {
	// Number counts from 1 in each store. Begin assigns it.
	Number uint64 `json:"number"`
	// Sync is the number of the first of the revisions in a row that have the same objects. Begin assigns that of the revision
	// itself, unless it is told another.
	Sync uint64 `json:"sync,omitempty"`
	// Source is the name of the source, "default" where there is one.
	Source string `json:"source"`
	// Revision is main@sha1:5394cb7f…
	Revision string `json:"revision"`
	Commit   Commit `json:"commit"`
	// Replaces is the number of the revision that failed, if this one is the last good one that took over; 0 for others.
	Replaces uint64 `json:"replaces,omitempty"`
	// Trigger is poll, change, rollback, resume, start or sync; Reason says it in a sentence.
	Trigger string  `json:"trigger"`
	Reason  string  `json:"reason,omitempty"`
	Outcome Outcome `json:"outcome"`
	// Message is the reason of a failure or refusal, with file and line where there are any.
	Message string `json:"message,omitempty"`
	// Finished is zero while the revision is Applying.
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
	// ReadyAt is when every object was ready for the first time; zero if they never were.
	ReadyAt time.Time `json:"readyAt,omitzero"`
	// Log is what the container that failed wrote last, if one did, with the values of Secrets taken out.
	Log string `json:"log,omitempty"`
	// Objects is how many objects were rendered.
	Objects int      `json:"objects"`
	Changes []Change `json:"changes,omitempty"`
	// Images maps image references to the digest or image ID that ran.
	Images   map[string]string `json:"images,omitempty"`
	Warnings []string          `json:"warnings,omitempty"`
	// RenderedHash is the SHA-256 of the rendered objects, in hexadecimal; empty if none were given. Begin assigns it.
	RenderedHash string `json:"renderedHash,omitempty"`
}

// WasApplied tells that it became the desired state, and so that its rendered objects are kept.
func (r *Revision) WasApplied() bool { return r.Outcome != Refused && r.Outcome != Unapproved }

// Commit is the git commit of a revision; the zero value for a plain directory.
type Commit struct {
	Hash    string    `json:"hash,omitempty"`
	Author  string    `json:"author,omitempty"`
	Email   string    `json:"email,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Message string    `json:"message,omitempty"`
	When    time.Time `json:"when,omitzero"`
}

// Change is what a revision did to one object, against the revision before.
type Change struct {
	// Action is created, configured or pruned.
	Action string `json:"action"`
	// Object is Deployment default/web.
	Object string `json:"object"`
	// Hash is the content hash of the object; empty if pruned.
	Hash string `json:"hash,omitempty"`
}

// ErrNotFound means that there is no such revision.
var ErrNotFound = errors.New("no such revision")

// Begin records a revision and what was rendered for it, in one transaction, and returns it with its number. Rendered
// objects that are the same as those of an earlier revision take no space.
func (s *Store) Begin(rev Revision, rendered []byte) (Revision, error) {
	content, err := pack(rendered)
	if err != nil {
		return Revision{}, fmt.Errorf("begin revision: %w", err)
	}
	rev.RenderedHash = content.hash
	err = s.update(func(t *tx) error {
		if rev.Number, err = t.revisions.NextSequence(); err != nil {
			return err
		}
		if rev.Sync == 0 {
			rev.Sync = rev.Number
		}
		if err := t.putContent(content); err != nil {
			return err
		}
		if rev.Commit.Hash != "" {
			if err := t.commits.Put(commitKey(rev.Commit.Hash, rev.Number), []byte{}); err != nil {
				return err
			}
		}
		return put(t.revisions, number(rev.Number), rev)
	})
	if err != nil {
		return Revision{}, fmt.Errorf("begin revision: %w", err)
	}
	return rev, nil
}

// Update changes a revision. Number, commit and rendered objects stay what Begin made them.
func (s *Store) Update(n uint64, change func(*Revision)) error {
	err := s.update(func(t *tx) error {
		rev, err := t.get(n)
		if err != nil {
			return err
		}
		fixed := rev
		change(&rev)
		rev.Number, rev.Commit, rev.RenderedHash = fixed.Number, fixed.Commit, fixed.RenderedHash
		return put(t.revisions, number(n), rev)
	})
	if err != nil {
		return fmt.Errorf("update revision %d: %w", n, err)
	}
	return nil
}

// Get returns a revision by its number.
func (s *Store) Get(n uint64) (rev Revision, err error) {
	err = s.view(func(t *tx) error {
		rev, err = t.get(n)
		return err
	})
	if err != nil {
		return Revision{}, fmt.Errorf("revision %d: %w", n, err)
	}
	return rev, nil
}

// Rendered returns the objects that were rendered for a revision; ErrNotFound if there are none, since it was refused.
// They may hold secrets.
func (s *Store) Rendered(n uint64) (rendered []byte, err error) {
	err = s.view(func(t *tx) error {
		rev, err := t.get(n)
		if err != nil {
			return err
		}
		rendered, err = t.content(rev.RenderedHash)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("rendered objects of revision %d: %w", n, err)
	}
	return rendered, nil
}

// List returns the newest revisions first: at most limit (0 means all), numbered below before (0 means from the newest).
func (s *Store) List(limit int, before uint64) (list []Revision, err error) {
	err = s.view(func(t *tx) error {
		return t.newestFirst(before, func(rev Revision) bool {
			list = append(list, rev)
			return limit <= 0 || len(list) < limit
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list revisions: %w", err)
	}
	return list, nil
}

// Latest returns the newest revision, refused ones included; nil if there is none.
func (s *Store) Latest() (*Revision, error) {
	return s.newest(func(Revision) bool { return true })
}

// LastGood returns the newest revision that became Ready, whatever became of it afterwards; nil if none has.
func (s *Store) LastGood() (*Revision, error) {
	return s.newest(func(rev Revision) bool { return rev.Outcome == Ready || !rev.ReadyAt.IsZero() })
}

func (s *Store) newest(wanted func(Revision) bool) (found *Revision, err error) {
	err = s.view(func(t *tx) error {
		return t.newestFirst(0, func(rev Revision) bool {
			if wanted(rev) {
				found = &rev
			}
			return found == nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("newest revision: %w", err)
	}
	return found, nil
}

// Find returns the revision that a person means by a number (14 or r14), the beginning of a commit hash (four digits at least), or
// main@sha1:5394cb7f…. Of several revisions of one commit it is the newest. A number goes before a hash of digits.
func (s *Store) Find(text string) (found Revision, err error) {
	name := text
	if _, hash, ok := strings.Cut(text, "sha1:"); ok {
		name = hash
	}
	err = s.view(func(t *tx) error {
		if n, err := strconv.ParseUint(strings.TrimPrefix(name, "r"), 10, 64); err == nil {
			if found, err = t.get(n); !errors.Is(err, ErrNotFound) {
				return err
			}
		}
		n, err := t.byCommit(strings.ToLower(name))
		if err != nil {
			return err
		}
		found, err = t.get(n)
		return err
	})
	if err != nil {
		return Revision{}, fmt.Errorf("find revision %q: %w", text, err)
	}
	return found, nil
}
