package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
)

// syncNoteName is the note that tells how far a sync is.
const syncNoteName = "Sync"

// step is what of one phase of a sync has one wave. Steps come one after the other: first the PreSync hooks by their waves,
// then the objects with the Sync hooks, then the PostSync hooks. A step begins when the one before it is complete. Upstream:
// argoproj/argo-cd, gitops-engine/pkg/sync (sync_context.go, sync_tasks.go).
type step struct {
	Phase manifests.Phase `json:"phase"`
	Wave  int             `json:"wave"`
}

func (s step) String() string {
	switch {
	case s.Phase == manifests.PhaseSync:
		return fmt.Sprintf("wave %d", s.Wave)
	case s.Wave == 0:
		return string(s.Phase)
	default:
		return fmt.Sprintf("%s, wave %d", s.Phase, s.Wave)
	}
}

// syncNote is what of a sync was found out for good: that a step was complete once, and how hooks ended. So an object that is
// not ready any more later holds up no others, and no hook runs twice.
type syncNote struct {
	Sync  string       `json:"sync"`
	Done  []step       `json:"done,omitempty"`
	Hooks []hookResult `json:"hooks,omitempty"`
	// Standing is what workloads are, or were before the commit while they wait, by Ref.String. It outlasts the sync.
	Standing map[string]standing `json:"standing,omitempty"`
	// Since is when the last step was complete.
	Since time.Time `json:"since,omitzero"`
}

// syncing is how far the sync of the commit is.
type syncing struct {
	// steps in their order; rescue are those of SyncFail hooks. Neither where there is nothing to order.
	steps, rescue []step
	// current is the first step that is not complete; len(steps) if all are.
	current int
	// note is as observed, found has what this plan finds out besides.
	note, found syncNote
	// begun are the objects whose turn has come, later those that wait for it, hooks are apart; in apply order.
	begun, later []*manifests.Object
	hooks        []*syncHook
	// former is a pod of a hook that has left the commit, and is being stopped.
	former *podView
	// waits says what the current step waits for; empty if it is complete. failure says why the sync has failed.
	waits, failure string
}

// beginSync tells the objects whose turn has come from those that wait.
func (p *planner) beginSync() {
	s := &p.sync
	s.note = p.readSync()
	s.found = s.note
	s.found.Done, s.found.Hooks, s.found.Standing = slices.Clone(s.note.Done), slices.Clone(s.note.Hooks), nil
	p.countFrom(s.note.Since)
	var objects []*manifests.Object
	for _, o := range p.desired.Objects {
		if h, is := manifests.HookOf(o); is {
			if p.desired.Fallback {
				h.Phases = nil
			}
			s.addHook(&syncHook{Hook: h, object: o, wave: manifests.WaveOf(o)})
			continue
		}
		objects = append(objects, o)
		if takesTurns(o) {
			s.steps = append(s.steps, stepOf(o))
		}
	}
	s.steps, s.rescue = sortSteps(s.steps), sortSteps(s.rescue)
	if len(s.steps) <= 1 && !slices.ContainsFunc(s.hooks, func(h *syncHook) bool { return len(h.Phases) > 0 }) {
		s.steps = nil
	}
	s.current = slices.IndexFunc(s.steps, func(at step) bool { return !slices.Contains(s.note.Done, at) })
	if s.current < 0 {
		s.current = len(s.steps)
	}
	for _, o := range objects {
		if takesTurns(o) && !s.hasBegun(stepOf(o)) {
			s.later = append(s.later, o)
		} else {
			s.begun = append(s.begun, o)
		}
	}
	s.failure = s.note.failure()
}

// countFrom lets progress deadlines begin when the current step did: what waits for its turn makes no progress, and need not.
func (p *planner) countFrom(begin time.Time) {
	if begin.After(p.desired.Since) && !p.desired.Since.IsZero() {
		p.desired = p.desired.With(p.desired.Objects)
		p.desired.Since = begin
	}
}

// readSync is the note, as far as it is about this sync.
func (p *planner) readSync() syncNote {
	var note syncNote
	switch err := json.Unmarshal([]byte(p.observed.Notes[syncNoteName]), &note); {
	case err != nil:
		return syncNote{Sync: p.desired.Sync}
	case note.Sync != p.desired.Sync:
		return syncNote{Sync: p.desired.Sync, Standing: note.Standing}
	default:
		return note
	}
}

