package deploy

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/podyard/podyard/history"
	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/sources"
	"github.com/podyard/podyard/status"
)

// Options says what to deploy, and with what.
type Options struct {
	// Name of the source; Path inside it, slash-separated; Branch as shown.
	Name, Path, Branch string
	// Interval between two polls.
	Interval time.Duration
	Source   sources.Source
	Store    *history.Store
	Runtime  runtime.Runtime
	// NodeLabels are added to those of the one node there is.
	NodeLabels map[string]string
	// HTTPPort and HTTPSPort are the host's ports for Ingresses; 0 for none.
	HTTPPort, HTTPSPort int32
	// ExternalIPs are as reconcile.Options has them.
	ExternalIPs func(hostIP string) []string
	Renderer    *manifests.Renderer
	Log         *slog.Logger
	// Version, Instance, DataDir, Engine and Gateway are shown on the status page.
	Version, Instance, DataDir string
	Engine                     func() (name, version string)
	Gateway                    func() status.Gateway
	// MaxDeletions is how much of its objects a commit may delete without approval, in percent; 0 means DefaultMaxDeletions.
	MaxDeletions int
	// KeepImages is of how many revisions the images are kept on the host; 0 means DefaultKeepImages.
	KeepImages int
	// OnFailure is RollBack if empty.
	OnFailure OnFailure
	// Stop ends the daemon; the control API's Shutdown calls it.
	Stop func()
}

// Deployer follows one source.
type Deployer struct {
	options    Options
	log        *slog.Logger
	reconciler *reconcile.Reconciler
	started    time.Time
	trigger    chan struct{}
	rounds     chan reconcile.Status
	watchers   watchers

	// taking serialises what changes the applied revision: a fetch, a rollback, a resume.
	taking sync.Mutex

	mu      sync.Mutex
	applied *applied
	head    *sources.Artifact
	// refusal says why the head does not become a revision.
	refusal string
	// waiting is the head if somebody has to approve it.
	waiting *waiting
	fetch   sources.Event
	hold    *history.Hold
}

// applied is the revision that is the desired state.
type applied struct {
	number  uint64
	sync    uint64 // as history.Revision has it
	commit  sources.Commit
	name    string // the artifact's Revision
	set     *manifests.Set
	yaml    []byte
	outcome history.Outcome
	message string
	// waits: it failed to become ready because something is Pending, and nothing is broken.
	waits bool
	// since is when the outcome came about, readyAt when every object was ready for the first time.
	since, readyAt time.Time
	// touched is what it changed against the last good revision; good is that one if it is to take over should the rollout fail.
	touched touched
	good    *good
}

// cause is why a revision begins. Replaces is the number of the one that failed, if it takes over for that.
type cause struct {
	trigger, reason string
	replaces        uint64
}

// New wires a Deployer; Run starts it.
func New(options Options) *Deployer {
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	options.KeepImages = cmp.Or(options.KeepImages, DefaultKeepImages)
	options.MaxDeletions = cmp.Or(options.MaxDeletions, DefaultMaxDeletions)
	d := &Deployer{
		options: options, log: options.Log, started: time.Now(),
		trigger: make(chan struct{}, 1), rounds: make(chan reconcile.Status, 1),
	}
	d.reconciler = reconcile.New(options.Runtime, reconcile.Options{
		NodeLabels: options.NodeLabels, ExternalIPs: options.ExternalIPs, HTTPPort: options.HTTPPort, HTTPSPort: options.HTTPSPort,
		Log: options.Log, Notes: options.Store, Record: d.record, Changed: d.round,
	})
	return d
}

