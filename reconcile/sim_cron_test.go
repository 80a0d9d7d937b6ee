package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"pgregory.net/rapid"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

// TestCronJobSimulation runs random histories of one CronJob: commits, a clock that is set forward and back, daemons that are
// away while runs become due, containers that crash or are removed, notes that are not written, and some that are although it
// failed. With every note that is written and every change on the engine it checks what must never happen; at the end, that
// the history is trimmed, that the CronJob is up to date, and that all of it goes when it leaves the commit.
//
// Bugs planted once and caught here within 100 histories: a Job that runs before the start is noted for the CronJob, Forbid,
// Replace, suspend and startingDeadlineSeconds ignored, two starts in a minute, a Job of the template of today, a Job forgotten
// while it has pods, a history one too long, no time to look again, notes left behind by a CronJob that is gone.
func TestCronJobSimulation(t *testing.T) { checkHistories(t, 100, simulateCronJob) }

func simulateCronJob(t *rapid.T) {
	steps := rapid.SliceOfN(rapid.SampledFrom(slices.Sorted(maps.Keys(cronSteps))), 3, 14).Draw(t, "steps")
	rapid.SyncTest(t, func(t *rapid.T) {
		s := newCronSimulation(t)
		defer func() { s.stop() }()
		s.commit()
		for _, step := range steps {
			cronSteps[step](s)
			time.Sleep(time.Duration(rapid.IntRange(0, 150_000).Draw(t, "pause")) * time.Millisecond)
		}
		s.converge()
	})
}

var cronSteps = map[string]func(*cronSimulation){
	"commit":         (*cronSimulation).commit,
	"commit again":   (*cronSimulation).commit,
	"set forward":    func(s *cronSimulation) { s.setClock(rapid.IntRange(1, 1800).Draw(s.T, "seconds")) },
	"set back":       func(s *cronSimulation) { s.setClock(-rapid.IntRange(1, 300).Draw(s.T, "seconds")) },
	"be away":        func(s *cronSimulation) { s.restart(rapid.IntRange(0, 900).Draw(s.T, "seconds")) },
	"restart daemon": func(s *cronSimulation) { s.restart(0) },
	"fail notes":     func(s *cronSimulation) { s.notes.fail(rapid.IntRange(1, 4).Draw(s.T, "times")) },
	"crash": func(s *cronSimulation) {
		s.onContainer(func(_ *runtime.Pod, c *runtime.Container) { s.engine.KillContainer(c.ID, 1) })
	},
	"remove": func(s *cronSimulation) {
		s.onContainer(func(_ *runtime.Pod, c *runtime.Container) { s.engine.RemoveBehindBack(c.ID) })
	},
	"lose sandbox": func(s *cronSimulation) {
		s.onContainer(func(p *runtime.Pod, _ *runtime.Container) { s.engine.RemoveBehindBack(p.ID) })
	},
	"fault": func(s *cronSimulation) {
		verb := rapid.SampledFrom([]string{"CreateSandbox", "StartContainer", "RemoveSandbox", "State", "PullImage"}).Draw(s.T, "verb")
		s.engine.Inject(fake.Fault{Verb: verb, Times: rapid.IntRange(1, 3).Draw(s.T, "times")})
	},
}

// cronSimulation is one history of the CronJob default/tick.
type cronSimulation struct {
	*rapid.T
	engine *fake.Engine
	notes  *watchedNotes
	stop   func()

	mu      sync.Mutex
	offset  time.Duration
	commits []*manifests.Set
	// last is the start made last, since the CronJob was last forgotten.
	last time.Time
}

func newCronSimulation(t *rapid.T) *cronSimulation {
	s := &cronSimulation{T: t}
	s.notes = &watchedNotes{s: s}
	images := maps.Clone(programs)
	images["long"] = fake.Program{ExitAfter: 150 * time.Second}
	s.engine = fake.New(fake.Options{Images: images, OnChange: s.checkPods})
	if err := s.engine.Ensure(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	s.start()
	return s
}

func (s *cronSimulation) start() {
	ctx, cancel := context.WithCancel(context.Background())
	r := New(s.engine, Options{Workers: 4, Notes: s.notes, Log: simLogger()})
	r.clock = s.clock
	if len(s.commits) > 0 {
		r.SetDesired(s.commits[len(s.commits)-1])
	}
	s.notes.reconciler = r
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	s.stop = func() {
		cancel()
		<-done
	}
}

func (s *cronSimulation) restart(after int) {
	s.stop()
	time.Sleep(time.Duration(after) * time.Second)
	s.engine.Reconnect()
	s.start()
}

func (s *cronSimulation) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return wallClock().Add(s.offset)
}

