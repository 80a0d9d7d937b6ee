package reconcile

import (
	"encoding/json"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// jobs is what the simulation remembers of the one Job there is, by the UIDs that it had and those of its pods.
type jobs struct {
	// uid and hash are the last ones; changed that a commit since had another Job, or none.
	uid, hash string
	changed   bool
	// finished runs, and the pods of each that have succeeded, by their index or else their own UID.
	finished  map[string]bool
	succeeded map[string]map[string]string
}

// jobPrograms are the images of a Job's main container.
var jobPrograms = []string{"job", "job", "job", "crash", "init:flaky", "good:1", "missing", "broken"}

func (s *simulation) addJob(set *manifests.Set) {
	if s.keeps("batch", 4, 5) {
		add(set, "Job", "batch", s.randomJob("batch", jobPrograms, anyDress))
	}
}

// addGoodJob is one that can succeed, whatever fails of it meanwhile.
func (s *simulation) addGoodJob(set *manifests.Set) {
	if !s.cast["batch"] {
		return
	}
	dress := goodDress
	dress.inits = []string{"", "init:quick", "init:slow"} // a flaky one fails in each new pod
	j := s.randomJob("batch", []string{"job"}, dress)
	j.Spec.BackoffLimit, j.Spec.Parallelism, j.Spec.Suspend = pointer(int32(100)), pointer(int32(2)), pointer(false)
	j.Spec.ActiveDeadlineSeconds, j.Spec.BackoffLimitPerIndex, j.Spec.TTLSecondsAfterFinished = nil, nil, nil
	add(set, "Job", "batch", j)
}

func (s *simulation) randomJob(name string, images []string, dress dress) *batchv1.Job {
	number := func(label string, from, to int) *int32 {
		return pointer(int32(rapid.IntRange(from, to).Draw(s.T, label)))
	}
	maybe := func(label string) bool { return rapid.IntRange(0, 3).Draw(s.T, label) == 0 }
	j := &batchv1.Job{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}, ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	j.Spec = batchv1.JobSpec{
		Completions: number("completions", 0, 4), Parallelism: number("parallelism", 0, 3), BackoffLimit: number("backoffLimit", 0, 6),
		Suspend: pointer(maybe("suspend")), ManualSelector: pointer(false), CompletionMode: pointer(batchv1.NonIndexedCompletion),
		PodReplacementPolicy: pointer(rapid.SampledFrom([]batchv1.PodReplacementPolicy{batchv1.TerminatingOrFailed, batchv1.Failed}).Draw(s.T, "replacement")),
		Template:             s.template(name, images, dress),
	}
	j.Spec.Template.Spec.RestartPolicy = rapid.SampledFrom([]corev1.RestartPolicy{"Never", "OnFailure"}).Draw(s.T, "restartPolicy")
	switch {
	case rapid.Bool().Draw(s.T, "indexed"):
		j.Spec.CompletionMode = pointer(batchv1.IndexedCompletion)
		if maybe("limit per index") {
			j.Spec.BackoffLimitPerIndex, j.Spec.BackoffLimit = number("backoffLimitPerIndex", 0, 2), pointer(int32(1000))
		}
	case maybe("no completions"):
		j.Spec.Completions = nil
	}
	if maybe("deadline") {
		j.Spec.ActiveDeadlineSeconds = pointer(int64(rapid.IntRange(20, 90).Draw(s.T, "seconds")))
	}
	if maybe("ttl") {
		j.Spec.TTLSecondsAfterFinished = number("ttl", 0, 60)
	}
	return j
}

func jobOf(set *manifests.Set) *batchv1.Job {
	if o := set.Find("Job", "default", "batch"); o != nil {
		return o.Value.(*batchv1.Job)
	}
	return nil
}

// noteJobCommit remembers whether the Job may run again. The caller holds mu.
func (s *simulation) noteJobCommit(set *manifests.Set) {
	j := jobOf(set)
	s.jobs.changed = s.jobs.changed || j == nil || manifests.JobHash(&j.Spec) != s.jobs.hash || len(s.commits) > 0 &&
		(jobOf(s.commits[len(s.commits)-1]) == nil || !sameCompletions(jobOf(s.commits[len(s.commits)-1]), j))
}

func sameCompletions(a, b *batchv1.Job) bool {
	if a.Spec.Completions == nil || b.Spec.Completions == nil {
		return a.Spec.Completions == b.Spec.Completions
	}
	return *a.Spec.Completions == *b.Spec.Completions
}

// jobNote is what the daemon keeps of the Job, or nil.
func (s *simulation) jobNote() *batchv1.Job {
	notes, _ := s.notes.Notes()
	j := &batchv1.Job{}
	if json.Unmarshal([]byte(notes["Job/default/batch"]), j) != nil || j.UID == "" {
		return nil
	}
	return j
}

// checkJob: a Job that has ended does nothing any more, and starts over only if a commit changed it; no more pods succeed than
// it wants, and none twice for an index. The caller holds mu.
func (s *simulation) checkJob(state *runtime.State) {
	note := s.jobNote()
	if note != nil && string(note.UID) != s.jobs.uid {
		if hash := note.Annotations["podyard.dev/hash"]; hash == s.jobs.hash && !s.jobs.changed {
			s.Errorf("the Job starts over, and nothing has changed: %+v", note)
		}
		s.jobs.uid, s.jobs.hash, s.jobs.changed = string(note.UID), note.Annotations["podyard.dev/hash"], false
	}
	for i := range state.Pods {
		if pod := &state.Pods[i]; isOfJob(pod) {
			s.checkJobPod(note, pod)
		}
	}
	if note != nil && finished(note) {
		s.jobs.finished[string(note.UID)] = true
	}
	if n := len(s.jobs.succeeded[s.jobs.uid]); note != nil && note.Spec.Completions != nil && n > int(*note.Spec.Completions) && !s.elastic() {
		s.Errorf("%d pods of the Job have succeeded, and it wants %d:%s", n, *note.Spec.Completions, s.describe(state.Pods))
	}
}

// elastic: a commit may have made the Job smaller.
func (s *simulation) elastic() bool {
	return slices.ContainsFunc(s.commits, func(set *manifests.Set) bool {
		j := jobOf(set)
		return j != nil && j.Spec.Completions != nil && *j.Spec.CompletionMode == batchv1.IndexedCompletion && *j.Spec.Completions == *j.Spec.Parallelism
	})
}

func (s *simulation) checkJobPod(note *batchv1.Job, pod *runtime.Pod) {
	run, uid := jobRun(pod), string(pod.Manifest.UID)
	main := plan.Latest(pod, "main")
	if main != nil && main.State == runtime.Running && s.jobs.finished[run] {
		s.Errorf("pod %s runs, although its Job has ended:%s", pod.Manifest.Name, s.describe([]runtime.Pod{*pod}))
	}
	if main == nil || main.State != runtime.Exited || main.ExitCode != 0 || s.tampered[uid] || s.lets(note, uid) {
		return
	}
	key := uid
	if index, ok := pod.Manifest.Annotations[batchv1.JobCompletionIndexAnnotation]; ok {
		key = index
	}
	if s.jobs.succeeded[run] == nil {
		s.jobs.succeeded[run] = map[string]string{}
	}
	if other := s.jobs.succeeded[run][key]; other != "" && other != uid && !s.tampered[other] {
		s.Errorf("pod %s succeeds for index %s, which is complete", pod.Manifest.Name, key)
	}
	s.jobs.succeeded[run][key] = uid
}

// lets: the Job has let a pod go; nothing that it does counts.
func (s *simulation) lets(note *batchv1.Job, uid string) bool {
	return note != nil && strings.Contains(note.Annotations["podyard.dev/released"], uid)
}

func finished(j *batchv1.Job) bool {
	return slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool {
		return (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue
	})
}

func isOfJob(pod *runtime.Pod) bool {
	return pod.Phase != runtime.Missing && pod.Manifest.Annotations["podyard.dev/owner"] == "Job/batch"
}

func jobRun(pod *runtime.Pod) string { return string(pod.Manifest.OwnerReferences[0].UID) }

// checkNewJobPod looks at a pod that has just been made: those of one run that go on are no more than its parallelism. The
// caller holds mu.
func (s *simulation) checkNewJobPod(state *runtime.State, pod *runtime.Pod) {
	run, note := jobRun(pod), s.jobNote()
	if s.jobs.finished[run] {
		s.Errorf("pod %s is made for a Job that has ended", pod.Manifest.Name)
	}
	active, most := 0, 0
	for i := range state.Pods {
		p := &state.Pods[i]
		if isOfJob(p) && !s.tampered[string(p.Manifest.UID)] && !s.lets(note, string(p.Manifest.UID)) && !s.removing(p.ID) && !hasEnded(p) {
			active++
		}
	}
	for _, set := range s.lastCommits() {
		if j := jobOf(set); j != nil {
			most = max(most, int(*j.Spec.Parallelism))
		}
	}
	if active > most {
		s.Errorf("Job batch has %d active pods, at most %d are allowed:%s", active, most, s.describe(state.Pods))
	}
}

// hasEnded tells what is really so: the main container is not started again.
func hasEnded(pod *runtime.Pod) bool {
	for _, name := range []string{"first", "second", "main"} {
		c := plan.Latest(pod, name)
		never := pod.Manifest.Spec.RestartPolicy == corev1.RestartPolicyNever
		if c != nil && c.State == runtime.Exited && (c.ExitCode != 0 && never || c.ExitCode == 0 && name == "main") {
			return true
		}
	}
	return false
}

// checkFinalJob returns how many pods there are of the Job: each has ended, and as many have succeeded as it wants.
func (s *simulation) checkFinalJob(state *runtime.State, set *manifests.Set) int {
	j, note := jobOf(set), s.jobNote()
	if j == nil {
		return 0
	}
	if note == nil || !finished(note) || note.Status.CompletionTime == nil {
		s.Fatalf("the Job is not complete: %+v; status %+v", note, s.reconciler.Status().Result.Objects)
	}
	wanted := int32(1)
	if j.Spec.Completions != nil {
		wanted = *j.Spec.Completions
	}
	if note.Status.Succeeded < wanted || j.Spec.Completions != nil && note.Status.Succeeded > wanted {
		s.Fatalf("%d pods of the Job have succeeded, want %d", note.Status.Succeeded, wanted)
	}
	n := 0
	for i := range state.Pods {
		pod := &state.Pods[i]
		if !isOfJob(pod) {
			continue
		}
		n++
		for _, c := range pod.Containers {
			if c.State == runtime.Running || pod.Phase == runtime.Running {
				s.Fatalf("pod %s is %s, and container %s is %s, although its Job has ended", pod.Manifest.Name, pod.Phase, c.Name, c.State)
			}
		}
	}
	return n
}
