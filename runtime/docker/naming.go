package docker

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Labels of dockershim and cri-dockerd (cri-dockerd core/labels.go, kubelet/types/labels.go), for log and metrics agents.
const (
	labelPodName       = "io.kubernetes.pod.name"
	labelPodNamespace  = "io.kubernetes.pod.namespace"
	labelPodUID        = "io.kubernetes.pod.uid"
	labelContainerName = "io.kubernetes.container.name"
	labelType          = "io.kubernetes.docker.type"
	labelSandbox       = "io.kubernetes.sandbox.id"
	labelRestarts      = "annotation.io.kubernetes.container.restartCount"

	typeSandbox   = "podsandbox"
	typeContainer = "container"
	// sandboxContainer is the container name of a sandbox.
	sandboxContainer = "POD"
)

// Labels of ours. Instance is on everything that is made; the rest lets a daemon that starts anew read back what it was
// asked for.
const (
	labelInstance = "podyard.dev/instance"
	labelRole     = "podyard.dev/role"
	// labelPod is the corev1.Pod without its status, as JSON, on the sandbox; labelVolumes its volumes without content.
	labelPod     = "podyard.dev/pod"
	labelVolumes = "podyard.dev/volumes"
	// On containers: the attempt, what to wait after it (a Go duration), the image reference of the manifest, and the
	// parts of volumes it mounts (JSON, paths inside the sandbox).
	labelAttempt  = "podyard.dev/attempt"
	labelBackoff  = "podyard.dev/backoff"
	labelImage    = "podyard.dev/image"
	labelSubPaths = "podyard.dev/subpaths"
	// labelMessage is the file of the termination message, by its name in the pod's volume of messages; labelFallback is
	// "true" where the log stands in for it; labelEphemeral is "true" on containers for debugging.
	labelMessage   = "podyard.dev/message"
	labelFallback  = "podyard.dev/message-from-log"
	labelEphemeral = "podyard.dev/ephemeral"
	// labelPublication is the runtime.Publication, as JSON.
	labelPublication = "podyard.dev/publication"
	// labelIngress is the publication of all Ingresses, as JSON, on the container that has its ports.
	labelIngress = "podyard.dev/ingress"
	// labelInfra names the instance on its infra image. It is a key of its own because containers inherit the labels of
	// their image, and one that somebody else makes from ours is not ours.
	labelInfra = "podyard.dev/infra-of"
	// labelPersistent is "true" on volumes that outlive their pod.
	labelPersistent = "podyard.dev/persistent"
)

// Roles, the values of labelRole.
const (
	roleSandbox     = "sandbox"
	roleContainer   = "container"
	roleHolder      = "gateway-holder"
	roleAgent       = "gateway-agent"
	roleReaper      = "reaper"
	rolePublication = "publication"
	roleNetwork     = "network"
	roleVolume      = "volume"
	roleCheck       = "check"
	// The two containers of the proxy for Ingresses.
	roleIngressHolder = "ingress-holder"
	roleIngressAgent  = "ingress-agent"
)

// names makes the names and labels of one instance.
type names struct{ instance string }

// base is the name of the network and the beginning of the gateway's: "podyard" or "podyard-<instance>".
func (n names) base() string {
	if n.instance == defaultInstance {
		return defaultInstance
	}
	return defaultInstance + "-" + n.instance
}

func (n names) network() string { return n.base() }
func (n names) holder() string  { return n.base() + "-gateway" }
func (n names) state() string   { return n.base() + "-gateway" }

// agent carries the infra image's tag, so that a new one can be started beside the old one.
func (n names) agent(tag string) string { return n.base() + "-gateway-agent-" + tag }

func (n names) ingressHolder() string          { return n.base() + "-ingress" }
func (n names) ingressState() string           { return n.base() + "-ingress" }
func (n names) ingressCertificates() string    { return n.base() + "-ingress-certificates" }
func (n names) ingressAgent(tag string) string { return n.base() + "-ingress-agent-" + tag }

const infraRepository = "podyard-infra"

// infraTag is the short hash of the binary. Instances other than the default have an image of their own, which costs
// no space since the layer is the same, so that each can remove what it made.
func (n names) infraTag(sha string) string {
	if n.instance == defaultInstance {
		return sha[:12]
	}
	return n.instance + "-" + sha[:12]
}

func (n names) infra(sha string) string { return infraRepository + ":" + n.infraTag(sha) }

// sandboxName is k8s_POD_<pod>_<namespace>_<uid>_<attempt>; a sandbox is never replaced under one UID, so the attempt
// is always 0. The engine refuses a second one of the same name: that makes creation safe to repeat.
func sandboxName(pod *corev1.Pod) string {
	return containerName(sandboxContainer, pod, 0)
}

func containerName(container string, pod *corev1.Pod, attempt int) string {
	return fmt.Sprintf("k8s_%s_%s_%s_%s_%d", container, pod.Name, pod.Namespace, pod.UID, attempt)
}

// volume is the engine's name of a volume that lives as long as its pod.
func (n names) volume(uid, name string) string {
	return fmt.Sprintf("podyard_%s_%s_%s", n.instance, uid, name)
}

// isPodVolume tells whether volume makes such names. A claim's has the word in the place of a UID.
func (n names) isPodVolume(name string) bool {
	rest, ok := strings.CutPrefix(name, fmt.Sprintf("podyard_%s_", n.instance))
	return ok && !strings.HasPrefix(rest, "claim_")
}

func (n names) labels(role string) map[string]string {
	return map[string]string{labelInstance: n.instance, labelRole: role}
}

func (n names) podLabels(role string, pod *corev1.Pod) map[string]string {
	labels := n.labels(role)
	labels[labelPodName], labels[labelPodNamespace], labels[labelPodUID] = pod.Name, pod.Namespace, string(pod.UID)
	return labels
}

func (n names) sandboxLabels(pod *corev1.Pod, manifest, volumes string) map[string]string {
	labels := n.podLabels(roleSandbox, pod)
	labels[labelType], labels[labelContainerName] = typeSandbox, sandboxContainer
	labels[labelPod], labels[labelVolumes] = manifest, volumes
	return labels
}

func (n names) containerLabels(pod *corev1.Pod, sandboxID, container string, attempt int) map[string]string {
	labels := n.podLabels(roleContainer, pod)
	labels[labelType], labels[labelContainerName], labels[labelSandbox] = typeContainer, container, sandboxID
	labels[labelAttempt], labels[labelRestarts] = strconv.Itoa(attempt), strconv.Itoa(attempt)
	return labels
}

// podOf is the pod that labels tell of: its namespace, name and UID.
func podOf(labels map[string]string) (namespace, name, uid string) {
	return labels[labelPodNamespace], labels[labelPodName], labels[labelPodUID]
}
