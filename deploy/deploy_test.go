package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podyard/podyard/deploy"
	"github.com/podyard/podyard/history"
	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime/fake"
	"github.com/podyard/podyard/sources"
	"github.com/podyard/podyard/status"
)

func TestMain(m *testing.M) {
	manifests.RunChildIfAsked()
	os.Exit(m.Run())
}

// bench is a repository, an engine in memory, and a daemon that can be stopped and started again.
type bench struct {
	*testing.T
	dir, repo string
	engine    *fake.Engine
	deployer  *deploy.Deployer
	onFailure deploy.OnFailure
	store     *history.Store
	stop      func()
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t, dir: t.TempDir()}
	b.repo = filepath.Join(b.dir, "app")
	b.engine = fake.New(fake.Options{Images: map[string]fake.Program{"app:1": {Local: true}, "app:2": {Local: true}, "never:1": {Local: true, ReadyAfter: fake.Never},
		"job:1": {Local: true, ExitAfter: 50 * time.Millisecond}, "crash:1": {Local: true, ExitAfter: 50 * time.Millisecond, ExitCode: 1}}})
	if err := b.engine.Ensure(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	b.git("init", "--quiet", "--initial-branch=main", b.repo)
	t.Cleanup(func() { b.halt() })
	return b
}

func (b *bench) start() {
	b.Helper()
	source, err := sources.Open(filepath.Join(b.dir, "data"), sources.Options{URL: b.repo})
	if err != nil {
		b.Fatal(err)
	}
	if b.store, err = history.Open(filepath.Join(b.dir, "history.db")); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.deployer = deploy.New(deploy.Options{Name: "default", Path: ".", Interval: time.Hour, Source: source, Store: b.store, Runtime: b.engine,
		OnFailure: b.onFailure, Stop: cancel})
	var done sync.WaitGroup
	done.Go(func() {
		if err := b.deployer.Run(ctx); err != nil {
			b.Errorf("run: %v", err)
		}
	})
	b.stop = func() {
		cancel()
		done.Wait()
		if err := b.store.Close(); err != nil {
			b.Errorf("close: %v", err)
		}
	}
}

func (b *bench) halt() {
	if b.stop != nil {
		b.stop()
		b.stop = nil
	}
}

func (b *bench) commit(subject, yaml string) {
	b.Helper()
	if err := os.WriteFile(filepath.Join(b.repo, "app.yaml"), []byte(yaml), 0o644); err != nil {
		b.Fatal(err)
	}
	b.git("-C", b.repo, "add", "--all")
	b.git("-C", b.repo, "commit", "--quiet", "--allow-empty", "--message", subject)
}