func (s *cronSimulation) setClock(seconds int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset += time.Duration(seconds) * time.Second
}

func (s *cronSimulation) commit() {
	if rapid.IntRange(0, 7).Draw(s.T, "none") == 0 {
		s.deploy(nil)
		return
	}
	image := rapid.SampledFrom([]string{"job", "job", "long", "good:1", "crash", "init:flaky", "missing"}).Draw(s.T, "image")
	c := s.randomCronJob(rapid.SampledFrom([]string{"* * * * *", "*/2 * * * *", "@every 90s", "@every 7s", "0 * * * *"}).Draw(s.T, "schedule"), image)
	c.Spec.Suspend = pointer(rapid.IntRange(0, 5).Draw(s.T, "suspend") == 0)
	if rapid.IntRange(0, 3).Draw(s.T, "deadline") == 0 {
		c.Spec.StartingDeadlineSeconds = pointer(int64(rapid.IntRange(1, 90).Draw(s.T, "deadline seconds")))
	}
	s.deploy(c)
}

func (s *cronSimulation) randomCronJob(schedule, image string) *batchv1.CronJob {
	c := cronJob("tick", schedule, image)
	c.Spec.ConcurrencyPolicy = rapid.SampledFrom([]batchv1.ConcurrencyPolicy{"Allow", "Forbid", "Replace"}).Draw(s.T, "policy")
	c.Spec.SuccessfulJobsHistoryLimit = pointer(int32(rapid.IntRange(0, 3).Draw(s.T, "successful")))
	c.Spec.FailedJobsHistoryLimit = pointer(int32(rapid.IntRange(0, 2).Draw(s.T, "failed")))
	return c
}

func (s *cronSimulation) deploy(c *batchv1.CronJob) {
	set := &manifests.Set{Since: time.Now()}
	if c != nil {
		add(set, "CronJob", c.Name, c)
	}
	s.mu.Lock()
	s.commits = append(s.commits, set)
	s.mu.Unlock()
	s.notes.reconciler.SetDesired(set)
}

func (s *cronSimulation) onContainer(f func(*runtime.Pod, *runtime.Container)) {
	state := s.engine.Truth()
	for i := range state.Pods {
		if p := &state.Pods[i]; len(p.Containers) > 0 && p.Phase != runtime.Missing && rapid.Bool().Draw(s.T, "victim") {
			f(p, &p.Containers[0])
			return
		}
	}
}

// recent are the CronJobs of the commits whose actions may still land; nil stands for a commit without one.
func (s *cronSimulation) recent() []*batchv1.CronJob {
	i := len(s.commits) - 1
	for ; i > 0 && time.Since(s.commits[i].Since) < 2*time.Second; i-- {
	}
	var out []*batchv1.CronJob
	for _, set := range s.commits[max(i, 0):] {
		out = append(out, append(manifests.All[*batchv1.CronJob](set), nil)[0])
	}
	return out
}

// any tells that one of the recent commits has a CronJob of which something is true.
func (s *cronSimulation) any(is func(*batchv1.CronJob) bool) bool {
	return slices.ContainsFunc(s.recent(), func(c *batchv1.CronJob) bool { return c != nil && is(c) })
}

// watchedNotes sees every note as it is written, and may fail to write it, or say so.
type watchedNotes struct {
	memory
	s          *cronSimulation
	reconciler *Reconciler
	mu         sync.Mutex
	failures   int
}

func (n *watchedNotes) fail(times int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failures = times
}

func (n *watchedNotes) PutNote(name, text string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	failing := n.failures > 0
	if failing {
		n.failures--
	}
	if failing && n.failures%2 == 0 {
		return errors.New("the disk is full")
	}
	before, _ := n.memory.Notes()
	n.s.checkNote(before, name, text)
	err := n.memory.PutNote(name, text)
	if failing {
		err = errors.New("the disk is full, though not quite")
	}
	return err
}

