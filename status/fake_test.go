package status

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
)

// fake is a daemon in memory. Its fields say what it answers; calls are written down.
type fake struct {
	mu       sync.Mutex
	snapshot Snapshot
	diffs    []ObjectDiff
	yaml     string
	log      string
	// err is returned by every method; logErr by Logs after the log.
	err, logErr error
	// watched is handed out by Watch. ended is closed when the context of a followed log ends.
	watched chan struct{}
	ended   chan struct{}
	calls   []string
	// session is what Exec and Attach do; nil for nothing.
	session func(ctx context.Context, streams Streams) (int, error)
}

func newFake() *fake {
	return &fake{
		snapshot: sample(), diffs: sampleDiffs(), yaml: sampleYAML, log: sampleLog,
		watched: make(chan struct{}, 1), ended: make(chan struct{}),
	}
}

var (
	_ Reader     = (*fake)(nil)
	_ Controller = (*fake)(nil)
)

func (f *fake) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
}

func (f *fake) noted() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.calls, "\n")
}

func (f *fake) Snapshot(context.Context) (Snapshot, error) { return f.snapshot, f.err }

func (f *fake) Events(_ context.Context, object Ref, _ int) (events []Event, err error) {
	for _, e := range f.snapshot.Events {
		if e.Object == object {
			events = append(events, e)
		}
	}
	return events, f.err
}

func (f *fake) Watch(ctx context.Context) (<-chan struct{}, error) {
	out := make(chan struct{})
	go func() {
		defer close(out)
		for {
			select {
			case <-ctx.Done():
				return
			case <-f.watched:
			}
			select {
			case <-ctx.Done():
				return
			case out <- struct{}{}:
			}
		}
	}()
	return out, f.err
}

func (f *fake) Logs(ctx context.Context, request LogRequest, w io.Writer) error {
	f.note("logs %+v", request)
	if f.err != nil {
		return f.err
	}
	if _, err := io.WriteString(w, f.log); err != nil {
		return err
	}
	if request.Follow {
		<-ctx.Done()
		close(f.ended)
		return ctx.Err()
	}
	return f.logErr
}

func (f *fake) Revisions(_ context.Context, before uint64, limit int) ([]Revision, error) {
	f.note("revisions %d %d", before, limit)
	var out []Revision
	for _, r := range f.snapshot.Revisions {
		if (before == 0 || r.Number < before) && len(out) < limit {
			out = append(out, r)
		}
	}
	return out, f.err
}

func (f *fake) Revision(_ context.Context, rev string) (RevisionDetail, error) {
	for _, r := range f.snapshot.Revisions {
		if r.Name() == rev || r.Name() == "r"+rev {
			return RevisionDetail{r, f.yaml}, f.err
		}
	}
	return RevisionDetail{}, fmt.Errorf("revision %s: %w", rev, ErrNotFound)
}

func (f *fake) Diff(_ context.Context, from, to string) ([]ObjectDiff, error) {
	f.note("diff %q %q", from, to)
	return f.diffs, f.err
}

func (f *fake) Plan(_ context.Context, request PlanRequest) (PlanResult, error) {
	f.note("plan %+v", request)
	return PlanResult{Actions: []PlannedAction{{"create pod shop/web-1", "Deployment shop/web wants 3 pods, has 2"}}}, f.err
}

func (f *fake) Sync(context.Context) error { f.note("sync"); return f.err }

func (f *fake) Rollback(_ context.Context, rev, reason string) (Revision, error) {
	f.note("rollback %s: %s", rev, reason)
	return Revision{Number: 15, Outcome: Applying}, f.err
}

func (f *fake) Approve(_ context.Context, rev, reason string) (Revision, error) {
	f.note("approve %s: %s", rev, reason)
	return Revision{Number: 16, Outcome: Applying}, f.err
}

func (f *fake) Resume(context.Context) error { f.note("resume"); return f.err }

func (f *fake) Shutdown(context.Context) error { f.note("shutdown"); return f.err }

func (f *fake) Exec(ctx context.Context, request ExecRequest, streams Streams) (int, error) {
	f.note("exec %+v", request)
	return f.inside(ctx, streams)
}

func (f *fake) Attach(ctx context.Context, request AttachRequest, streams Streams) (int, error) {
	f.note("attach %+v", request)
	return f.inside(ctx, streams)
}

func (f *fake) inside(ctx context.Context, streams Streams) (int, error) {
	if f.session == nil || f.err != nil {
		return 0, f.err
	}
	return f.session(ctx, streams)
}

func (f *fake) Debug(_ context.Context, request DebugRequest) error {
	f.note("debug %+v", request)
	return f.err
}
