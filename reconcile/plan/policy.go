package plan

import (
	"encoding/json"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
)

// policiesNoteName is the note of what becomes of objects that leave the commit: when they have left it, git does not tell.
const policiesNoteName = "Prune"

// policy is what becomes of an object that has left the commit, and in which wave it was. The zero value is what most objects
// have.
type policy struct {
	Prune manifests.Prune `json:"prune,omitempty"`
	Wave  int             `json:"wave,omitempty"`
}

// adopted is the policy, once they have all been adopted, of pods that were orphans: they go with whoever has them now.
const adopted manifests.Prune = "adopted"

func (k policy) keeps() bool {
	return k.Prune == manifests.PruneOrphan || k.Prune == manifests.PruneDisabled
}

// policies are those of the objects of the commit, and those that are remembered of objects that have left it. Pods carry
// their owner's policy, too: it counts where there is no note, as when the history was lost.
type policies struct{ desired, noted map[ownerKey]policy }

// readPolicies reads those that were noted.
func (p *planner) readPolicies() {
	p.policies = policies{desired: map[ownerKey]policy{}, noted: map[ownerKey]policy{}}
	var noted map[string]policy
	if err := json.Unmarshal([]byte(p.observed.Notes[policiesNoteName]), &noted); err != nil {
		return
	}
	for name, of := range noted {
		p.policies.noted[parseKey(name)] = of
	}
}

// findPolicies looks in the commit for what is not as most objects have it.
func (p *planner) findPolicies() {
	for _, o := range p.desired.Objects {
		if of := policyOf(o); of != (policy{}) {
			p.policies.desired[keyOf(o)] = of
		}
	}
}

func policyOf(o *manifests.Object) policy {
	if !manifests.Acts(o) {
		return policy{}
	}
	of := policy{manifests.PruneOf(o), manifests.WaveOf(o)}
	if of.Prune == manifests.PruneBackground {
		of.Prune = ""
	}
	return of
}

// parseKey reads back ownerKey.String.
func parseKey(name string) ownerKey {
	kind, object, _ := strings.Cut(name, " ")
	namespace, name, _ := strings.Cut(object, "/")
	return ownerKey{kind, namespace, name}
}

// policyWhenGone is that of an object which has left the commit; v is one of its pods, or nil.
func (p *planner) policyWhenGone(key ownerKey, v *podView) policy {
	if of, known := p.policies.noted[key]; known || v == nil {
		return of
	}
	return policy{Prune: manifests.Prune(v.Manifest.Annotations[manifests.PruneAnnotation])}
}

// carryPolicy writes the policy of its owner on a new pod. A template's own annotation of the name means nothing.
func (p *planner) carryPolicy(pod *corev1.Pod, owner ownerKey) {
	if of := p.policies.desired[owner]; of.Prune != "" {
		pod.Annotations = withEntries(pod.Annotations, manifests.PruneAnnotation, string(of.Prune))
	} else {
		delete(pod.Annotations, manifests.PruneAnnotation)
	}
}

// notePolicies remembers what is not as most objects have it, and what pods made before say otherwise. What is remembered of
// an object that has left the commit stays until nothing of it is left.
func (p *planner) notePolicies() {
	wanted := map[string]policy{}
	for key, of := range p.policies.desired {
		wanted[key.String()] = of
	}
	for _, v := range p.pods {
		of := p.policies.desired[v.owner]
		if v.Manifest.Annotations[manifests.PruneAnnotation] != string(of.Prune) && p.has(v.owner) {
			wanted[v.owner.String()] = of
		}
	}
	for key, pods := range p.leftovers() {
		of, noted := p.policies.noted[key]
		if len(pods) > 0 && p.policyWhenGone(key, pods[0]).Prune == manifests.PruneOrphan && allAdopted(pods) {
			of.Prune, noted = adopted, true
		}
		if noted {
			wanted[key.String()] = of
		}
	}
	text := "" // no note
	if len(wanted) > 0 {
		text = marshalNote(wanted)
	}
	if text != p.observed.Notes[policiesNoteName] {
		p.do(WriteNote{Name: policiesNoteName, Text: text, Object: p.syncRef(), Reason: "what becomes of objects that leave the commit has changed"})
	}
}

func allAdopted(pods []*podView) bool {
	return !slices.ContainsFunc(pods, func(v *podView) bool { return !v.adopted })
}

// leftovers are the objects that are not in the commit and of which something is left, with their pods.
func (p *planner) leftovers() map[ownerKey][]*podView {
	out := map[ownerKey][]*podView{}
	for _, v := range p.pods {
		if p.has(v.owner) {
			continue
		}
		out[v.owner] = append(out[v.owner], v)
		for _, owner := range p.withOwners(v.owner) {
			if out[owner] == nil {
				out[owner] = nil // it may go in the foreground, and wait for this pod
			}
		}
	}
	for _, s := range p.observed.Routes.Services {
		if key := (ownerKey{"Service", s.Namespace, s.Name}); !p.has(key) {
			out[key] = nil
		}
	}
	for _, v := range p.observed.Routes.Ingresses {
		if key := (ownerKey{"Ingress", v.Namespace, v.Name}); !p.has(key) {
			out[key] = nil
		}
	}
	for _, key := range p.cronJobsNoted() {
		if !p.has(key) {
			out[key] = nil
		}
	}
	for _, o := range p.desired.Objects {
		for _, owner := range manifests.OwnersOf(o) {
			if key := (ownerKey{owner.Kind, owner.Namespace, owner.Name}); !p.has(key) && out[key] == nil {
				out[key] = nil
			}
		}
	}
	return out
}

// has tells whether the commit holds an object.
func (p *planner) has(key ownerKey) bool { return p.find(key.kind, key.namespace, key.name) != nil }
