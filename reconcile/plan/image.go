package plan

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// freshness is for how long an answer of the registry counts for imagePullPolicy Always. The pods of one rollout step
// then ask once together and run the same bytes, and a registry that limits pulls is spared; the kubelet would ask once
// for each pod.
const freshness = time.Minute

// imagesReady returns "" if every image of a pod is at hand. If not, it plans the pulls and says what is waited for.
// Pods are created only when their images are here, so that a bad image never costs a pod that serves.
func (p *planner) imagesReady(spec *corev1.PodSpec) string {
	waiting := ""
	for i := range spec.Containers {
		if why := p.imageReady(&spec.Containers[i]); why != "" && waiting == "" {
			waiting = why
		}
	}
	return waiting
}

// imageReady follows imagePullPolicy as upstream's image manager does (pkg/kubelet/images/image_manager.go).
func (p *planner) imageReady(c *corev1.Container) string {
	image := p.observed.Images[c.Image]
	switch c.ImagePullPolicy {
	case corev1.PullNever:
		if image.ID == "" {
			return fmt.Sprintf("ErrImageNeverPull: image %s is not on the host and imagePullPolicy is Never", c.Image)
		}
		return ""
	case corev1.PullAlways:
		if image.ID != "" && !image.PulledAt.IsZero() && p.now.Before(image.PulledAt.Add(freshness)) {
			return ""
		}
		return p.pull(c, image, "imagePullPolicy is Always")
	default:
		if image.ID != "" {
			return ""
		}
		return p.pull(c, image, "it is not on the host")
	}
}

func (p *planner) pull(c *corev1.Container, image runtime.Image, reason string) string {
	if image.Pulling {
		return fmt.Sprintf("image %s is being pulled", c.Image)
	}
	if image.Failures == 0 {
		p.do(PullImage{Image: c.Image, Reason: reason})
		return fmt.Sprintf("image %s is being pulled", c.Image)
	}
	at := image.FailedAt.Add(pullBackoff(image.Failures))
	if p.now.Before(at) {
		p.checkAt(at)
		return fmt.Sprintf("ImagePullBackOff: %s", image.Error)
	}
	p.do(PullImage{Image: c.Image, Reason: fmt.Sprintf("%s; try %d", reason, image.Failures+1)})
	return fmt.Sprintf("ErrImagePull: %s", image.Error)
}

// pullBackoff is 10 s, 20 s, 40 s, … 5 min after 1, 2, 3, … failures.
func pullBackoff(failures int) time.Duration {
	wait := initialBackoff
	for ; failures > 1 && wait < maxBackoff; failures-- {
		wait *= 2
	}
	return min(wait, maxBackoff)
}
