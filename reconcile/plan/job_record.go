package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podyard/podyard/manifests"
)

const (
	// jobNote is what the names of notes on Jobs begin with, before "NAMESPACE/NAME". Each holds a Job with its status.
	jobNote = "Job/"
	// countedAnnotation of such a note has the UIDs of pods that have ended and are in the numbers of the status, as long as
	// the pods are there: upstream knows them by a finalizer that they do not have any more.
	countedAnnotation = "podyard.dev/counted"
	// releasedAnnotation has those of pods that are to be deleted, and are not counted whatever becomes of them.
	releasedAnnotation = "podyard.dev/released"
)

// record is what is kept of a Job. A pod is deleted only when the note that was observed has it: so each pod is counted once,
// and a daemon that is killed at any instant takes no pod that it stopped for one that failed.
type record struct {
	// note is what is observed, next what this plan makes of it; nil where there is none.
	note, next *batchv1.Job
	text       string
	// counted and released are by the UIDs of pods, with what this plan adds to them; seen are both as observed.
	seen, counted, released map[types.UID]bool
}

func (c *record) status() *batchv1.JobStatus { return &c.next.Status }

func jobNoteName(key ownerKey) string { return jobNote + key.namespace + "/" + key.name }

// jobRun finds out how far a Job is.
func (p *planner) jobRun(root, owner manifests.Ref, j *batchv1.Job, identity string) *jobRun {
	key := ownerKey{"Job", j.Namespace, j.Name}
	r := &jobRun{Job: j, key: key, root: root, owner: owner, identity: identity, record: p.readRecord(jobNoteName(key))}
	p.jobs[key] = true
	for _, v := range p.owned[key] {
		v.claimed = true
	}
	if r.note == nil {
		p.recoverRecord(r)
	}
	r.replaced = r.changed()
	for _, v := range p.owned[key] {
		if r.replaced == "" && runOf(v) == r.next.UID {
			r.pods = append(r.pods, v)
		} else {
			r.leftovers = append(r.leftovers, v)
		}
	}
	r.sortEnded()
	return r
}

func (p *planner) readRecord(name string) *record {
	c := &record{next: &batchv1.Job{}, text: p.observed.Notes[name]}
	note := &batchv1.Job{}
	if c.text != "" && json.Unmarshal([]byte(c.text), note) == nil {
		c.note, c.next = note, note.DeepCopy()
	}
	c.counted, c.released = uids(c.next, countedAnnotation), uids(c.next, releasedAnnotation)
	c.seen = maps.Clone(c.counted)
	maps.Copy(c.seen, c.released)
	return c
}

func uids(note *batchv1.Job, annotation string) map[types.UID]bool {
	out := map[types.UID]bool{}
	for _, uid := range strings.Fields(note.Annotations[annotation]) {
		out[types.UID(uid)] = true
	}
	return out
}

// recoverRecord makes up for a note that is lost, from the pods that are left: their end is counted anew.
func (p *planner) recoverRecord(r *jobRun) {
	var first, last *podView
	for _, v := range p.owned[r.key] {
		if v.Manifest.Annotations[hashAnnotation] != r.identity {
			continue
		}
		if first == nil || v.CreatedAt.Before(first.CreatedAt) {
			first = v
		}
		if last == nil || v.CreatedAt.After(last.CreatedAt) {
			last = v
		}
	}
	if first == nil {
		return
	}
	r.newRecord(runOf(last), first.CreatedAt)
	r.next.Status.StartTime = &metav1.Time{Time: first.CreatedAt.Truncate(time.Second)}
}

// newRecord begins anew; what a CronJob has written of the Job that it wants stays.
func (r *jobRun) newRecord(uid types.UID, created time.Time) {
	next := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: r.key.namespace, Name: r.key.name}}
	if r.note != nil && r.note.UID == "" {
		next = r.note.DeepCopy()
	}
	next.TypeMeta = metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}
	next.UID = uid
	if next.CreationTimestamp.IsZero() {
		next.CreationTimestamp = metav1.NewTime(created)
	}
	next.Annotations = withEntries(next.Annotations, hashAnnotation, r.identity)
	next.Status = batchv1.JobStatus{}
	r.next = next
}

// beginRecord is the first that is kept of a Job. Its UID is new each time that it starts over.
func (p *planner) beginRecord(r *jobRun) {
	r.newRecord(p.uid("Job", r.key.namespace, r.key.name, r.identity, strconv.FormatInt(p.now.UnixNano(), 10)), p.now)
	r.counted, r.released = map[types.UID]bool{}, map[types.UID]bool{}
	p.countPods(r)
	p.startClock(r)
	r.markSuspended(p.now)
	r.waiting = "is about to start"
}

// changed says why the Job starts over; empty if it goes on. Completions may change where upstream lets them: with
// parallelism, of an Indexed Job (validateCompletions in pkg/apis/batch/validation).
func (r *jobRun) changed() string {
	before := r.next
	switch {
	case before.UID == "":
		return fmt.Sprintf("%s has not run yet", r.key)
	case before.DeletionTimestamp != nil:
		return fmt.Sprintf("%s had left the commit and is back", r.key)
	case before.Annotations[hashAnnotation] != r.identity:
		return fmt.Sprintf("%s changed; Kubernetes would refuse that, here it is replaced and runs again", r.key)
	case r.note != nil && !sameNumber(before.Spec.Completions, r.Job.Spec.Completions) && !r.elastic():
		return fmt.Sprintf("%s has other completions; Kubernetes would refuse that, here it is replaced and runs again", r.key)
	}
	return ""
}

