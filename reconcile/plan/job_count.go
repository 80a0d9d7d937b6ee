package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// unindexed is the completion index of a pod that has none.
const unindexed = -1

func indexOf(v *podView) int {
	return number(v.Manifest.Annotations, batchv1.JobCompletionIndexAnnotation, unindexed)
}

// countPods sorts the pods, and counts those that have ended since the note was written. Upstream:
// trackJobStatusAndRemoveFinalizers, and indexed_job_utils.go for indexes.
func (p *planner) countPods(r *jobRun) {
	status := r.status()
	if r.indexed() {
		r.completed = readIndexes(status.CompletedIndexes, r)
		if status.FailedIndexes != nil {
			r.failed = readIndexes(*status.FailedIndexes, r)
		}
	}
	for _, v := range r.pods {
		switch uid := v.Manifest.UID; {
		case v.ended() && !r.counted[uid] && !r.released[uid]:
			p.countPod(r, v)
			r.counted[uid] = true
		case v.ended():
		case v.deleted || r.counted[uid] || r.released[uid]:
			r.terminating = append(r.terminating, v)
		default:
			r.active = append(r.active, v)
		}
	}
	if r.indexed() {
		status.CompletedIndexes, status.Succeeded = r.completed.String(), int32(r.completed.Total())
	}
	if r.Job.Spec.BackoffLimitPerIndex != nil {
		text := r.failed.String()
		status.FailedIndexes = &text
	}
}

func readIndexes(text string, r *jobRun) manifests.Indexes {
	indexes, err := manifests.ParseIndexes(text)
	if err != nil {
		return nil // nobody else writes the note
	}
	return indexes.Below(int(*r.Job.Spec.Completions))
}

func (p *planner) countPod(r *jobRun, v *podView) {
	index := indexOf(v)
	if r.indexed() && (index == unindexed || index >= int(*r.Job.Spec.Completions)) {
		return
	}
	if v.phase == corev1.PodSucceeded {
		r.status().Succeeded++ // of an Indexed Job, the indexes count
		if r.indexed() {
			r.completed = r.completed.With(index)
		}
		return
	}
	_, rule := p.matchFailure(r, v)
	ignored := rule != nil && rule.Action == batchv1.PodFailurePolicyActionIgnore
	if !ignored {
		r.status().Failed++
	}
	if limit := r.Job.Spec.BackoffLimitPerIndex; limit != nil {
		byRule := rule != nil && rule.Action == batchv1.PodFailurePolicyActionFailIndex
		if byRule || !ignored && number(v.Manifest.Annotations, batchv1.JobIndexFailureCountAnnotation, 0) >= int(*limit) {
			r.failed = r.failed.With(index)
		}
	}
}

// pastBackoffLimit counts the restarts of containers in place. Upstream: pastBackoffLimitOnFailure.
func pastBackoffLimit(r *jobRun) bool {
	if r.Job.Spec.Template.Spec.RestartPolicy != corev1.RestartPolicyOnFailure {
		return false
	}
	restarted := 0
	for _, v := range r.pods {
		if !v.ended() {
			restarted += restartsOf(v)
		}
	}
	return restarted >= max(int(*r.Job.Spec.BackoffLimit), 1)
}

// restartsOf are those of all containers, init containers included.
func restartsOf(v *podView) int {
	n := 0
	for _, list := range [][]corev1.Container{v.Manifest.Spec.InitContainers, v.Manifest.Spec.Containers} {
		for i := range list {
			if c := Latest(v.Pod, list[i].Name); c != nil {
				n += c.Attempt
			}
		}
	}
	return n
}

// Back-off between failed pods: upstream's DefaultJobPodFailureBackOff and MaxJobPodFailureBackOff.
const (
	jobBackoff    = 10 * time.Second
	maxJobBackoff = 10 * time.Minute
)

// backoffAfter is 10 s, 20 s, 40 s, … 10 min after 1, 2, 3, … failures.
func backoffAfter(failures int) time.Duration {
	wait := jobBackoff
	for ; failures > 1 && wait < maxJobBackoff; failures-- {
		wait *= 2
	}
	return min(wait, maxJobBackoff)
}

// backoffEnds is when a new pod may be made after those that failed since the last one that succeeded; zero for at once.
// Upstream: backoff_utils.go, which remembers them; here they are still there.
func (r *jobRun) backoffEnds() time.Time {
	failures, last := 0, time.Time{}
	for _, v := range r.ended {
		if v.phase == corev1.PodSucceeded {
			failures = 0
			continue
		}
		failures++
		last = endedAt(v.Pod)
	}
	if failures == 0 {
		return time.Time{}
	}
	return last.Add(backoffAfter(failures))
}

// sortEnded finds the pods that ended by themselves, in the order in which they did.
func (r *jobRun) sortEnded() {
	r.ended = slices.DeleteFunc(slices.Clone(r.pods), func(v *podView) bool { return !v.ended() || r.released[v.Manifest.UID] })
	slices.SortStableFunc(r.ended, func(a, b *podView) int {
		return cmp.Or(endedAt(a.Pod).Compare(endedAt(b.Pod)), cmp.Compare(a.Manifest.Name, b.Manifest.Name))
	})
}

// endedAt is upstream's getFinishedTime.
func endedAt(pod *runtime.Pod) time.Time {
	if at := lastFinished(pod); !at.IsZero() {
		return at
	}
	return pod.CreatedAt
}

// lastFailed is the pod that failed last, or restarts for having failed.
func (r *jobRun) lastFailed() *podView {
	for _, v := range slices.Backward(r.ended) {
		if v.phase == corev1.PodFailed {
			return v
		}
	}
	for _, v := range r.active {
		if restartsOf(v) > 0 {
			return v
		}
	}
	return nil
}

// whyFailed is what became of a pod that failed or restarts, with what its container left to say.
func (p *planner) whyFailed(v *podView) string {
	if v.end != nil && v.end.reason != "" {
		return v.problem
	}
	for _, list := range [][]corev1.Container{v.Manifest.Spec.Containers, v.Manifest.Spec.InitContainers} {
		for i := range list {
			latest, past := attempts(v.Pod, list[i].Name)
			for _, c := range []*runtime.Container{latest, past} {
				if c == nil || c.State != runtime.Exited || c.ExitCode == 0 {
					continue
				}
				why := fmt.Sprintf("container %s: %s", c.Name, p.exitedReason(c, false))
				if words := strings.TrimSpace(c.Message); words != "" {
					why += ": " + words
				}
				return why
			}
		}
	}
	return v.problem
}
