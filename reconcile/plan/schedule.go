package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/podyard/podyard/runtime"
)

// obstacle is why a pod cannot be placed on the one host there is.
type obstacle struct {
	// reason and message are those of the condition PodScheduled, as upstream's scheduler writes them.
	reason, message string
	// words say the same so that one knows what to do.
	words string
	// passing: it waits for something that is on its way out already.
	passing bool
}

// scheduleWindow is for how long a bare pod that cannot be placed counts as on its way; kstatus grants it as much
// (sigs.k8s.io/cli-utils/pkg/kstatus/status, ScheduleWindow).
const scheduleWindow = 15 * time.Second

// obstacle asks in the order of upstream's scheduler (pkg/scheduler/framework/plugins), which stops at the first that
// says no. With withoutOwn, what the owner's other pods hold counts as free.
func (p *planner) obstacle(pod *corev1.Pod, owner ownerKey, withoutOwn bool) *obstacle {
	spec := &pod.Spec
	if len(spec.SchedulingGates) > 0 {
		return gated(spec.SchedulingGates)
	}
	for _, plugin := range []func() *obstacle{
		func() *obstacle { return p.unboundClaims(pod) },
		func() *obstacle { return p.otherNode(spec) },
		func() *obstacle { return p.otherLabels(spec) },
		func() *obstacle { return p.takenPorts(pod, owner, withoutOwn) },
		func() *obstacle { return p.insufficient(spec) },
		func() *obstacle { return p.claimInUse(pod, owner, withoutOwn) },
		func() *obstacle { return p.noAppArmor(spec) },
	} {
		if o := plugin(); o != nil {
			return o
		}
	}
	return nil
}

// gated is upstream's plugin SchedulingGates.
func gated(gates []corev1.PodSchedulingGate) *obstacle {
	names := make([]string, 0, len(gates))
	for _, g := range gates {
		names = append(names, g.Name)
	}
	return &obstacle{
		reason: corev1.PodReasonSchedulingGated, message: "Scheduling is blocked due to non-empty scheduling gates",
		words: fmt.Sprintf("it waits at the scheduling gate %s: take it out of the manifest to let the pod run", strings.Join(names, ", ")),
	}
}

// unfit is what the scheduler says when the only node does not do.
func unfit(why string) *obstacle {
	return &obstacle{reason: corev1.PodReasonUnschedulable, message: "0/1 nodes are available: " + why + "."}
}

func (o *obstacle) meaning(format string, args ...any) *obstacle {
	o.words = fmt.Sprintf(format, args...)
	return o
}

// otherNode is upstream's plugin NodeName.
func (p *planner) otherNode(spec *corev1.PodSpec) *obstacle {
	host := p.observed.Host[corev1.LabelHostname]
	if spec.NodeName == "" || spec.NodeName == host {
		return nil
	}
	return unfit("1 node(s) didn't match the requested node name").meaning("nodeName is %s, and this host is %s", spec.NodeName, host)
}

// otherLabels is upstream's plugin NodeAffinity.
func (p *planner) otherLabels(spec *corev1.PodSpec) *obstacle {
	if len(spec.NodeSelector) == 0 && (spec.Affinity == nil || spec.Affinity.NodeAffinity == nil) {
		return nil
	}
	labels := p.observed.Host
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: labels[corev1.LabelHostname], Labels: labels}}
	if fits, _ := nodeaffinity.NewRequiredNodeAffinity(spec.NodeSelector, spec.Affinity).Match(node); fits {
		return nil
	}
	o := unfit("1 node(s) didn't match Pod's node affinity/selector")
	for _, key := range slices.Sorted(maps.Keys(spec.NodeSelector)) {
		if want, have := spec.NodeSelector[key], labels[key]; have != want {
			return o.meaning("its nodeSelector wants the label %s=%s, which this host does not have: podyard run --node-label %s=%s gives it", key, want, key, want)
		}
	}
	return o.meaning("this host's labels do not satisfy its required node affinity: podyard run --node-label KEY=VALUE adds some")
}

