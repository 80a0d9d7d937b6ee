package history

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// lockTimeout is how long Open waits for another process to let go of the file.
const lockTimeout = 800 * time.Millisecond

// ErrInUse means that another process has the file open.
var ErrInUse = errors.New("another podyard uses this data directory")

// errDamaged means that the file is not what was written.
var errDamaged = errors.New("history is damaged")

// Store is the history file. Methods may be called from several goroutines.
type Store struct {
	// Recovered says what was done about a damaged file, in a sentence; empty if it was sound.
	Recovered string

	db *bbolt.DB

	mu      sync.Mutex
	pending pendingEvents
	timer   *time.Timer
	closed  bool
	failure error
}

// Open opens the history file or makes a new one, readable by its owner only. A damaged file is set aside as
// <path>.corrupt-<time>, a new one is begun, and Recovered says so. ErrInUse comes within a second.
func Open(path string) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	db, err := openFile(path)
	recovered := ""
	if errors.Is(err, errDamaged) {
		aside := path + ".corrupt-" + time.Now().UTC().Format("20060102T150405.000000000Z")
		if renameErr := os.Rename(path, aside); renameErr != nil {
			return nil, fmt.Errorf("open history: %w, and it cannot be set aside: %v", err, renameErr)
		}
		recovered = fmt.Sprintf("%v; it was set aside as %s and a new one was begun", err, aside)
		db, err = openFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	return &Store{Recovered: recovered, db: db, pending: newPending()}, nil
}

func openFile(path string) (*bbolt.DB, error) {
	if err := checkSize(path); err != nil {
		return nil, err
	}
	var db *bbolt.DB
	err := guard(func() (err error) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType})
		return err
	})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("%w: %s is locked; stop the other one, or choose another directory with --data-dir", ErrInUse, path)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, berrors.ErrChecksum):
		return nil, fmt.Errorf("%w: %s: %v", errDamaged, path, err)
	case err != nil:
		return nil, err
	}
	err = errors.Join(os.Chmod(path, 0o600), guard(func() error { return prepare(db) }))
	if err != nil {
		closeErr := guard(db.Close)
		return nil, errors.Join(err, closeErr)
	}
	return db, nil
}

// checkSize refuses a file that cannot even hold what every bbolt file begins with: two meta pages. An empty one is new.
func checkSize(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory", path)
	case info.Size() > 0 && info.Size() < 0x1000:
		return fmt.Errorf("%w: %s is cut off after %d bytes", errDamaged, path, info.Size())
	}
	return nil
}

// prepare makes the buckets, then reads everything once: bbolt does not check pages, and would panic later on.
func prepare(db *bbolt.DB) error {
	err := db.Update(func(t *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := t.CreateBucketIfNotExists(name); err != nil {
				return fmt.Errorf("%w: %v", errDamaged, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return db.View(func(t *bbolt.Tx) error { return newTx(t).check() })
}

// guard turns panics and page faults into errDamaged: bbolt maps the file, and asserts what it finds there.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	return do()
}

// Close writes the events that are not written yet and closes the file.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.flush()
	s.mu.Lock()
	failure := s.failure
	s.mu.Unlock()
	if err := errors.Join(failure, s.db.Close()); err != nil {
		return fmt.Errorf("close history: %w", err)
	}
	return nil
}

func (s *Store) view(do func(*tx) error) error {
	return guard(func() error {
		return s.db.View(func(t *bbolt.Tx) error { return do(newTx(t)) })
	})
}

func (s *Store) update(do func(*tx) error) error {
	return guard(func() error {
		return s.db.Update(func(t *bbolt.Tx) error { return do(newTx(t)) })
	})
}
