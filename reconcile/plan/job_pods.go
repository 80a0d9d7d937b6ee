package plan

import (
	"fmt"
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
	// keptPods is how many pods that succeeded, and that failed, a Job keeps for their logs. Upstream keeps all, until there
	// are 12,500 in the cluster; here their disks are the host's.
	keptPods = 20
	// maxPodPrefix leaves room for the five characters at the end of a pod's name: upstream's MaxGeneratedNameLength.
	maxPodPrefix = 58
	indexEnv     = "JOB_COMPLETION_INDEX"
)

// manageJob makes as many pods as there should be, or lets go those too many; never both at once. Upstream: manageJob.
func (p *planner) manageJob(r *jobRun) {
	wanted := r.wantedPods()
	if surplus := p.releaseJobPods(r, len(r.active)-wanted); surplus {
		return
	}
	missing := wanted - len(r.active)
	if r.onlyFailed() {
		missing -= len(r.terminating)
	}
	switch {
	case missing <= 0:
	case len(r.leftovers) > 0:
		r.waiting = "pods of an earlier run are being stopped"
	case r.note != nil && !r.note.Status.StartTime.Equal(r.status().StartTime):
		r.waiting = "is about to start" // when the note says so
	case r.indexed():
		p.createIndexes(r, missing)
	case p.backsOff(r, r.backoffEnds()):
	default:
		for range missing {
			p.createJobPod(r, unindexed)
		}
	}
}

// wantedPods is how many should be active. Without completions, no more are made after the first success.
func (r *jobRun) wantedPods() int {
	parallelism := int(*r.Job.Spec.Parallelism)
	switch completions := r.Job.Spec.Completions; {
	case r.suspended():
		return 0
	case completions != nil:
		return max(min(int(*completions-r.status().Succeeded), parallelism), 0)
	case r.status().Succeeded > 0:
		return len(r.active)
	default:
		return parallelism
	}
}

// backsOff tells that it is too early for a new pod.
func (p *planner) backsOff(r *jobRun, until time.Time) bool {
	if !p.now.Before(until) {
		return false
	}
	p.checkAt(until)
	r.waiting = fmt.Sprintf("the next pod is made in %s", until.Sub(p.now).Round(time.Second))
	return true
}

// createIndexes makes pods for the lowest indexes without one. With backoffLimitPerIndex each index has a back-off of its own.
// Upstream: firstPendingIndexes, getPodCreationInfoForIndependentIndexes.
func (p *planner) createIndexes(r *jobRun, n int) {
	perIndex := r.Job.Spec.BackoffLimitPerIndex != nil
	if !perIndex && p.backsOff(r, r.backoffEnds()) {
		return
	}
	for _, index := range r.busyIndexes().Missing(n, int(*r.Job.Spec.Completions)) {
		if last := r.lastOfIndex(index); perIndex && last != nil &&
			p.backsOff(r, endedAt(last.Pod).Add(backoffAfter(1+absoluteFailures(last)))) {
			continue
		}
		p.createJobPod(r, index)
	}
}

// busyIndexes need no new pod.
func (r *jobRun) busyIndexes() manifests.Indexes {
	busy, pods := r.completed.Union(r.failed), r.active
	if r.onlyFailed() {
		pods = slices.Concat(pods, r.terminating)
	}
	for _, v := range pods {
		if index := indexOf(v); index != unindexed {
			busy = busy.With(index)
		}
	}
	return busy
}

// lastOfIndex is the pod of an index that failed last: the next one takes over its count of failures. Upstream:
// getPodsWithDelayedDeletionPerIndex.
func (r *jobRun) lastOfIndex(index int) *podView {
	var found *podView
	for _, v := range r.ended {
		if indexOf(v) == index && (found == nil || absoluteFailures(v) >= absoluteFailures(found)) {
			found = v
		}
	}
	return found
}

