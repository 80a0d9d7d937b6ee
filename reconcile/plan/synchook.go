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

// hookRunAnnotation is on the pods of a hook: the sync and the phase in which they run.
const hookRunAnnotation = "podyard.dev/hook"

// syncHook is a Job or Pod that runs once in each of its phases of a sync, before the objects (PreSync), with them (Sync),
// when all are ready (PostSync), or when the sync fails (SyncFail).
type syncHook struct {
	manifests.Hook
	object *manifests.Object
	wave   int
	// begun: this plan runs it.
	begun bool
}

// hookResult is how a hook ended. It is noted before the hook's pods may go, and keeps it from running again.
type hookResult struct {
	Phase manifests.Phase `json:"phase"`
	// Object as Ref prints itself.
	Object  string `json:"object"`
	Failed  bool   `json:"failed,omitempty"`
	Message string `json:"message,omitempty"`
}

func (r *hookResult) succeeded() bool { return !r.Failed }

func (r *hookResult) words() string {
	switch {
	case !r.Failed:
		return "succeeded"
	case r.Message == "":
		return "failed"
	default:
		return "failed: " + r.Message
	}
}

func (s *syncing) addHook(h *syncHook) {
	s.hooks = append(s.hooks, h)
	for _, phase := range h.Phases {
		if phase == manifests.PhaseSyncFail {
			s.rescue = append(s.rescue, step{phase, h.wave})
		} else {
			s.steps = append(s.steps, step{phase, h.wave})
		}
	}
}

func (h *syncHook) in(at step) bool { return h.wave == at.Wave && slices.Contains(h.Phases, at.Phase) }

// result is how a hook ended in a phase; nil if that is not known.
func (n *syncNote) result(phase manifests.Phase, of manifests.Ref) *hookResult {
	i := slices.IndexFunc(n.Hooks, func(r hookResult) bool { return r.Phase == phase && r.Object == of.String() })
	if i < 0 {
		return nil
	}
	return &n.Hooks[i]
}

// failure is the first hook that failed and fails the sync; empty if none did.
func (n *syncNote) failure() string {
	for i := range n.Hooks {
		if r := &n.Hooks[i]; r.Failed && r.Phase != manifests.PhaseSyncFail {
			return fmt.Sprintf("%s hook %s %s", r.Phase, r.Object, r.words())
		}
	}
	return ""
}

// turnOf is the latest phase of a hook that has begun.
func (p *planner) turnOf(h *syncHook) (phase manifests.Phase, begun bool) {
	for _, phase := range slices.Backward(h.Phases) {
		at := step{phase, h.wave}
		if phase == manifests.PhaseSyncFail && p.rescues(at) || phase != manifests.PhaseSyncFail && p.sync.hasBegun(at) {
			return phase, true
		}
	}
	return "", false
}

// rescues tells whether SyncFail hooks of a wave run: the sync fails, and those of the waves before have ended.
func (p *planner) rescues(at step) bool {
	if p.sync.failure == "" && !p.stalled() && !p.rescued() {
		return false
	}
	return !slices.ContainsFunc(p.sync.hooks, func(h *syncHook) bool {
		return slices.Contains(h.Phases, at.Phase) && h.wave < at.Wave && p.sync.note.result(at.Phase, h.object.Ref) == nil
	})
}

// rescued tells that a SyncFail hook has run, or runs: what made no progress may have recovered since.
func (p *planner) rescued() bool {
	for _, h := range p.sync.hooks {
		if !slices.Contains(h.Phases, manifests.PhaseSyncFail) {
			continue
		}
		if p.sync.note.result(manifests.PhaseSyncFail, h.object.Ref) != nil ||
			slices.ContainsFunc(p.owned[keyOf(h.object)], func(v *podView) bool { return runOfHook(v) == p.run(manifests.PhaseSyncFail) }) {
			return true
		}
	}
	return false
}

// run names one run of hooks.
func (p *planner) run(phase manifests.Phase) string { return p.desired.Sync + " " + string(phase) }

