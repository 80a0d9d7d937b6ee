package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// Debug starts a container in a running pod that stands in no manifest, and returns its ID. It is never restarted, is not
// probed, and goes with the pod.
func (r *Reconciler) Debug(ctx context.Context, namespace, pod string, c corev1.EphemeralContainer) (string, error) {
	state, err := r.state(ctx)
	if err != nil {
		return "", err
	}
	found := r.runningPod(state, namespace, pod)
	if found == nil {
		return "", fmt.Errorf("no pod %s/%s runs: %w", namespace, pod, runtime.ErrNotFound)
	}
	spec := corev1.Container(c.EphemeralContainerCommon)
	target, err := debugTarget(found, spec.Name, c.TargetContainerName)
	if err != nil {
		return "", err
	}
	if err := r.debugImage(ctx, r.current(), found.Manifest, &spec); err != nil {
		return "", err
	}
	config, err := origin{set: r.current(), state: state, services: r.services(), ip: found.IP}.resolve(found.Manifest, &spec)
	if err != nil {
		return "", err
	}
	config.Ephemeral, config.Target = true, target
	id, err := r.runtime.CreateContainer(ctx, found.ID, config)
	if err != nil {
		return "", err
	}
	if err := r.runtime.StartContainer(ctx, id); err != nil {
		return "", err
	}
	r.record(Event{Type: corev1.EventTypeNormal, Reason: "Started", Object: "Pod " + namespace + "/" + pod,
		Message: fmt.Sprintf("start container %s/%s/%s: for debugging, image %s", namespace, pod, spec.Name, spec.Image)})
	r.lookAgain()
	return id, nil
}

// runningPod is the pod of a name that runs and stays; one on its way out may have the same name.
func (r *Reconciler) runningPod(state *runtime.State, namespace, name string) *runtime.Pod {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range state.Pods {
		p := &state.Pods[i]
		if p.Manifest.Namespace == namespace && p.Manifest.Name == name && p.Phase == runtime.Running && !r.stopping[p.ID] {
			return p
		}
	}
	return nil
}

// debugTarget checks the container's name and finds the ID of the one it is to look at; empty for none.
func debugTarget(pod *runtime.Pod, name, target string) (id string, err error) {
	object := fmt.Sprintf("pod %s/%s", pod.Manifest.Namespace, pod.Manifest.Name)
	if name == "" {
		return "", fmt.Errorf("debug %s: the container has no name", object)
	}
	taken := containerSpec(pod.Manifest, name) != nil
	for _, c := range pod.Containers {
		taken = taken || c.Name == name
		if c.Name == target && c.State == runtime.Running {
			id = c.ID
		}
	}
	switch {
	case taken:
		return "", fmt.Errorf("%s has a container named %s already: choose another name", object, name)
	case target != "" && id == "":
		return "", fmt.Errorf("no container %s runs in %s", target, object)
	}
	return id, nil
}

// debugImage pulls the image as its policy asks, with the pod's imagePullSecrets.
func (r *Reconciler) debugImage(ctx context.Context, set *manifests.Set, pod *corev1.Pod, c *corev1.Container) error {
	if c.Image == "" {
		return fmt.Errorf("debug pod %s/%s: no image is given", pod.Namespace, pod.Name)
	}
	if !alwaysPulled(c) {
		_, err := r.runtime.ImageStatus(ctx, c.Image)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, runtime.ErrNotFound):
			return err
		case c.ImagePullPolicy == corev1.PullNever:
			return fmt.Errorf("image %s is not on the host and imagePullPolicy is Never", c.Image)
		}
	}
	credentials, err := credentialsOf(set, pullSecrets(set, pod.Namespace, &pod.Spec))
	if err == nil {
		_, err = r.runtime.PullImage(ctx, c.Image, credentials)
	}
	return err
}

// alwaysPulled: without a policy, an image with the tag latest or none is asked for each time. Upstream: SetDefaults_Container
// (pkg/apis/core/v1/defaults.go).
func alwaysPulled(c *corev1.Container) bool {
	if c.ImagePullPolicy != "" {
		return c.ImagePullPolicy == corev1.PullAlways
	}
	name, digest, _ := strings.Cut(c.Image, "@")
	_, tag, tagged := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")
	return tag == "latest" || !tagged && digest == ""
}