// takesTurns tells what a wave holds up: what has pods, Services and Ingresses. The rest is of use to them and there at once. A CronJob acts
// only when it is due, by Jobs that last as they were made.
func takesTurns(o *manifests.Object) bool { return manifests.Acts(o) && o.Kind != "CronJob" }

func stepOf(o *manifests.Object) step { return step{manifests.PhaseSync, manifests.WaveOf(o)} }

func sortSteps(steps []step) []step {
	order := []manifests.Phase{manifests.PhasePreSync, manifests.PhaseSync, manifests.PhasePostSync, manifests.PhaseSyncFail}
	slices.SortFunc(steps, func(a, b step) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Phase), slices.Index(order, b.Phase)), cmp.Compare(a.Wave, b.Wave))
	})
	return slices.Compact(steps)
}

// hasBegun tells whether the turn of a step has come.
func (s *syncing) hasBegun(at step) bool {
	i := slices.Index(s.steps, at)
	return i <= s.current // -1 where there is nothing to order
}

// holdsRemoval: what left the commit goes when every object that stays has had its turn.
func (s *syncing) holdsRemoval() bool {
	return s.current < len(s.steps) && s.steps[s.current].Phase != manifests.PhasePostSync
}

func (s *syncing) whyNoRemoval() string {
	if s.failure != "" {
		return fmt.Sprintf("stays, because %s", s.failure)
	}
	return "is pruned when the last wave is complete"
}

// stepWaits says what the current step waits for. The last one of objects is complete when all objects are ready.
func (p *planner) stepWaits() string {
	s := &p.sync
	if s.current == len(s.steps) {
		return ""
	}
	at := s.steps[s.current]
	last := s.current+1 == len(s.steps) || s.steps[s.current+1].Phase != manifests.PhaseSync
	for _, o := range s.begun {
		if manifests.IsRoute(o) || !takesTurns(o) || stepOf(o) != at && !(last && at.Phase == manifests.PhaseSync) {
			continue
		}
		if status := p.statusOfRoot(o); status.Health != Ready {
			return fmt.Sprintf("%s: %s: %s", at, o.Ref, status.Message)
		}
	}
	for _, h := range s.hooks {
		if result := s.found.result(at.Phase, h.object.Ref); h.in(at) && (result == nil || !result.succeeded()) {
			return fmt.Sprintf("%s: %s: %s", at, h.object.Ref, p.statusOfRoot(h.object).Message)
		}
	}
	return ""
}

// statusOfRoot is what this plan says of an object of the commit itself.
func (p *planner) statusOfRoot(o *manifests.Object) ObjectStatus {
	if i := p.rootStatus(o); i >= 0 {
		return p.statuses[o.Ref][i]
	}
	return ObjectStatus{}
}

func (p *planner) rootStatus(o *manifests.Object) int {
	return slices.IndexFunc(p.statuses[o.Ref], func(s ObjectStatus) bool {
		return s.Kind == o.Kind && s.Namespace == o.Namespace && s.Name == o.Name
	})
}

// stalled tells whether an object or a hook of the current step makes no progress. A hook that has failed counts once that is
// noted.
func (p *planner) stalled() bool {
	s := &p.sync
	if s.current == len(s.steps) {
		return false
	}
	at := s.steps[s.current]
	return slices.ContainsFunc(s.begun, func(o *manifests.Object) bool {
		return takesTurns(o) && stepOf(o) == at && p.statusOfRoot(o).Health == Stalled
	}) || slices.ContainsFunc(s.hooks, func(h *syncHook) bool {
		return h.in(at) && s.found.result(at.Phase, h.object.Ref) == nil && p.statusOfRoot(h.object).Health == Stalled
	})
}

// holdLater leaves what waits for its turn as it runs: its pods are mended and stay in their Services, and what they see of
// ConfigMaps and Secrets does not change. Those of workloads that are lost are made anew, as they were (standing.go).
func (p *planner) holdLater() {
	p.sync.waits = p.stepWaits()
	for _, o := range p.sync.later {
		if !manifests.IsRoute(o) {
			p.holdObject(o)
		}
	}
	for _, h := range p.sync.hooks {
		if !h.begun {
			p.holdHook(h)
		}
	}
}