// runOfHook is the run of a hook to which a pod belongs; empty if it is of none. The pods of a Job have it behind its hash.
func runOfHook(v *podView) string {
	if v.owner.kind != "Job" {
		return v.Manifest.Annotations[hookRunAnnotation]
	}
	_, run, _ := strings.Cut(v.Manifest.Annotations[hashAnnotation], " ")
	return run
}

// runHooks runs those whose turn has come. SyncFail hooks are last: whether theirs has come depends on how the others fare.
func (p *planner) runHooks() {
	p.stopFormerHooks()
	var rescuers []*syncHook
	for _, h := range p.sync.hooks {
		if len(h.Phases) == 1 && h.Phases[0] == manifests.PhaseSyncFail {
			rescuers = append(rescuers, h)
		} else {
			p.runHook(h)
		}
	}
	for _, h := range rescuers {
		p.runHook(h)
	}
}

func (p *planner) runHook(h *syncHook) {
	var phase manifests.Phase
	if phase, h.begun = p.turnOf(h); !h.begun || p.awaitFormer(h, phase) {
		return
	}
	switch value := h.object.Value.(type) {
	case *corev1.Pod:
		p.runPodHook(h, phase, value)
	case *batchv1.Job:
		p.runJobHook(h, phase, value)
	}
}

// stopFormerHooks stops those of an earlier sync that still run and are no hooks of this one, before all else of it begins: of two
// migrations one would work against the other. Argo CD ends the operation before, and its hooks with it (terminateOperation in
// controller/state.go).
func (p *planner) stopFormerHooks() {
	if !p.sync.holdsRemoval() {
		return // they are pruned as all else
	}
	for _, v := range p.pods {
		isHook := slices.ContainsFunc(p.sync.hooks, func(h *syncHook) bool { return len(h.Phases) > 0 && keyOf(h.object) == v.owner })
		over := v.ended() && !v.deleted
		if runOfHook(v) == "" || isHook || over || v.adopted || p.policyWhenGone(v.owner, v).keeps() {
			continue
		}
		p.delete(v, fmt.Sprintf("%s is no hook of the commit any more, and still runs", v.owner))
		p.sync.former = v
	}
}

// awaitFormer keeps a PreSync hook that has not begun from beginning beside a former hook, and tells whether it does.
func (p *planner) awaitFormer(h *syncHook, phase manifests.Phase) bool {
	key, former := keyOf(h.object), p.sync.former
	if former == nil || phase != manifests.PhasePreSync || p.sync.note.result(phase, h.object.Ref) != nil ||
		slices.ContainsFunc(p.owned[key], func(v *podView) bool { return runOfHook(v) == p.run(phase) }) {
		return false
	}
	p.jobs[key] = true
	for _, v := range p.owned[key] {
		v.claimed = true
		p.delete(v, fmt.Sprintf("%s hook %s runs in this sync", phase, key))
	}
	p.reportHook(h, phase, ObjectStatus{Ref: h.object.Ref, Summary: map[string]string{}, Message: fmt.Sprintf(
		"waits until pod %s is gone: %s is no hook of the commit any more", former.Manifest.Name, former.owner)})
	return true
}

