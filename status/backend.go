package status

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Reader answers questions. It is called from several goroutines at once.
type Reader interface {
	Live
	History
}

// Live says what is so now.
type Live interface {
	// Snapshot is cheap: it is called for every page that is open, whenever Watch signals.
	Snapshot(ctx context.Context) (Snapshot, error)
	// Watch signals on the channel when a Snapshot would differ. Signals are coalesced. The channel is closed when ctx
	// ends.
	Watch(ctx context.Context) (<-chan struct{}, error)
	// Logs copies a container's output to w. With Follow it returns when the container ends or ctx does.
	Logs(ctx context.Context, request LogRequest, w io.Writer) error
}

// History says what was. A revision is named by its number (14, r14) or the beginning of its commit's hash.
type History interface {
	// Revisions returns at most limit revisions, newest first, with numbers below before (0: from the newest).
	Revisions(ctx context.Context, before uint64, limit int) ([]Revision, error)
	Revision(ctx context.Context, rev string) (RevisionDetail, error)
	// Events returns at most limit events of one object, newest first. A Snapshot has the newest of all objects.
	Events(ctx context.Context, object Ref, limit int) ([]Event, error)
	// Diff compares two revisions. An empty from is the one before to; an empty to is the one that runs.
	Diff(ctx context.Context, from, to string) ([]ObjectDiff, error)
}

// Controller acts. Only the unix socket leads to it.
type Controller interface {
	// Plan says what would be done, and does nothing.
	Plan(ctx context.Context, request PlanRequest) (PlanResult, error)
	// Sync looks at every source now instead of at the next poll.
	Sync(ctx context.Context) error
	// Rollback returns to a revision and holds there. It returns the revision that this makes.
	Rollback(ctx context.Context, rev, reason string) (Revision, error)
	// Approve applies the commit that waits for it, since it would delete much. It returns the revision that this makes.
	Approve(ctx context.Context, rev, reason string) (Revision, error)
	// Resume ends a hold.
	Resume(ctx context.Context) error
	// Shutdown ends the daemon. Pods keep running.
	Shutdown(ctx context.Context) error
	Sessions
}

// Sessions lead into containers. A session ends with its ctx: a command is killed then, a container runs on.
type Sessions interface {
	// Exec runs a command in a running container and returns its exit code.
	Exec(ctx context.Context, request ExecRequest, streams Streams) (exitCode int, err error)
	// Attach connects to the main process of a container. It returns the exit code of a container that has ended, and 0
	// for one that runs on.
	Attach(ctx context.Context, request AttachRequest, streams Streams) (exitCode int, err error)
	// Debug adds a container to a pod and returns when it runs.
	Debug(ctx context.Context, request DebugRequest) error
}

// LogRequest says whose log is wanted, and which part.
type LogRequest struct {
	Namespace, Pod string
	// Container may be empty if the pod has only one.
	Container string
	Follow    bool
	// Previous asks for the attempt before the latest.
	Previous   bool
	Timestamps bool
	// Tail is the number of last lines; negative for all.
	Tail int
	// Since is zero for the whole log.
	Since time.Time
}

// ContainerName names a container of a pod.
type ContainerName struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	// Container may be empty if the pod has only one, or an annotation that says which is the default.
	Container string `json:"container,omitempty"`
}

// ExecRequest says what to run where. Stdin tells that there is input, TTY that the command wants a terminal.
type ExecRequest struct {
	ContainerName
	Command []string `json:"command"`
	Stdin   bool     `json:"stdin,omitempty"`
	TTY     bool     `json:"tty,omitempty"`
}

// AttachRequest says to what to attach. Logs asks for what was written before.
type AttachRequest struct {
	ContainerName
	Stdin bool `json:"stdin,omitempty"`
	TTY   bool `json:"tty,omitempty"`
	Logs  bool `json:"logs,omitempty"`
}

// DebugRequest describes the container to add; ContainerName.Container is its name. Target is the container whose
// processes it sees; empty for none. Without a command it runs the image's.
type DebugRequest struct {
	ContainerName
	Image   string   `json:"image"`
	Command []string `json:"command,omitempty"`
	Target  string   `json:"target,omitempty"`
	Stdin   bool     `json:"stdin,omitempty"`
	TTY     bool     `json:"tty,omitempty"`
}

// Streams are the caller's ends of a session. Stdin and Resize may be nil; a read of Stdin may be under way still when the
// session is over. With a terminal, everything goes to Stdout.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Resize         <-chan TerminalSize
}

// TerminalSize is a terminal's, in characters.
type TerminalSize struct{ Width, Height uint16 }

// PlanRequest says what to plan for: a revision, or rendered manifests, or with neither the newest commit.
type PlanRequest struct {
	Revision string `json:"revision,omitempty"`
	// Manifests is YAML as rendered by the command line: the daemon may not see the same files. It may hold secrets.
	Manifests string `json:"manifests,omitempty"`
}

// PlanResult is what would be done.
type PlanResult struct {
	// Changes to objects, against what is applied now.
	Changes []Change `json:"changes"`
	// Actions, in order.
	Actions  []PlannedAction `json:"actions"`
	Warnings []string        `json:"warnings,omitempty"`
}

// PlannedAction is one thing to do, and why.
type PlannedAction struct {
	Action string `json:"action"`
	Reason string `json:"reason"`
}

// Errors that Reader and Controller wrap and Client returns again. Anything else is an internal error.
var (
	// ErrNotFound: there is no such revision, pod or container.
	ErrNotFound = errors.New("not found")
	// ErrInvalid: the request makes no sense; the message says why.
	ErrInvalid = errors.New("invalid")
	// ErrConflict: not in this state, as a resume without a hold.
	ErrConflict = errors.New("conflict")
	// ErrUnavailable: not yet, or not now; ask again.
	ErrUnavailable = errors.New("unavailable")
)

// wordedError is of a kind, for errors.Is, and has words of its own. kind may be nil.
type wordedError struct{ err, kind error }

func (e *wordedError) Error() string { return e.err.Error() }

func (e *wordedError) Unwrap() []error {
	if e.kind == nil {
		return []error{e.err}
	}
	return []error{e.err, e.kind}
}

// Errorf is an error of a kind, in words that need not name it.
func Errorf(kind error, format string, args ...any) error {
	return &wordedError{fmt.Errorf(format, args...), kind}
}