func sameNumber(a, b *int32) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

func (r *jobRun) elastic() bool {
	return r.indexed() && sameNumber(r.Job.Spec.Completions, r.Job.Spec.Parallelism)
}

// release lets a pod go: it is deleted when the note says so.
func (r *jobRun) release(v *podView) {
	r.released[v.Manifest.UID] = true
	r.terminating = append(r.terminating, v)
}

// writeRecord keeps what this plan found out, if that is anything. UIDs of pods that are gone are forgotten.
func (p *planner) writeRecord(r *jobRun) {
	if r.next.UID == "" || r.replaced != "" && len(r.leftovers) > 0 {
		return
	}
	next := r.next
	next.Spec.Completions = r.Job.Spec.Completions
	for annotation, set := range map[string]map[types.UID]bool{countedAnnotation: r.counted, releasedAnnotation: r.released} {
		delete(next.Annotations, annotation)
		if text := r.present(set); text != "" {
			next.Annotations[annotation] = text
		}
	}
	text, err := json.Marshal(next)
	if err != nil || string(text) == r.text {
		return // its types always encode
	}
	reason := r.progress()
	if r.replaced != "" {
		reason = fmt.Sprintf("%s; it wants %d active pods", r.replaced, r.wantedPods())
		if r.suspended() {
			reason = r.replaced + "; it is suspended"
		}
	}
	p.do(WriteNote{Name: jobNoteName(r.key), Text: string(text), Object: r.ref(), Reason: reason})
}

// present are those UIDs of a set of which there are pods, as text.
func (r *jobRun) present(set map[types.UID]bool) string {
	var out []string
	for _, v := range r.pods {
		if set[v.Manifest.UID] {
			out = append(out, string(v.Manifest.UID))
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// forgetJobs deletes the notes of Jobs that nobody runs any more, once their pods are gone. Until then they say that the Job
// has left, so that it runs again if it comes back. As long as nothing is removed, nothing is forgotten: a Job that comes back
// meanwhile goes on, or has run.
func (p *planner) forgetJobs() {
	if p.sync.holdsRemoval() {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(p.observed.Notes)) {
		rest, isJob := strings.CutPrefix(name, jobNote)
		namespace, job, _ := strings.Cut(rest, "/")
		key := ownerKey{"Job", namespace, job}
		if !isJob || p.jobs[key] {
			continue
		}
		write := WriteNote{Name: name, Object: jobRef(key), Reason: fmt.Sprintf("%s is not in the commit", key)}
		if len(p.owned[key]) > 0 {
			r := p.readRecord(name)
			if r.note == nil || r.note.DeletionTimestamp != nil {
				continue
			}
			r.next.DeletionTimestamp = &metav1.Time{Time: p.now}
			text, err := json.Marshal(r.next)
			if err != nil {
				continue // its types always encode
			}
			write.Text = string(text)
		}
		p.do(write)
	}
}

func jobRef(key ownerKey) manifests.Ref {
	return manifests.Ref{APIVersion: "batch/v1", Kind: "Job", Namespace: key.namespace, Name: key.name}
}

func (r *jobRun) ref() manifests.Ref { return jobRef(r.key) }

// newJobCondition is one that holds.
func newJobCondition(kind batchv1.JobConditionType, reason, message string, now time.Time) *batchv1.JobCondition {
	at := metav1.NewTime(now.Truncate(time.Second))
	return &batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue, Reason: reason, Message: message, LastProbeTime: at, LastTransitionTime: at}
}

func findCondition(status *batchv1.JobStatus, kind batchv1.JobConditionType) *batchv1.JobCondition {
	for i := range status.Conditions {
		if status.Conditions[i].Type == kind {
			return &status.Conditions[i]
		}
	}
	return nil
}

// holding is a condition that is true, or nil.
func holding(status *batchv1.JobStatus, kind batchv1.JobConditionType) *batchv1.JobCondition {
	if c := findCondition(status, kind); c != nil && c.Status == corev1.ConditionTrue {
		return c
	}
	return nil
}

// setCondition leaves one that says the same already as it is.
func setCondition(status *batchv1.JobStatus, c batchv1.JobCondition) {
	switch old := findCondition(status, c.Type); {
	case old == nil:
		status.Conditions = append(status.Conditions, c)
	case old.Status != c.Status || old.Reason != c.Reason || old.Message != c.Message:
		*old = c
	}
}

// finishedCondition is how the Job ended, or nil.
func finishedCondition(status *batchv1.JobStatus) *batchv1.JobCondition {
	if c := holding(status, batchv1.JobComplete); c != nil {
		return c
	}
	return holding(status, batchv1.JobFailed)
}

func (r *jobRun) markSuspended(now time.Time) {
	if r.suspended() {
		setCondition(r.status(), *newJobCondition(batchv1.JobSuspended, "JobSuspended", "Job suspended", now))
	}
}

func (r *jobRun) markResumed(now time.Time) bool {
	if holding(r.status(), batchv1.JobSuspended) == nil {
		return false
	}
	c := newJobCondition(batchv1.JobSuspended, "JobResumed", "Job resumed", now)
	c.Status = corev1.ConditionFalse
	setCondition(r.status(), *c)
	return true
}
