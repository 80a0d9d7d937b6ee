package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/manifests"
)

// cronRun is one Job of a CronJob, as it is noted.
type cronRun struct {
	*batchv1.Job
	key ownerKey
	// at is when it was due.
	at time.Time
	// dismissed: this plan begins to delete it.
	dismissed bool
	// now is its status with what this plan has found out.
	now *batchv1.JobStatus
}

func (r *cronRun) ref() manifests.Ref { return jobRef(r.key) }

// outcome is how the Job has ended, as far as is noted; empty while it goes on.
func (r *cronRun) outcome() batchv1.JobConditionType { return outcomeOf(&r.Status) }

func outcomeOf(s *batchv1.JobStatus) batchv1.JobConditionType {
	if c := finishedCondition(s); c != nil {
		return c.Type
	}
	return ""
}

func (r *cronRun) going() bool { return r.dismissed || r.DeletionTimestamp != nil }

// runsOf are the Jobs that a CronJob has made and that are not gone yet, oldest first.
func (p *planner) runsOf(cronJob ownerKey) []*cronRun {
	if p.cronRuns == nil {
		p.cronRuns = p.readRuns()
	}
	return p.cronRuns[cronJob]
}

// readRuns finds the Jobs of CronJobs among the notes.
func (p *planner) readRuns() map[ownerKey][]*cronRun {
	out := map[ownerKey][]*cronRun{}
	for name, text := range p.observed.Notes {
		if !strings.HasPrefix(name, jobNote) || !strings.Contains(text, `"CronJob"`) {
			continue
		}
		job := readNote[batchv1.Job](text)
		if job == nil {
			continue
		}
		owner := metav1.GetControllerOf(job)
		at, err := time.Parse(time.RFC3339, job.Annotations[batchv1.CronJobScheduledTimestampAnnotation])
		if owner == nil || owner.Kind != "CronJob" || err != nil {
			continue
		}
		if p.find("Job", job.Namespace, job.Name) != nil {
			continue // the commit has a Job of this name by now, and runs it instead
		}
		key := ownerKey{"CronJob", job.Namespace, owner.Name}
		out[key] = append(out[key], &cronRun{Job: job, key: ownerKey{"Job", job.Namespace, job.Name}, at: at, now: &job.Status})
	}
	for _, runs := range out {
		slices.SortFunc(runs, func(a, b *cronRun) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.Name, b.Name)) })
	}
	return out
}

// dismiss begins to delete a Job in the background. First it is noted that it goes, so that no later plan lets it run on.
func (p *planner) dismiss(r *cronRun, reason string) {
	if r.going() {
		return
	}
	r.dismissed = true
	at, gone := metav1.NewTime(p.now), *r.Job
	gone.DeletionTimestamp = &at
	p.do(WriteNote{Name: jobNoteName(r.key), Text: noteText(&gone), Object: r.ref(), Reason: reason})
}

// takeAway removes the pods of a Job that goes and, when they are gone, what is noted of it.
func (p *planner) takeAway(root manifests.Ref, r *cronRun) {
	reason := fmt.Sprintf("%s has been deleted", r.key)
	p.jobs[r.key] = true
	p.report(root, ObjectStatus{Ref: r.ref(), Owner: root, Health: Terminating, Message: "is being deleted"})
	pods := p.owned[r.key]
	for _, v := range pods {
		v.claimed = true
		if !r.dismissed {
			p.delete(v, reason)
		}
		p.report(root, p.podStatus(v, r.ref()))
	}
	if len(pods) == 0 && !r.dismissed {
		p.do(WriteNote{Name: jobNoteName(r.key), Object: r.ref(), Reason: reason})
	}
}

// pruneCronJobs deletes the Jobs of CronJobs that have left the commit, and then what is noted of these.
func (p *planner) pruneCronJobs() {
	for _, key := range p.cronJobsNoted() {
		if p.find(key.kind, key.namespace, key.name) != nil {
			continue
		}
		root := manifests.Ref{APIVersion: "batch/v1", Kind: key.kind, Namespace: key.namespace, Name: key.name}
		runs, reason := p.runsOf(key), fmt.Sprintf("%s is not in the commit", key)
		if p.sync.holdsRemoval() {
			p.holdRuns(runs)
			continue
		}
		if of := p.policyWhenGone(key, nil); of.keeps() {
			p.keepRuns(&cron{key: key, root: root, runs: runs}, of.Prune)
			continue
		}
		for _, r := range runs {
			p.dismiss(r, reason)
			p.takeAway(root, r)
		}
		if len(runs) == 0 {
			p.do(WriteNote{Name: cronNote(key), Object: root, Reason: reason})
		}
		p.pruned = append(p.pruned, p.statuses[root]...)
	}
}

// keepRuns lets the Jobs of a CronJob that has left the commit come to their end; none begins.
func (p *planner) keepRuns(c *cron, policy manifests.Prune) {
	p.dismissExpired(c.runs)
	for _, r := range c.runs {
		if r.UID == "" {
			p.dismiss(r, fmt.Sprintf("%s is not in the commit", c.key))
		}
		p.continueRun(c, r)
	}
	_, noted := p.observed.Notes[cronNote(c.key)]
	switch {
	case policy == manifests.PruneDisabled:
		p.pruned = append(p.pruned, ObjectStatus{Ref: c.root, Health: Ready, Summary: map[string]string{"active": fmt.Sprint(len(c.active()))},
			Message: "not in the commit; kept, but starts nothing: podyard.dev/prune is disabled"})
	case noted:
		p.do(WriteNote{Name: cronNote(c.key), Object: c.root, Reason: fmt.Sprintf("%s is not in the commit, and its podyard.dev/prune was orphan", c.key)})
	}
	p.pruned = append(p.pruned, p.statuses[c.root]...)
}

// holdRuns leaves Jobs as they are: while a sync goes on nothing is deleted.
func (p *planner) holdRuns(runs []*cronRun) {
	for _, r := range runs {
		p.jobs[r.key] = true
		for _, v := range p.owned[r.key] {
			v.claimed, v.held = true, true
			status := p.podStatus(v, r.ref())
			status.Message = p.sync.whyNoRemoval()
			p.pruned = append(p.pruned, status)
		}
	}
}

// cronJobsNoted are the CronJobs of which anything is noted, or of a Job of theirs.
func (p *planner) cronJobsNoted() []ownerKey {
	var keys []ownerKey
	for name := range p.observed.Notes {
		parts := strings.Split(name, "/")
		if len(parts) == 3 && parts[0] == "CronJob" {
			keys = append(keys, ownerKey{parts[0], parts[1], parts[2]})
		}
	}
	p.runsOf(ownerKey{})
	keys = slices.AppendSeq(keys, maps.Keys(p.cronRuns))
	slices.SortFunc(keys, func(a, b ownerKey) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
	})
	return slices.Compact(keys)
}

// readNote reads an object that is noted; nil if it is not, or cannot be read.
func readNote[T any](text string) *T {
	out := new(T)
	if text == "" || json.Unmarshal([]byte(text), out) != nil {
		return nil
	}
	return out
}

func noteText(object any) string {
	text, err := json.Marshal(object)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", object, err)) // these types always encode
	}
	return string(text)
}

// RunningJob is the pod of a Job that a note holds whole and that has not ended; nil for any other note.
func RunningJob(name, text string) *corev1.PodSpec {
	if !strings.HasPrefix(name, jobNote) {
		return nil
	}
	job := readNote[batchv1.Job](text)
	if job == nil || finishedCondition(&job.Status) != nil {
		return nil
	}
	return &job.Spec.Template.Spec
}