func (b *bench) git(args ...string) {
	b.Helper()
	command := exec.Command("git", append([]string{"-c", "user.name=Tester", "-c", "user.email=tester@example.com"}, args...)...)
	if out, err := command.CombinedOutput(); err != nil {
		b.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

// await waits until the newest revision has a subject and an outcome.
func (b *bench) await(subject string, outcome status.Outcome) status.Revision {
	b.Helper()
	var last status.Snapshot
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		s, err := b.deployer.Snapshot(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		last = s
		if len(s.Revisions) > 0 && s.Revisions[0].Commit.Subject == subject && s.Revisions[0].Outcome == outcome {
			return s.Revisions[0]
		}
	}
	b.Fatalf("waited in vain for %q to be %s; the source: %s", subject, outcome, last.Sources[0].State)
	return status.Revision{}
}

func (b *bench) state() string {
	s, err := b.deployer.Snapshot(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return s.Sources[0].State
}

// image is what the one pod runs.
func (b *bench) image() string {
	state, err := b.engine.State(b.Context())
	if err != nil || len(state.Pods) != 1 || len(state.Pods[0].Containers) != 1 {
		return ""
	}
	return state.Pods[0].Containers[0].Image
}

func pod(image string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: app}\nspec:\n  containers: [{name: main, image: \"" + image + "\"}]\n"
}

func TestACommitBecomesARevision(t *testing.T) {
	b := newBench(t)
	b.commit("First", pod("app:1"))
	b.start()
	r := b.await("First", status.Succeeded)
	if r.Number != 1 || r.Trigger != "start" || len(r.Changes) != 1 || r.Changes[0].Action != "create" || r.Images["app:1"] == "" || !r.Current {
		t.Errorf("revision: %+v", r)
	}
	b.commit("Second", pod("app:2"))
	if r = b.await("Second", status.Succeeded); r.Trigger != "change" || r.Changes[0].Action != "change" {
		t.Errorf("revision: %+v", r)
	}
	if b.image() != "app:2" {
		t.Errorf("runs %s", b.image())
	}
	if state := b.state(); !strings.HasPrefix(state, "in sync with "+r.Commit.Short()) {
		t.Errorf("state: %s", state)
	}
}

func TestTheEventsOfAPodAreKeptWhateverHappensToOthers(t *testing.T) {
	b := newBench(t)
	b.commit("First", pod("app:1"))
	b.start()
	b.await("First", status.Succeeded)
	for i := range 100 {
		if err := b.store.Event(history.Event{Time: time.Now(), Type: history.Normal, Reason: "Pulled", Object: "Image other", Message: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	events, err := b.deployer.Events(t.Context(), status.Ref{Kind: "Pod", Namespace: "default", Name: "app"}, 10)
	if err != nil || len(events) == 0 || events[0].Reason != "SuccessfulCreate" {
		t.Errorf("events of the pod: %+v, %v", events, err)
	}
}

func TestARefusedCommitIsRecordedAndChangesNothing(t *testing.T) {
	b := newBench(t)
	b.commit("Good", pod("app:1"))
	b.start()
	b.await("Good", status.Succeeded)
	b.commit("Bad", strings.Replace(pod("app:2"), "image:", "imagee:", 1))
	r := b.await("Bad", status.Refused)
	if !strings.Contains(r.Message, "app.yaml:5: spec.containers[0].imagee: unknown field") {
		t.Errorf("message: %s", r.Message)
	}
	if state := b.state(); !strings.Contains(state, "was refused, r1 stays: app.yaml:5") {
		t.Errorf("state: %s", state)
	}
	if b.image() != "app:1" {
		t.Errorf("runs %s", b.image())
	}
	// A restart meets the same bad commit again: it is not recorded twice, and what runs stays.
	b.halt()
	b.start()
	b.await("Bad", status.Refused)
	if list, err := b.deployer.Revisions(t.Context(), 0, 10); err != nil || len(list) != 2 {
		t.Errorf("history: %v, %v", list, err)
	}
	b.commit("Good again", pod("app:2"))
	b.await("Good again", status.Succeeded)
}

func TestAHoldOutlivesTheDaemonAndEndsWithTheNextCommit(t *testing.T) {
	b := newBench(t)
	b.commit("One", pod("app:1"))
	b.start()
	b.await("One", status.Succeeded)
	b.commit("Two", pod("app:2"))
	b.await("Two", status.Succeeded)
	if _, err := b.deployer.Rollback(t.Context(), "r1", "two is slow"); err != nil {
		t.Fatal(err)
	}
	if r := b.await("One", status.Succeeded); r.Number != 3 || r.Trigger != "rollback" {
		t.Errorf("revision: %+v", r)
	}
	b.halt()
	b.start()
	time.Sleep(200 * time.Millisecond) // the first fetch passes by
	if state := b.state(); !strings.Contains(state, "held at r3") || !strings.Contains(state, "two is slow") || b.image() != "app:1" {
		t.Errorf("state: %s, runs %s", state, b.image())
	}
	if err := b.deployer.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.await("Two", status.Succeeded)
	if err := b.deployer.Resume(t.Context()); !errors.Is(err, status.ErrConflict) {
		t.Errorf("resume without a hold: %v", err)
	}
	if _, err := b.deployer.Rollback(t.Context(), "HEAD~1", ""); err != nil {
		t.Fatal(err)
	}
	b.await("One", status.Succeeded)
	if _, err := b.deployer.Rollback(t.Context(), "@{1}", ""); err != nil {
		t.Fatal(err)
	}
	b.await("Two", status.Succeeded)
	if _, err := b.deployer.Rollback(t.Context(), "main@{yesterday}", ""); !errors.Is(err, status.ErrNotFound) {
		t.Errorf("a rollback to before the first: %v", err)
	}
	if _, err := b.deployer.Rollback(t.Context(), "@{soon}", ""); !errors.Is(err, status.ErrInvalid) {
		t.Errorf("a rollback to the future: %v", err)
	}
	b.commit("Three", pod("app:2"))
	b.await("Three", status.Succeeded)
}

// TestWithoutGitTheLastRevisionRunsOn: the repository is gone when the daemon starts, and the engine was restarted.
func TestWithoutGitTheLastRevisionRunsOn(t *testing.T) {
	b := newBench(t)
	b.commit("One", pod("app:1"))
	b.start()
	b.await("One", status.Succeeded)
	b.halt()
	b.engine.RestartEngine()
	refs := filepath.Join(b.repo, ".git", "refs", "heads", "main")
	if err := os.Rename(refs, filepath.Join(b.dir, "away")); err != nil {
		t.Fatal(err)
	}
	b.start()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s, err := b.deployer.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s.Sources[0].FetchError != "" && len(s.Pods) == 1 && s.Pods[0].Health == status.Ready && s.Pods[0].Restarts > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("want a fetch error and a pod that was healed: %+v", s.Sources[0])
		}
	}
	if list, err := b.deployer.Revisions(t.Context(), 0, 10); err != nil || len(list) != 1 {
		t.Errorf("a restart made revisions: %v, %v", list, err)
	}
}

// TestAPlainDirectoryIsFollowed: no git at all; a saved file deploys.
func TestAPlainDirectoryIsFollowed(t *testing.T) {
	b := newBench(t)
	b.repo = filepath.Join(b.dir, "plain")
	write := func(text string) {
		if err := os.MkdirAll(b.repo, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(b.repo, "app.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(pod("app:1"))
	b.start()
	first := b.await("", status.Succeeded)
	if b.image() != "app:1" || first.Commit.Short() == "" {
		t.Errorf("runs %s, revision %+v", b.image(), first)
	}
	write(pod("app:2"))
	for deadline := time.Now().Add(20 * time.Second); b.image() != "app:2"; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("runs %s; %s", b.image(), b.state())
		}
	}
}

func TestSecretsAreMasked(t *testing.T) {
	b := newBench(t)
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: token}\nstringData: {password: canary-1}\n---\n"
	b.commit("One", secret+pod("app:1"))
	b.start()
	b.await("One", status.Succeeded)
	b.commit("Two", strings.Replace(secret, "canary-1", "canary-2", 1)+pod("app:1"))
	b.await("Two", status.Succeeded)
	detail, err := b.deployer.Revision(t.Context(), "2")
	if err != nil {
		t.Fatal(err)
	}
	diffs, err := b.deployer.Diff(t.Context(), "", "2")
	if err != nil || len(diffs) != 1 {
		t.Fatalf("diff: %v, %v", diffs, err)
	}
	if strings.Contains(detail.YAML+diffs[0].Diff, "canary") || !strings.Contains(detail.YAML, "***") || !strings.Contains(diffs[0].Diff, "+  password: '*** (changed)'") {
		t.Errorf("a secret is shown, or its change is not:\n%s\n%s", detail.YAML, diffs[0].Diff)
	}
}

func TestPlanDoesNothing(t *testing.T) {
	b := newBench(t)
	b.commit("One", pod("app:1"))
	b.start()
	b.await("One", status.Succeeded)
	before := len(b.engine.Calls())
	result, err := b.deployer.Plan(t.Context(), status.PlanRequest{Manifests: pod("app:2")})
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Changes) != 1 || len(result.Actions) != 1 || result.Actions[0].Action != "delete pod default/app" || result.Actions[0].Reason != "Pod default/app changed: image app:1 → app:2" {
		t.Errorf("plan: %+v", result)
	}
	for _, c := range b.engine.Calls()[before:] {
		if c.Verb != "State" && c.Verb != "ImageStatus" {
			t.Errorf("plan called %s", c.Verb)
		}
	}
}