// runPodHook makes the pod of a hook once in a sync and finds out how it ends. The pod of an earlier run goes before.
func (p *planner) runPodHook(h *syncHook, phase manifests.Phase, desired *corev1.Pod) {
	key, run := keyOf(h.object), p.run(phase)
	noted := p.sync.note.result(phase, h.object.Ref)
	var own *podView
	for _, v := range p.owned[key] {
		v.claimed = true
		if v.Manifest.Annotations[hookRunAnnotation] == run {
			own = v
		} else if noted == nil {
			p.delete(v, fmt.Sprintf("%s hook %s runs in this sync", phase, key))
		}
	}
	status := ObjectStatus{Ref: h.object.Ref, Message: "waits until its pod of an earlier run is gone", Summary: map[string]string{"images": images(&desired.Spec)}}
	switch {
	case own != nil && noted == nil:
		p.judgeHook(h, phase, own)
		status = p.podStatus(own, manifests.Ref{})
		status.Health = Reconciling // it may fail and be restarted as often as it takes
	case own != nil:
		p.tidyHook(h, noted, own)
		if !own.ended() && desired.Spec.RestartPolicy != corev1.RestartPolicyAlways { // somebody removed its containers
			p.delete(own, fmt.Sprintf("%s hook %s has ended", phase, key))
		}
		status = p.podStatus(own, manifests.Ref{})
	case noted == nil && len(p.owned[key]) == 0:
		pod := desired.DeepCopy()
		pod.UID = p.uid("Pod", pod.Namespace, pod.Name, run)
		pod.Annotations = withEntries(pod.Annotations, ownerAnnotation, key.annotation(), hookRunAnnotation, run)
		pending := false
		status, pending = p.admit(pod, key, fmt.Sprintf("%s hook %s has not run in this sync", phase, key))
		if pending && status.Health != Stalled && p.lingers(p.desired.Since) {
			status.Health, status.Message = Stalled, noProgress(status.Message)
		}
	}
	p.reportHook(h, phase, status)
}

// runJobHook runs a Job once in a sync and finds out how it ends. The pods of an earlier run go before.
func (p *planner) runJobHook(h *syncHook, phase manifests.Phase, j *batchv1.Job) {
	key, identity := keyOf(h.object), manifests.JobHash(&j.Spec)+" "+p.run(phase)
	status := ObjectStatus{Ref: h.object.Ref, Summary: map[string]string{"images": images(&j.Spec.Template.Spec)}}
	noted := p.sync.note.result(phase, h.object.Ref)
	p.jobs[key] = true
	switch {
	case noted != nil && (h.goesAfter(noted) || p.observed.Notes[jobNoteName(key)] == ""):
		for _, v := range p.owned[key] {
			v.claimed = true
			p.tidyHook(h, noted, v)
		}
	case noted == nil && p.clearHook(h, phase, identity):
		status.Message = "waits until its pods of an earlier run are gone"
	default:
		end := finishedCondition(p.runJob(h.object.Ref, manifests.Ref{}, j, identity))
		if noted == nil && end != nil {
			p.noteHook(h, phase, end.Type == batchv1.JobFailed, end.Reason+": "+end.Message)
		}
		p.amendHook(h, phase)
		return
	}
	p.reportHook(h, phase, status)
}

// clearHook deletes what is left of earlier runs of a Job, and tells whether there is anything.
func (p *planner) clearHook(h *syncHook, phase manifests.Phase, identity string) bool {
	key, found := keyOf(h.object), false
	for _, v := range p.owned[key] {
		if v.Manifest.Annotations[hashAnnotation] != identity {
			v.claimed, found = true, true
			p.delete(v, fmt.Sprintf("%s hook %s runs in this sync", phase, key))
		}
	}
	return found
}

// judgeHook notes how the pod of a hook has ended. One whose containers are always restarted has done its part when it is
// ready, as with Argo CD (gitops-engine, pkg/health/health_pod.go).
func (p *planner) judgeHook(h *syncHook, phase manifests.Phase, v *podView) {
	if done := v.ready && v.Manifest.Spec.RestartPolicy == corev1.RestartPolicyAlways; done || v.ended() {
		p.noteHook(h, phase, v.phase == corev1.PodFailed, v.problem)
	}
}

func (p *planner) noteHook(h *syncHook, phase manifests.Phase, failed bool, message string) {
	result := hookResult{Phase: phase, Object: h.object.Ref.String(), Failed: failed}
	if failed {
		result.Message = message
	}
	p.sync.found.Hooks = append(p.sync.found.Hooks, result)
}