// insufficient is upstream's plugin NodeResourcesFit for extended resources.
func (p *planner) insufficient(spec *corev1.PodSpec) *obstacle {
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			for _, name := range slices.Sorted(maps.Keys(list[i].Resources.Limits)) {
				if quantity := list[i].Resources.Limits[name]; extended(name) && !quantity.IsZero() && !p.provides(name) {
					return unfit(fmt.Sprintf("1 Insufficient %s", name)).
						meaning("container %s wants %s, which this engine does not offer", list[i].Name, name)
				}
			}
		}
	}
	return nil
}

// provides tells what the engine offers: GPUs by NVIDIA's runtime, all else by the Container Device Interface. How many
// there are it does not tell.
func (p *planner) provides(name corev1.ResourceName) bool {
	if name == "nvidia.com/gpu" {
		return slices.Contains(p.observed.Runtimes, "nvidia")
	}
	return p.observed.CDI
}

// extended is upstream's IsExtendedResourceName (pkg/apis/core/v1/helper): a name with a domain that is not Kubernetes'.
func extended(name corev1.ResourceName) bool {
	return strings.Contains(string(name), "/") && !strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix) &&
		!strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix)
}

// noAppArmor is what the kubelet asks before it takes a pod in; upstream's pkg/security/apparmor/validate.go. The engine
// would run the container without its profile, and not say so. Where only RuntimeDefault is asked for, there is none to miss.
func (p *planner) noAppArmor(spec *corev1.PodSpec) *obstacle {
	if p.observed.AppArmor {
		return nil
	}
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			if profile := appArmorOf(spec, &list[i]); profile != nil && profile.Type == corev1.AppArmorProfileTypeLocalhost {
				o := &obstacle{reason: reasonAppArmor, message: "Cannot enforce AppArmor: AppArmor is not enabled on the host"}
				return o.meaning("%s, and container %s wants a profile of type Localhost: enable it, or take appArmorProfile out",
					o.message, list[i].Name)
			}
		}
	}
	return nil
}

// reasonAppArmor is upstream's (pkg/kubelet/lifecycle/handlers.go, AppArmorNotAdmittedReason).
const reasonAppArmor = "AppArmor"

// appArmorOf is a container's own profile, or the pod's.
func appArmorOf(spec *corev1.PodSpec, c *corev1.Container) *corev1.AppArmorProfile {
	switch {
	case c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil:
		return c.SecurityContext.AppArmorProfile
	case spec.SecurityContext != nil:
		return spec.SecurityContext.AppArmorProfile
	}
	return nil
}

// unscheduled is the status of a pod that is not created because it cannot be placed.
func (p *planner) unscheduled(pod *corev1.Pod, o *obstacle) ObjectStatus {
	since := p.desired.Since
	return ObjectStatus{
		Ref: podRef(pod), Health: p.patience(o), Message: o.words,
		Summary: map[string]string{"phase": string(corev1.PodPending), "ip": "", "restarts": "0", "images": images(&pod.Spec)},
		Conditions: []metav1.Condition{{Type: string(corev1.PodScheduled), Status: metav1.ConditionFalse, Reason: o.reason,
			Message: o.message, LastTransitionTime: metav1.NewTime(since)}},
		Pod: &corev1.PodStatus{Phase: corev1.PodPending, QOSClass: qosClass(&pod.Spec), Conditions: []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: o.reason, Message: o.message, LastTransitionTime: metav1.NewTime(since)}}},
	}
}

// patience is what a pod that cannot be placed is called: on its way for a while, then stalled. It needs another commit,
// or a person.
func (p *planner) patience(o *obstacle) Health {
	since := p.desired.Since
	if o.passing || since.IsZero() {
		return Reconciling
	}
	if window := since.Add(scheduleWindow); p.now.Before(window) {
		p.checkAt(window)
		return Reconciling
	}
	return Stalled
}

// occupy notes what a pod holds: its host ports as long as its sandbox has them, its claims as long as it goes on.
func (p *planner) occupy(v *podView, owner ownerKey) {
	if v.end == nil || v.Phase == runtime.Running {
		for port := range hostPorts(&v.Manifest.Spec) {
			p.ports[port.HostPort] = append(p.ports[port.HostPort], hostPort{ContainerPort: port, holder: v, owner: owner})
		}
	}
	if v.end == nil {
		for claim := range claimsOf(v.Manifest.Namespace, &v.Manifest.Spec) {
			p.users[claim] = append(p.users[claim], v)
		}
	}
}