func (s *cronSimulation) checkNote(before map[string]string, name, text string) {
	pods := s.podsOf(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case name == "CronJob/default/tick" && text == "":
		s.last = time.Time{}
	case name == "CronJob/default/tick":
		was, is := decoded[batchv1.CronJob](before[name]), decoded[batchv1.CronJob](text)
		if at := was.Status.LastScheduleTime; at != nil && is.Status.LastScheduleTime.Before(at) {
			s.Errorf("the last start goes back from %s to %s", at, is.Status.LastScheduleTime)
		}
	case text == "":
		if len(pods) > 0 {
			s.Errorf("%s is forgotten, and has pods %v", name, pods)
		}
	case before[name] == "":
		s.checkStart(before, decoded[batchv1.Job](text))
	}
}

// checkStart: each time is started once, in order, not before it has come, and as the CronJob says.
func (s *cronSimulation) checkStart(before map[string]string, j *batchv1.Job) {
	at, err := time.Parse(time.RFC3339, j.Annotations[batchv1.CronJobScheduledTimestampAnnotation])
	now := wallClock().Add(s.offset)
	switch {
	case err != nil || j.Name != fmt.Sprintf("tick-%d", at.Unix()/60):
		s.Errorf("the Job %s is due at %s: %v", j.Name, at, err)
	case !at.After(s.last) || at.Truncate(time.Minute).Equal(s.last.Truncate(time.Minute)):
		s.Errorf("the start of %s comes after that of %s", at, s.last)
	case at.After(now):
		s.Errorf("the start of %s is made at %s", at, now)
	case !s.any(func(c *batchv1.CronJob) bool { return !*c.Spec.Suspend }):
		s.Errorf("a suspended CronJob starts %s", j.Name)
	case !s.any(func(c *batchv1.CronJob) bool {
		return c.Spec.StartingDeadlineSeconds == nil || now.Sub(at) <= time.Duration(*c.Spec.StartingDeadlineSeconds+1)*time.Second
	}):
		s.Errorf("%s is started %s late", j.Name, now.Sub(at))
	}
	s.last = at
	if s.any(func(c *batchv1.CronJob) bool { return c.Spec.ConcurrencyPolicy != batchv1.ForbidConcurrent }) {
		return
	}
	for name, text := range before {
		if other := decoded[batchv1.Job](text); strings.HasPrefix(name, "Job/") && !finished(other) {
			s.Errorf("Job %s begins, and %s has not ended", j.Name, other.Name)
		}
	}
}

func decoded[T any](text string) *T {
	out := new(T)
	if text != "" && json.Unmarshal([]byte(text), out) != nil {
		panic("not JSON: " + text)
	}
	return out
}

// podsOf are those of a Job, by the name of its note.
func (s *cronSimulation) podsOf(note string) (out []string) {
	state := s.engine.Truth()
	for i := range state.Pods {
		if p := state.Pods[i].Manifest; state.Pods[i].Phase != runtime.Missing && p.Annotations["podyard.dev/owner"] == "Job/"+strings.TrimPrefix(note, "Job/default/") {
			out = append(out, p.Name)
		}
	}
	return out
}