func (p *planner) holdObject(o *manifests.Object) {
	if set, is := o.Value.(*appsv1.StatefulSet); is {
		p.noteRetention(p.stateful(o, set)) // its pods are not replaced yet, and carry what it said when they were made
	}
	for _, v := range p.owned[keyOf(o)] {
		v.claimed, v.held = true, true
	}
	p.jobs[keyOf(o)] = true
	w, isWorkload := manifests.WorkloadOf(o.Value)
	switch pod, bare := o.Value.(*corev1.Pod); {
	case bare:
		p.holdBarePod(o, pod)
	case !isWorkload || o.Kind == "Job":
		p.reportWaiting(o, ObjectStatus{Summary: map[string]string{}})
	case !p.goOn(o):
		p.holdWorkload(o, w)
	}
}

// holdWorkload reports a workload of which no pod can be made before its turn: it is new, or no pod tells any more how it was.
func (p *planner) holdWorkload(o *manifests.Object, w manifests.Workload) {
	wanted, message := 1, ""
	if w.Replicas != nil {
		wanted = int(*w.Replicas)
	}
	if was, known := p.standingOf(o); known && was.Replicas > 0 {
		wanted = was.Replicas
		message = fmt.Sprintf("none of its %d pods is left, and nothing tells how they were before the commit; ", wanted)
	}
	p.reportWaiting(o, ObjectStatus{Message: message, Summary: map[string]string{
		"ready": fmt.Sprintf("0/%d", wanted), "images": images(&w.Template.Spec)}})
}

// reportWaiting says what an object waits for, after what else its status says, and reports its pods.
func (p *planner) reportWaiting(o *manifests.Object, status ObjectStatus) {
	status.Ref, status.Health, status.Message = o.Ref, Reconciling, status.Message+p.sync.patience()
	p.report(o.Ref, status)
	for _, v := range p.owned[keyOf(o)] {
		if !v.fixed {
			p.report(o.Ref, p.podStatus(v, o.Ref))
		}
	}
}

func (p *planner) holdBarePod(o *manifests.Object, pod *corev1.Pod) {
	status := ObjectStatus{Ref: o.Ref, Summary: map[string]string{"images": images(&pod.Spec)}}
	if pods := p.owned[keyOf(o)]; len(pods) > 0 {
		status = p.podStatus(pods[0], manifests.Ref{})
	}
	status.Health, status.Message = Reconciling, p.sync.patience()
	p.report(o.Ref, status)
}

// patience is what is said of an object that waits for its turn.
func (s *syncing) patience() string {
	switch {
	case s.failure != "":
		return fmt.Sprintf("is not begun: %s; the next commit that changes an object tries again", s.failure)
	case s.waits != "":
		return "waits for " + s.waits
	default:
		return fmt.Sprintf("comes next: %s is complete", s.steps[s.current])
	}
}

// finishStep notes that the current step is complete, and what hooks came to. The next plan that observes it goes on.
func (p *planner) finishStep() {
	s := &p.sync
	if s.current < len(s.steps) && s.waits == "" && s.failure == "" {
		s.found.Done, s.found.Since = append(s.found.Done, s.steps[s.current]), p.now
	}
	before, there := p.observed.Notes[syncNoteName]
	if len(s.steps) == 0 {
		if there {
			p.do(WriteNote{Name: syncNoteName, Object: p.syncRef(), Reason: "the commit has neither hooks nor several waves"})
		}
		return
	}
	p.noteStandings()
	if reflect.DeepEqual(s.note, s.found) {
		return
	}
	if text := marshalNote(s.found); text != before {
		p.do(WriteNote{Name: syncNoteName, Text: text, Object: p.syncRef(), Reason: s.news()})
	}
}

// syncRef is what notes on no single object are about.
func (p *planner) syncRef() manifests.Ref { return manifests.Ref{Kind: "Sync", Name: p.desired.Sync} }

// news is what this plan found out.
func (s *syncing) news() string {
	if n := len(s.found.Hooks); n > len(s.note.Hooks) {
		last := s.found.Hooks[n-1]
		return fmt.Sprintf("%s hook %s has %s", last.Phase, last.Object, last.words())
	}
	if len(s.found.Done) > len(s.note.Done) {
		return fmt.Sprintf("%s is complete", s.steps[s.current])
	}
	return "what workloads go on with, if the next commit makes them wait, has changed"
}

func marshalNote(note any) string {
	text, err := json.Marshal(note)
	if err != nil {
		panic(fmt.Sprintf("encode a note: %v", err)) // its types always encode
	}
	return string(text)
}
