package plan

import (
	"cmp"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// barePod keeps a pod that stands in the commit by itself. A changed pod is replaced, where Kubernetes would refuse the
// change: deleted first, since both would have the same name. One that has ended stays, with its logs.
func (p *planner) barePod(object *manifests.Object, desired *corev1.Pod) {
	key := ownerKey{"Pod", desired.Namespace, desired.Name}
	hash := object.Once(func() string {
		return manifests.TemplateHash(&corev1.PodTemplateSpec{ObjectMeta: manifests.WithoutOrdering(desired.ObjectMeta), Spec: desired.Spec})
	})
	gone := true
	for _, v := range p.owned[key] {
		v.claimed, gone = true, false
		why, health := "", Health("")
		if v.Manifest.Annotations[hashAnnotation] != hash && !v.deleted {
			why, health = p.barePodReplace(v, desired, key)
		}
		status := p.podStatus(v, manifests.Ref{})
		if why != "" {
			status.Health, status.Message = health, "still runs as it was before the commit: "+why
		}
		p.report(object.Ref, status)
	}
	if gone {
		pod := desired.DeepCopy()
		pod.UID = p.uid("Pod", pod.Namespace, pod.Name, hash)
		pod.Annotations = withEntries(pod.Annotations, ownerAnnotation, key.annotation(), hashAnnotation, hash)
		status, _ := p.admit(pod, key, fmt.Sprintf("%s does not run", key))
		p.report(object.Ref, status)
	}
}

// barePodReplace deletes an old pod if a new one could be made. If none could, it says why.
func (p *planner) barePodReplace(v *podView, desired *corev1.Pod, key ownerKey) (why string, health Health) {
	if why, health = p.hindrance(desired, key); why == "" {
		p.delete(v, fmt.Sprintf("%s changed%s", key, p.differences(v, desired)))
	}
	return why, health
}

// hindrance is what would keep a pod from being created, were the owner's other pods gone; "" for nothing. Old pods stay
// as long as there is one.
func (p *planner) hindrance(pod *corev1.Pod, owner ownerKey) (why string, health Health) {
	if o := cmp.Or(p.exceeded(pod, owner, true), p.obstacle(pod, owner, true)); o != nil {
		return o.words, p.patience(o)
	}
	return p.imagesReady(pod), Reconciling
}

// admit plans the creation of a pod, or says what it waits for; pending tells which. Upstream would have a pod in phase
// Pending; here it is not created before it can run.
func (p *planner) admit(pod *corev1.Pod, owner ownerKey, reason string) (status ObjectStatus, pending bool) {
	p.carryPolicy(pod, owner)
	p.priorities().Fill(&pod.Spec)
	o := p.exceeded(pod, owner, false)
	if o == nil {
		p.charge(pod, owner, nil)
		o = p.obstacle(pod, owner, false)
	}
	if o != nil {
		return p.unscheduled(pod, o), true
	}
	v := &podView{Pod: &runtime.Pod{Manifest: pod, Phase: runtime.Created, CreatedAt: p.desired.Since}, phase: corev1.PodPending}
	waiting := p.imagesReady(pod)
	if p.remains[pod.UID] { // it has the same volumes, and its containers the same names
		waiting = "what is left of it, after its sandbox was removed, is cleared away first"
	}
	if waiting == "" {
		p.do(CreatePod{Pod: pod, Containers: firstContainers(&pod.Spec), Reason: reason})
		p.occupy(v, owner)
	}
	status = p.podStatus(v, manifests.Ref{})
	status.Message = waiting
	if waiting == "" {
		status.Message = p.observed.Problems[pod.Namespace+"/"+pod.Name].Message
		pending = status.Message != ""
	}
	if status.Message == "" {
		status.Message = "is being created"
	}
	return status, pending || waiting != ""
}

// containers mends every pod that stays.
func (p *planner) containers() {
	for _, v := range p.pods {
		if !v.deleted && v.ID != "" { // without an ID its creation is under way
			p.mend(v)
			p.forgetPast(v)
		}
	}
}

// mend brings a pod's sandbox and containers to what its manifest says, as upstream's computePodActions does
// (pkg/kubelet/kuberuntime/kuberuntime_manager.go).
func (p *planner) mend(v *podView) {
	switch {
	case v.end != nil:
		p.kill(v)
	case forsaken(v.Pod):
		p.do(KillPod{PodRef: v.ref(), Grace: v.grace(), Reason: "its sandbox stopped, and its containers are not restarted"})
	case v.Phase != runtime.Running:
		p.do(StartSandbox{PodRef: v.ref(), Reason: sandboxReason(v)})
	case p.stopStranded(v):
	default:
		if p.initialize(v) {
			p.mendApps(v)
		}
		if !v.held {
			p.updateVolumes(v)
		}
	}
}

func sandboxReason(v *podView) string {
	if v.Phase == runtime.Created {
		return "its sandbox was created and not started"
	}
	return "its sandbox stopped"
}

func withEntries(m map[string]string, pairs ...string) map[string]string {
	out := maps.Clone(m)
	if out == nil {
		out = map[string]string{}
	}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}
