package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/podyard/podyard/manifests"
)

// rolloutNote is what Kubernetes keeps of a Deployment in its status and in its ReplicaSets, and no pod tells.
type rolloutNote struct {
	// Template is the hash of the newest one that was rolled out, and Revision its number.
	Template string `json:"template"`
	Revision int    `json:"revision"`
	// Replicas is what all ReplicaSets were scaled for.
	Replicas int `json:"replicas"`
	// Complete: the newest template was rolled out in full. What fails later is no failure of the rollout.
	Complete bool `json:"complete,omitempty"`
	// Sizes are those that ReplicaSets are being brought to, by hash, after a change of replicas in mid-rollout.
	Sizes map[string]int `json:"sizes,omitempty"`
	// Old has the revisions of the templates before, by hash: as many as revisionHistoryLimit says once the rollout is complete.
	Old map[string]int `json:"old,omitempty"`
}

const rolloutNotes = "deployment/"

func (r *rollout) noteName() string { return rolloutNotes + r.Namespace + "/" + r.Name }

// recall reads what is remembered, and numbers the newest template: one more than any before it. So a template that comes
// back gets a new number, and a change of replicas none. Upstream: getNewReplicaSet (pkg/controller/deployment/sync.go).
func (r *rollout) recall(notes map[string]string) {
	if text := notes[r.noteName()]; text != "" {
		if err := json.Unmarshal([]byte(text), &r.known); err != nil {
			r.known = rolloutNote{} // not ours, or damaged: begin anew
		}
	}
	if r.known.Template != "" {
		r.known.Old = withRevision(r.known.Old, r.known.Template, r.known.Revision)
	}
	before := 0
	for _, rs := range r.old {
		rs.revision = max(rs.revision, r.known.Old[rs.hash]) // its pods may be from an earlier turn of the template
		before = max(before, rs.revision)
	}
	if r.rolledOut() {
		r.current.revision = max(r.current.revision, r.known.Revision, before+1)
	} else {
		r.current.revision = max(r.current.revision, r.known.Revision+1, before+1)
	}
	r.next = rolloutNote{Template: r.current.hash, Revision: r.current.revision, Replicas: r.replicas}
	if r.Spec.Paused && !r.rolledOut() {
		r.next.Template, r.next.Revision = r.known.Template, r.known.Revision
	}
	r.next.Old = r.former()
}

// former are the revisions before the newest template, by hash.
func (r *rollout) former() map[string]int {
	old := maps.Clone(r.known.Old)
	for _, rs := range r.old {
		old = withRevision(old, rs.hash, rs.revision)
	}
	delete(old, r.next.Template)
	return old
}

func withRevision(revisions map[string]int, hash string, revision int) map[string]int {
	if revisions == nil {
		revisions = map[string]int{}
	}
	revisions[hash] = revision
	return revisions
}

// cleanUp forgets the oldest revisions without pods beyond revisionHistoryLimit. Upstream: cleanupDeployment
// (pkg/controller/deployment/sync.go), which deletes their ReplicaSets, as here when the rollout is complete or in a pause.
func (r *rollout) cleanUp() {
	limit := r.Spec.RevisionHistoryLimit
	if limit == nil || *limit == math.MaxInt32 || !r.next.Complete && !r.Spec.Paused {
		return
	}
	excess := len(r.next.Old) - int(*limit)
	for _, hash := range byRevision(r.next.Old)[:max(excess, 0)] {
		if r.oldSet(hash) == nil {
			delete(r.next.Old, hash)
		}
	}
}

// byRevision are the hashes of templates, the oldest first.
func byRevision(revisions map[string]int) []string {
	return slices.SortedFunc(maps.Keys(revisions), func(a, b string) int {
		return cmp.Or(cmp.Compare(revisions[a], revisions[b]), cmp.Compare(a, b))
	})
}

// rolledOut tells that the template is the newest that was rolled out, so that in Kubernetes its ReplicaSet is there.
func (r *rollout) rolledOut() bool { return r.known.Template == r.current.hash }

// hasCompleted tells that all pods have been of the newest template and available, once, and that there are no others
// now. Kubernetes goes by the reason of the condition Progressing (syncRolloutStatus in pkg/controller/deployment/progress.go).
// Unlike there, pods that more replicas ask for count as part of the rollout: a commit that only adds some fails, too, if they
// do not come up.
func (r *rollout) hasCompleted() bool {
	return r.rolledOut() && r.known.Complete && r.known.Replicas >= r.replicas && r.oldCount() == 0
}

// remember writes down what has changed. Of a Deployment that was created in pause there is nothing yet.
func (p *planner) remember(r *rollout) {
	text, err := json.Marshal(r.next)
	if err != nil || r.next.Template == "" || string(text) == p.observed.Notes[r.noteName()] {
		return // no such value fails to be written
	}
	reason := fmt.Sprintf("%s is at revision %d", r.key, r.next.Revision)
	p.do(WriteNote{Name: r.noteName(), Text: string(text), Object: r.root, Reason: reason})
}

// forgetRollouts deletes what is remembered of Deployments that the commit does not hold any more, when removal is due.
func (p *planner) forgetRollouts() {
	if p.sync.holdsRemoval() {
		return
	}
	gone := func(d ownerKey) bool { return p.find(d.kind, d.namespace, d.name) == nil }
	p.forget("Deployment", gone, "is not in the commit", rolloutNotes, beforeNotes)
}

// forget deletes the notes, whose names begin with one of the prefixes, of workloads that are gone.
func (p *planner) forget(kind string, gone func(ownerKey) bool, why string, prefixes ...string) {
	var names []string
	owners := map[string]ownerKey{}
	for name := range p.observed.Notes {
		prefix, rest, _ := strings.Cut(name, "/")
		if !slices.Contains(prefixes, prefix+"/") {
			continue
		}
		namespace, object, _ := strings.Cut(rest, "/")
		if owner := (ownerKey{kind, namespace, object}); gone(owner) {
			names, owners[name] = append(names, name), owner
		}
	}
	slices.Sort(names)
	for _, name := range names {
		owner := owners[name]
		ref := manifests.Ref{APIVersion: "apps/v1", Kind: kind, Namespace: owner.namespace, Name: owner.name}
		p.do(WriteNote{Name: name, Object: ref, Reason: fmt.Sprintf("%s %s", owner, why)})
	}
}