// checkPods: what runs belongs to a Job that is noted, and that has begun as it was made; with Forbid, to one only.
func (s *cronSimulation) checkPods(state runtime.State) {
	notes, _ := s.notes.memory.Notes()
	s.mu.Lock()
	defer s.mu.Unlock()
	last := decoded[batchv1.CronJob](notes["CronJob/default/tick"]).Status.LastScheduleTime
	running := map[string]bool{}
	for i := range state.Pods {
		p := &state.Pods[i]
		if p.Phase == runtime.Missing {
			continue
		}
		owner := strings.TrimPrefix(p.Manifest.Annotations["podyard.dev/owner"], "Job/")
		j := decoded[batchv1.Job](notes["Job/default/"+owner])
		at, _ := time.Parse(time.RFC3339, j.Annotations[batchv1.CronJobScheduledTimestampAnnotation])
		switch {
		case j.Name == "":
			s.Errorf("pod %s belongs to no Job that is noted", p.Manifest.Name)
		case last == nil || last.Time.Before(at):
			s.Errorf("pod %s is made before the start of its Job is noted", p.Manifest.Name)
		case j.Spec.Template.Spec.Containers[0].Image != p.Manifest.Spec.Containers[0].Image:
			s.Errorf("pod %s is of another template than its Job", p.Manifest.Name)
		}
		if len(p.Containers) > 0 && p.Containers[0].State == runtime.Running {
			running[owner] = true
		}
	}
	overlaps := slices.ContainsFunc(s.commits, func(set *manifests.Set) bool {
		all := manifests.All[*batchv1.CronJob](set)
		return len(all) == 0 || all[0].Spec.ConcurrencyPolicy != batchv1.ForbidConcurrent
	})
	if len(running) > 1 && !overlaps {
		s.Errorf("Jobs run at once, and concurrencyPolicy is Forbid: %v", slices.Sorted(maps.Keys(running)))
	}
}

// converge ends the troubles, lets good runs follow each other for a while, looks at what is kept, and takes the CronJob away.
func (s *cronSimulation) converge() {
	s.notes.fail(0)
	c := s.randomCronJob("* * * * *", rapid.SampledFrom([]string{"job", "crash", "long"}).Draw(s.T, "last image"))
	s.deploy(c)
	if behind := s.lastStart().Sub(s.clock()); behind > 0 {
		time.Sleep(behind)
	}
	time.Sleep(15 * time.Minute)
	time.Sleep(s.clock().Truncate(time.Minute).Add(time.Minute + 30*time.Second).Sub(s.clock()))
	s.checkKept(c)
	s.deploy(nil)
	time.Sleep(5 * time.Minute)
	notes, _ := s.notes.Notes()
	if pods := s.engine.Truth().Pods; len(pods)+len(notes) > 0 {
		s.Fatalf("the CronJob has left the commit, and left %d pods and the notes %v", len(pods), slices.Sorted(maps.Keys(notes)))
	}
}

func (s *cronSimulation) lastStart() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// checkKept looks at a CronJob in the middle of a minute: it has started what is due, unless an earlier run is in the way, and
// keeps no more than it may.
func (s *cronSimulation) checkKept(c *batchv1.CronJob) {
	notes, _ := s.notes.Notes()
	count := map[batchv1.JobConditionType]int{}
	image, old := c.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Image, false
	for name, text := range notes {
		if j := decoded[batchv1.Job](text); strings.HasPrefix(name, "Job/") {
			end := batchv1.JobConditionType("")
			for _, condition := range j.Status.Conditions {
				if condition.Type == batchv1.JobComplete || condition.Type == batchv1.JobFailed {
					end = condition.Type
				}
			}
			count[end]++
			old = old || end == "" && j.Spec.Template.Spec.Containers[0].Image != image // it may never end
		}
	}
	if n := count[batchv1.JobComplete]; n > int(*c.Spec.SuccessfulJobsHistoryLimit) {
		s.Errorf("%d Jobs that succeeded are kept, at most %d may be", n, *c.Spec.SuccessfulJobsHistoryLimit)
	}
	if n := count[batchv1.JobFailed]; n > int(*c.Spec.FailedJobsHistoryLimit) {
		s.Errorf("%d Jobs that failed are kept, at most %d may be", n, *c.Spec.FailedJobsHistoryLimit)
	}
	due, last := s.clock().Truncate(time.Minute), s.lastStart()
	switch policy := c.Spec.ConcurrencyPolicy; {
	case policy == batchv1.ReplaceConcurrent && count[""] > 1:
		s.Errorf("%d Jobs go on, and concurrencyPolicy is Replace", count[""])
	case policy == batchv1.ForbidConcurrent && old:
	case policy == batchv1.ForbidConcurrent && count[""] > 1:
		s.Errorf("%d Jobs go on, and concurrencyPolicy is Forbid", count[""])
	case policy == batchv1.ForbidConcurrent && image == "long" && due.Sub(last) <= 3*time.Minute:
	case !last.Equal(due):
		s.Errorf("the last start was at %s, and it is %s", last, s.clock())
	}
}
