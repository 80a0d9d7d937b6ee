package sources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// debounce says how long to wait after an event: until it has been quiet, but not longer than max.
type debounce struct{ quiet, max time.Duration }

var (
	// gitDebounce is short, since looking again costs about a millisecond and a ref changes by one rename: the first
	// look, 10 ms after the lock file appeared, nearly always finds the new commit. Looking too early only costs a
	// second look, because the rename is an event of its own.
	gitDebounce = debounce{quiet: 10 * time.Millisecond, max: 20 * time.Millisecond}
	// dirDebounce is longer: editors and cp write file by file, and what is half written would be applied.
	dirDebounce = debounce{quiet: 50 * time.Millisecond, max: time.Second}
)

// rewatchInterval is how often a watch that was lost is tried again, and how often "look again" is sent meanwhile.
const rewatchInterval = 5 * time.Second

// watcher signals that something below its directories may have changed. Directories are watched, never files: git and
// editors replace files by renaming. An event means no more than "look again"; what changed is not looked at.
type watcher struct {
	fs *fsnotify.Watcher
	// targets lists the directories to watch now. It is called again when a directory appears or is lost.
	targets func() ([]string, error)
	debounce
	signal chan struct{}
}

// watchRepository watches where refs are kept: the git directory (HEAD and packed-refs are replaced there) and all
// directories of refs/. For a linked work tree HEAD and refs are in different places.
func watchRepository(ctx context.Context, path string) (<-chan struct{}, error) {
	return startWatch(ctx, gitDebounce, func() ([]string, error) {
		r, err := findRepository(path)
		if err != nil {
			return nil, err
		}
		dirs, err := below(filepath.Join(r.common, "refs"), "")
		return append([]string{r.gitDir, r.common}, dirs...), err
	})
}

// watchDirectory watches a tree of directories.
func watchDirectory(ctx context.Context, path string) (<-chan struct{}, error) {
	return startWatch(ctx, dirDebounce, func() ([]string, error) { return below(path, ".git") })
}

// below lists a directory and all directories in it, except those of one name. What vanishes meanwhile is left out.
func below(root, except string) ([]string, error) {
	if _, err := os.Stat(root); err != nil {
		return nil, err
	}
	dirs := []string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
			return nil
		case err != nil:
			return err
		case !e.IsDir():
			// The root itself may be a link to a directory.
			if path == root {
				dirs = append(dirs, path)
			}
			return nil
		case except != "" && e.Name() == except && path != root:
			return fs.SkipDir
		}
		dirs = append(dirs, path)
		return nil
	})
	return dirs, err
}

func startWatch(ctx context.Context, d debounce, targets func() ([]string, error)) (<-chan struct{}, error) {
	inotify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, watchError(err)
	}
	w := &watcher{fs: inotify, targets: targets, debounce: d, signal: make(chan struct{}, 1)}
	if err := w.add(); err != nil {
		inotify.Close()
		return nil, err
	}
	go w.run(ctx)
	return w.signal, nil
}

// add watches what is not watched yet. A directory that vanished meanwhile is none of ours any more.
func (w *watcher) add() error {
	dirs, err := w.targets()
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	for _, dir := range dirs {
		if err := w.fs.Add(dir); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return watchError(err)
		}
	}
	return nil
}

func watchError(err error) error {
	// inotify_add_watch(2): ENOSPC is fs.inotify.max_user_watches; inotify_init(2): EMFILE is max_user_instances.
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return fmt.Errorf("watch: %w (%v); raise fs.inotify.max_user_watches and max_user_instances, until then it is polled", ErrWatchLimit, err)
	}
	return fmt.Errorf("watch: %w", err)
}

// run turns events into signals until ctx ends. While some directory cannot be watched it signals at an interval.
func (w *watcher) run(ctx context.Context) {
	defer close(w.signal)
	defer w.fs.Close()
	var (
		due, lost   <-chan time.Time
		first       time.Time
		directories bool
	)
	noticed := func(now time.Time) {
		if due == nil {
			first = now
		}
		due = time.After(max(0, min(w.quiet, w.max-now.Sub(first))))
	}
	for {
		select {
		case <-ctx.Done():
			return
		case event, ok := <-w.fs.Events:
			if !ok {
				return
			}
			directories = directories || structural(event)
			noticed(time.Now())
		case _, ok := <-w.fs.Errors:
			if !ok {
				return
			}
			// Above all ErrEventOverflow: events were lost, maybe those of new directories.
			directories = true
			noticed(time.Now())
		case <-lost:
			directories = true
			noticed(time.Now())
		case <-due:
			due = nil
			if directories {
				directories, lost = false, nil
				if w.add() != nil {
					lost = time.After(rewatchInterval)
				}
			}
			w.send()
		}
	}
}

// structural tells events after which other directories may have to be watched.
func structural(event fsnotify.Event) bool {
	if event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename) {
		return true
	}
	if !event.Has(fsnotify.Create) {
		return false
	}
	info, err := os.Stat(event.Name)
	return err == nil && info.IsDir()
}

func (w *watcher) send() {
	select {
	case w.signal <- struct{}{}:
	default: // one is waiting already
	}
}
