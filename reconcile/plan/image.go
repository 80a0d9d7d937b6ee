package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podyard/podyard/runtime"
)

// freshness is for how long an answer of the registry counts for imagePullPolicy Always. The pods of one rollout step
// then ask once together and run the same bytes, and a registry that limits pulls is spared; the kubelet would ask once
// for each pod.
const freshness = time.Minute

// Reasons of a container that waits for its image, in upstream's words (pkg/kubelet/images/types.go).
const (
	reasonPullFailed  = "ErrImagePull"
	reasonPullBackOff = "ImagePullBackOff"
	reasonNeverPull   = "ErrImageNeverPull"
)

// imagesReady returns "" if every image of a pod is at hand. If not, it plans the pulls and says what is waited for.
// Pods are created only when their images are here, so that a bad image never costs a pod that serves.
func (p *planner) imagesReady(pod *corev1.Pod) string {
	waiting := ""
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if why := p.imageReady(pod, &list[i]); why != "" && waiting == "" {
				waiting = why
			}
		}
	}
	return waiting
}

// imageReady follows imagePullPolicy as upstream's image manager does (pkg/kubelet/images/image_manager.go).
func (p *planner) imageReady(pod *corev1.Pod, c *corev1.Container) string {
	image := p.observed.Images[c.Image]
	switch {
	case p.present(c, image):
		return ""
	case c.ImagePullPolicy == corev1.PullNever:
		return fmt.Sprintf("%s: image %s is not on the host and imagePullPolicy is Never", reasonNeverPull, c.Image)
	case c.ImagePullPolicy == corev1.PullAlways:
		return p.pull(pod, c, image, "imagePullPolicy is Always")
	default:
		return p.pull(pod, c, image, "it is not on the host")
	}
}

// present tells whether a container may start from the image as it is here.
func (p *planner) present(c *corev1.Container, image runtime.Image) bool {
	if image.ID == "" || c.ImagePullPolicy != corev1.PullAlways {
		return image.ID != ""
	}
	return !image.PulledAt.IsZero() && p.now.Before(image.PulledAt.Add(freshness))
}

func (p *planner) pull(pod *corev1.Pod, c *corev1.Container, image runtime.Image, reason string) string {
	if image.Pulling {
		return fmt.Sprintf("image %s is being pulled", c.Image)
	}
	action := PullImage{Image: c.Image, Secrets: p.pullSecrets(pod), Reason: reason}
	if image.Failures == 0 {
		p.do(action)
		return fmt.Sprintf("image %s is being pulled", c.Image)
	}
	at := image.FailedAt.Add(pullBackoff(image.Failures))
	if p.now.Before(at) {
		p.checkAt(at)
		return fmt.Sprintf("%s: %s", reasonPullBackOff, image.Error)
	}
	action.Reason = fmt.Sprintf("%s; try %d", reason, image.Failures+1)
	p.do(action)
	return fmt.Sprintf("%s: %s", reasonPullFailed, image.Error)
}

// pullBackoff is 10 s, 20 s, 40 s, … 5 min after 1, 2, 3, … failures.
func pullBackoff(failures int) time.Duration {
	wait := initialBackoff
	for ; failures > 1 && wait < maxBackoff; failures-- {
		wait *= 2
	}
	return min(wait, maxBackoff)
}

// imageProblem is what the status of a container says while its image keeps it waiting.
func (p *planner) imageProblem(c *corev1.Container) (reason, message string) {
	image := p.observed.Images[c.Image]
	switch {
	case p.present(c, image):
		return "", ""
	case c.ImagePullPolicy == corev1.PullNever:
		return reasonNeverPull, fmt.Sprintf("Container image %q is not present with pull policy of Never", c.Image)
	case image.Failures == 0:
		return "", ""
	case !image.Pulling && p.now.Before(image.FailedAt.Add(pullBackoff(image.Failures))):
		return reasonPullBackOff, fmt.Sprintf("Back-off pulling image %q: %s: %s", c.Image, reasonPullFailed, image.Error)
	default:
		return reasonPullFailed, image.Error
	}
}

// pullSecrets are the pod's imagePullSecrets, or those of its ServiceAccount where it names none, as upstream's admission
// fills them in (plugin/pkg/admission/serviceaccount).
func (p *planner) pullSecrets(pod *corev1.Pod) []types.NamespacedName {
	refs := pod.Spec.ImagePullSecrets
	if len(refs) == 0 {
		name := cmp.Or(pod.Spec.ServiceAccountName, "default")
		if account, ok := p.find("ServiceAccount", pod.Namespace, name).(*corev1.ServiceAccount); ok {
			refs = account.ImagePullSecrets
		}
	}
	names := make([]types.NamespacedName, 0, len(refs))
	for _, r := range refs {
		names = append(names, types.NamespacedName{Namespace: pod.Namespace, Name: r.Name})
	}
	return sortedNames(names)
}

func sortedNames(names []types.NamespacedName) []types.NamespacedName {
	slices.SortFunc(names, func(a, b types.NamespacedName) int { return cmp.Compare(a.String(), b.String()) })
	return slices.Compact(names)
}