func absoluteFailures(v *podView) int {
	return number(v.Manifest.Annotations, batchv1.JobIndexFailureCountAnnotation, 0) +
		number(v.Manifest.Annotations, batchv1.JobIndexIgnoredFailureCountAnnotation, 0)
}

func (p *planner) createJobPod(r *jobRun, index int) {
	pod := p.jobPod(r, r.planned, index)
	if index != unindexed && r.Job.Spec.BackoffLimitPerIndex != nil {
		p.countIndexFailures(r, pod, index)
	}
	if status, pending := p.admit(pod, r.key, r.wants()); pending {
		r.pending = append(r.pending, status)
	}
	r.planned++
}

// countIndexFailures follows upstream's addIndexFailureCountAnnotation.
func (p *planner) countIndexFailures(r *jobRun, pod *corev1.Pod, index int) {
	failures, ignored := 0, 0
	if last := r.lastOfIndex(index); last != nil {
		failures = number(last.Manifest.Annotations, batchv1.JobIndexFailureCountAnnotation, 0)
		ignored = number(last.Manifest.Annotations, batchv1.JobIndexIgnoredFailureCountAnnotation, 0)
		if _, rule := p.matchFailure(r, last); rule != nil && rule.Action == batchv1.PodFailurePolicyActionIgnore {
			ignored++
		} else {
			failures++
		}
	}
	pod.Annotations[batchv1.JobIndexFailureCountAnnotation] = strconv.Itoa(failures)
	if ignored > 0 {
		pod.Annotations[batchv1.JobIndexIgnoredFailureCountAnnotation] = strconv.Itoa(ignored)
	}
}

// jobPod is the nth pod that this plan makes. Its name stays the same until it is there.
func (p *planner) jobPod(r *jobRun, nth, index int) *corev1.Pod {
	next, youngest := 0, time.Time{}
	for _, v := range slices.Concat(r.pods, r.leftovers) {
		next = max(next, number(v.Manifest.Annotations, indexAnnotation, 0)+1)
		youngest = later(youngest, v.CreatedAt)
	}
	next += nth
	salt := r.salt(youngest)
	pod := podFrom(&r.Job.Spec.Template, r.key, podPrefix(r.key.name, index)+suffix(salt, next))
	pod.UID = p.uid("Pod", pod.Namespace, pod.Name, salt)
	pod.Annotations = withEntries(pod.Annotations, indexAnnotation, strconv.Itoa(next), hashAnnotation, r.identity)
	if uid := string(r.next.UID); !*r.Job.Spec.ManualSelector {
		pod.Labels = withEntries(pod.Labels, batchv1.JobNameLabel, r.key.name, "job-name", r.key.name,
			batchv1.ControllerUidLabel, uid, "controller-uid", uid)
	}
	yes := true
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: r.key.name, UID: r.next.UID,
		Controller: &yes, BlockOwnerDeletion: &yes}}
	if index != unindexed {
		giveIndex(pod, r.key.name, index)
	}
	return pod
}

// salt keeps the name of a pod that is gone from being given again.
func (r *jobRun) salt(youngest time.Time) string {
	started := int64(0)
	if at := r.status().StartTime; at != nil {
		started = at.Unix()
	}
	return fmt.Sprint(r.next.UID, started, r.status().Succeeded, r.status().Failed, youngest.UnixNano())
}

// runOf is the UID that the pod's Job had when it made it.
func runOf(v *podView) types.UID {
	if owner := metav1.GetControllerOfNoCopy(v.Manifest); owner != nil {
		return owner.UID
	}
	return ""
}

// podPrefix is upstream's podGenerateNameWithIndex.
func podPrefix(job string, index int) string {
	middle := "-"
	if index != unindexed {
		middle = fmt.Sprintf("-%d-", index)
	}
	return job[:min(len(job), maxPodPrefix-len(middle))] + middle
}