// Run deploys until ctx ends. It begins with the revision that was applied last, so that nothing waits for git.
func (d *Deployer) Run(ctx context.Context) error {
	if err := d.restore(); err != nil {
		d.log.Error("last revision not restored", "err", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var background sync.WaitGroup
	background.Go(func() { d.watchOutcomes(ctx) })
	background.Go(func() {
		sources.Poll(ctx, d.options.Source, d.pollOptions(), func(e sources.Event) { d.fetched(ctx, e) })
	})
	d.reconciler.Run(ctx)
	cancel()
	background.Wait()
	return nil
}

func (d *Deployer) pollOptions() sources.PollOptions {
	return sources.PollOptions{Interval: d.options.Interval, Sync: d.trigger}
}

// restore makes the last applied revision the desired state again.
func (d *Deployer) restore() error {
	hold, err := d.options.Store.Hold()
	if err != nil {
		return err
	}
	last, rendered, err := d.lastApplied()
	if err != nil || last == nil {
		return err
	}
	set, err := manifests.Decode(rendered, manifests.Options{})
	if err != nil {
		return fmt.Errorf("decode revision r%d: %w", last.Number, err)
	}
	first := cmp.Or(last.Sync, last.Number) // none in the history of an older Podyard
	set.Since, set.Sync, set.Fallback = last.Started, fmt.Sprint(first), last.Replaces != 0
	a := &applied{
		number: last.Number, sync: first, commit: sourceCommit(last.Commit), name: last.Revision, set: set, yaml: rendered,
		outcome: last.Outcome, message: last.Message, since: last.Finished, readyAt: last.ReadyAt,
	}
	if err := d.lookBack(a, last.Trigger); err != nil {
		return err
	}
	d.mu.Lock()
	d.hold, d.applied = hold, a
	d.mu.Unlock()
	d.reconciler.SetDesired(set)
	d.log.Info("revision restored", "revision", last.Revision, "number", last.Number)
	return nil
}

// lastApplied is the newest revision that was applied.
func (d *Deployer) lastApplied() (*history.Revision, []byte, error) {
	var before uint64
	for {
		page, err := d.options.Store.List(50, before)
		if err != nil || len(page) == 0 {
			return nil, nil, err
		}
		for _, r := range page {
			if r.WasApplied() {
				rendered, err := d.options.Store.Rendered(r.Number)
				return &r, rendered, err
			}
			before = r.Number
		}
	}
}

// fetched hears of every fetch.
func (d *Deployer) fetched(ctx context.Context, e sources.Event) {
	d.mu.Lock()
	d.fetch = e
	d.mu.Unlock()
	if e.Err != nil {
		d.log.Warn("fetch failed", "source", d.options.Source.String(), "err", e.Err, "next", e.Next.Round(time.Second))
	}
	if e.Changed && e.Artifact != nil {
		d.take(ctx, e.Artifact, e.Trigger)
	}
	d.watchers.signal()
}

// take makes a new head the desired state, unless it is held out or refused.
func (d *Deployer) take(ctx context.Context, artifact *sources.Artifact, trigger string) {
	d.taking.Lock()
	defer d.taking.Unlock()
	d.mu.Lock()
	d.head, d.refusal, d.waiting = artifact, "", nil
	hold := d.hold
	d.mu.Unlock()
	if hold != nil && hold.Head == artifact.Revision {
		return
	}
	set, err := d.load(ctx, artifact)
	if manifests.IsEmpty(err) && d.current() != nil {
		set, err = &manifests.Set{}, nil // whether that is meant, somebody has to say
	}
	if err == nil {
		err = d.permitted(ctx, set)
	}
	if err != nil {
		d.refuse(artifact, trigger, err)
		return
	}
	danger, err := d.danger(ctx, artifact, set)
	if err != nil {
		d.log.Error("revision not begun", "revision", artifact.Revision, "err", err)
		return
	}
	if danger != "" {
		d.askApproval(artifact, set, trigger, danger)
		return
	}
	if hold != nil {
		if err := d.release(); err != nil {
			d.log.Error("hold not released", "err", err)
			return
		}
	}
	if err := d.apply(artifact, set, cause{trigger: trigger}); err != nil {
		d.log.Error("revision not begun", "revision", artifact.Revision, "err", err)
	}
}

func (d *Deployer) load(ctx context.Context, artifact *sources.Artifact) (*manifests.Set, error) {
	return manifests.Load(ctx, artifact.Tree, d.options.Path, manifests.Options{Renderer: d.options.Renderer})
}

// refuse records a commit that does not parse, render or validate. What runs is not touched.
func (d *Deployer) refuse(artifact *sources.Artifact, trigger string, reason error) {
	d.log.Error("commit refused", "revision", artifact.Revision, "err", reason)
	d.mu.Lock()
	d.refusal = reason.Error()
	d.mu.Unlock()
	d.recordUnapplied(artifact, trigger, history.Refused, reason.Error())
}

// apply begins a revision and hands it to the reconciler. The commit that is applied already begins nothing.
func (d *Deployer) apply(artifact *sources.Artifact, set *manifests.Set, why cause) error {
	rendered := set.YAML(false)
	before := d.current()
	if before != nil && before.name == artifact.Revision && bytes.Equal(before.yaml, rendered) {
		return nil
	}
	rev := history.Revision{
		Source: d.options.Name, Revision: artifact.Revision, Commit: historyCommit(artifact.Commit),
		Trigger: why.trigger, Reason: why.reason, Replaces: why.replaces,
		Outcome: history.Applying, Started: time.Now(), Objects: len(set.Objects),
	}
	var beforeSet *manifests.Set
	if before != nil {
		beforeSet = before.set
	}
	rev.Changes, rev.Warnings = historyChanges(changes(beforeSet, set)), warnings(beforeSet, set)
	if before != nil && bytes.Equal(before.yaml, rendered) {
		rev.Sync = before.sync // nothing changed, so hooks do not run again
	}
	a := &applied{commit: artifact.Commit, name: artifact.Revision, set: set, yaml: rendered, outcome: history.Applying, since: rev.Started}
	if err := d.lookBack(a, why.trigger); err != nil {
		return err
	}
	rev, err := d.options.Store.Begin(rev, rendered)
	if err != nil {
		return fmt.Errorf("begin revision: %w", err)
	}
	a.number, a.sync = rev.Number, rev.Sync
	set.Since, set.Sync, set.Fallback = rev.Started, fmt.Sprint(rev.Sync), rev.Replaces != 0
	d.mu.Lock()
	d.applied = a
	d.mu.Unlock()
	d.reconciler.SetDesired(set)
	d.log.Info("revision begun", "revision", artifact.Revision, "number", rev.Number, "trigger", why.trigger, "changes", len(rev.Changes))
	d.supersede(before, rev.Number)
	if err := d.options.Source.Pin(context.Background(), rev.Number, artifact.Commit.Hash); err != nil {
		d.log.Warn("commit not pinned", "revision", artifact.Revision, "err", err)
	}
	return nil
}

// supersede ends a revision that the next one overtook.
func (d *Deployer) supersede(before *applied, by uint64) {
	if before == nil || before.outcome != history.Applying {
		return
	}
	d.finish(before.number, func(r *history.Revision) {
		r.Outcome, r.Finished = history.Superseded, time.Now()
		r.Message = fmt.Sprintf("r%d came before it was ready", by)
	})
}

func (d *Deployer) finish(number uint64, change func(*history.Revision)) {
	if err := d.options.Store.Update(number, change); err != nil {
		d.log.Error("revision not updated", "number", number, "err", err)
	}
}

func (d *Deployer) current() *applied {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.applied
}