// tidyHook deletes the pod of a hook that has ended, if its policy is so.
func (p *planner) tidyHook(h *syncHook, result *hookResult, v *podView) {
	if h.goesAfter(result) {
		p.delete(v, fmt.Sprintf("%s hook %s has %s, and its hook-delete-policy is to delete it then", result.Phase, result.Object, result.words()))
	}
}

func (h *syncHook) goesAfter(r *hookResult) bool {
	return r.succeeded() && h.AfterSuccess || r.Failed && h.AfterFailure
}

// reportHook says how a hook fares.
func (p *planner) reportHook(h *syncHook, phase manifests.Phase, status ObjectStatus) {
	p.report(h.object.Ref, status)
	p.amendHook(h, phase)
}

// amendHook puts what is to be said of a hook into the status of its object. One that failed in any phase is stalled, and so is
// one that is stuck: the revision fails.
func (p *planner) amendHook(h *syncHook, phase manifests.Phase) {
	status := &p.statuses[h.object.Ref][p.rootStatus(h.object)]
	if status.Summary != nil {
		status.Summary["hook"] = string(phase)
	}
	result := p.sync.found.result(phase, h.object.Ref)
	for _, earlier := range h.Phases {
		if r := p.sync.found.result(earlier, h.object.Ref); r != nil && r.Failed {
			result = r
		}
	}
	switch {
	case result != nil && result.Failed:
		status.Health, status.Message = Stalled, fmt.Sprintf("%s hook has %s", result.Phase, result.words())
	case result != nil:
		status.Health, status.Message = Ready, fmt.Sprintf("%s hook has %s", result.Phase, result.words())
	case status.Health == Stalled:
		status.Message = fmt.Sprintf("%s hook is stuck: %s", phase, status.Message)
	case p.isStuck(h, phase):
		status.Health, status.Message = Stalled, fmt.Sprintf("%s hook is stuck: %s", phase, noProgress(status.Message))
	default:
		status.Health, status.Message = Reconciling, fmt.Sprintf("%s hook runs: %s", phase, cmp.Or(status.Message, "it has not ended yet"))
	}
}

// isStuck tells that the pods of a hook have started nothing for as long as a workload may make no progress. What has started may
// take as long as it does; activeDeadlineSeconds is for that. Argo CD waits for ever.
func (p *planner) isStuck(h *syncHook, phase manifests.Phase) bool {
	youngest := time.Time{}
	for _, v := range p.owned[keyOf(h.object)] {
		if runOfHook(v) != p.run(phase) {
			continue
		}
		if slices.ContainsFunc(v.Containers, func(c runtime.Container) bool { return !c.StartedAt.IsZero() }) {
			return false
		}
		youngest = later(youngest, v.CreatedAt)
	}
	return p.lingers(youngest)
}

// lingers tells that a progress deadline is over; it is not of what has not begun.
func (p *planner) lingers(begin time.Time) bool {
	if begin.IsZero() {
		return false
	}
	deadline := begin.Add(progressDeadline)
	p.checkAt(deadline)
	return !p.now.Before(deadline)
}

// holdHook leaves a hook alone that is not to run, or not yet.
func (p *planner) holdHook(h *syncHook) {
	status := ObjectStatus{Ref: h.object.Ref, Health: Reconciling, Summary: map[string]string{}}
	p.jobs[keyOf(h.object)] = true
	for _, v := range p.owned[keyOf(h.object)] {
		v.claimed, v.held = true, true
		if h.object.Kind == "Pod" {
			status = p.podStatus(v, manifests.Ref{})
		}
	}
	switch {
	case p.desired.Fallback:
		status.Health, status.Message = Ready, "is a hook, and does not run when a commit that failed is rolled back"
	case len(h.Phases) == 0:
		status.Health, status.Message = Ready, "is a hook that is never run"
	case h.Phases[0] == manifests.PhaseSyncFail:
		status.Health, status.Message = Ready, "runs when the sync fails"
	default:
		status.Health, status.Message = Reconciling, p.sync.patience()
	}
	p.report(h.object.Ref, status)
}