// giveIndex tells a pod and its containers their completion index. Upstream: indexed_job_utils.go.
func giveIndex(pod *corev1.Pod, job string, index int) {
	text := strconv.Itoa(index)
	pod.Annotations = withEntries(pod.Annotations, batchv1.JobCompletionIndexAnnotation, text)
	pod.Labels = withEntries(pod.Labels, batchv1.JobCompletionIndexAnnotation, text)
	pod.Spec.Hostname = job + "-" + text
	env := corev1.EnvVar{Name: indexEnv, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{
		APIVersion: "v1", FieldPath: fmt.Sprintf("metadata.labels['%s']", batchv1.JobCompletionIndexAnnotation)}}}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if !slices.ContainsFunc(list[i].Env, func(e corev1.EnvVar) bool { return e.Name == indexEnv }) {
				list[i].Env = append(list[i].Env, env)
			}
		}
	}
}

// releaseJobPods lets the n active pods go that upstream would delete first: those of an index that another has, or that
// there is none of any more, and then as a ReplicaSet does. Upstream: activePodsForRemoval.
func (p *planner) releaseJobPods(r *jobRun, n int) (any bool) {
	pods := slices.Clone(r.active)
	p.sortForDeletion(pods)
	var first, rest []*podView
	taken := map[int]bool{}
	for _, v := range slices.Backward(pods) {
		index := indexOf(v)
		switch {
		case r.indexed() && (index == unindexed || index >= int(*r.Job.Spec.Completions) || taken[index]):
			first = append(first, v)
		default:
			rest = append(rest, v)
		}
		taken[index] = true
	}
	slices.Reverse(rest)
	gone := append(first, rest[:max(min(n-len(first), len(rest)), 0)]...)
	for _, v := range gone {
		r.release(v)
	}
	r.active = slices.DeleteFunc(r.active, func(v *podView) bool { return r.released[v.Manifest.UID] })
	return len(gone) > 0
}

// deleteReleased deletes the pods that the note lets go, and what somebody left of one that has been counted.
func (p *planner) deleteReleased(r *jobRun) {
	for _, v := range r.pods {
		if uid := v.Manifest.UID; r.seen[uid] && (r.released[uid] || !v.ended()) {
			p.delete(v, r.whyReleased())
		}
	}
}

func (r *jobRun) whyReleased() string {
	switch end := r.ending(); {
	case end != nil && end.Type == batchv1.JobFailureTarget:
		return fmt.Sprintf("%s has failed: %s", r.key, end.Reason)
	case end != nil:
		return fmt.Sprintf("%s has succeeded", r.key)
	case r.suspended():
		return fmt.Sprintf("%s is suspended", r.key)
	default:
		return fmt.Sprintf("%s wants %d active pods", r.key, r.wantedPods())
	}
}

// ending is why the Job ends, once that is settled.
func (r *jobRun) ending() *batchv1.JobCondition {
	if c := holding(r.status(), batchv1.JobFailureTarget); c != nil {
		return c
	}
	return holding(r.status(), batchv1.JobSuccessCriteriaMet)
}

// reapJob deletes the oldest pods that have ended and been counted. The last failed one of an index stays: it tells how often
// the index has failed.
func (p *planner) reapJob(r *jobRun) {
	kept := map[corev1.PodPhase]int{}
	for _, v := range slices.Backward(r.ended) {
		kept[v.phase]++
		if kept[v.phase] <= keptPods || !r.seen[v.Manifest.UID] || r.tells(v) {
			continue
		}
		p.delete(v, fmt.Sprintf("%s keeps the last %d pods that %s", r.key, keptPods, strings.ToLower(string(v.phase))))
	}
}

func (r *jobRun) tells(v *podView) bool {
	index := indexOf(v)
	return r.Job.Spec.BackoffLimitPerIndex != nil && finishedCondition(r.status()) == nil &&
		!r.completed.Has(index) && !r.failed.Has(index) && r.lastOfIndex(index) == v
}
