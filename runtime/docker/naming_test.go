package docker

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNamesAreThoseOfDockershim(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", UID: "0a1b"}}
	if got, want := sandboxName(pod), "k8s_POD_web-0_shop_0a1b_0"; got != want {
		t.Errorf("sandbox: %s, want %s", got, want)
	}
	if got, want := containerName("main", pod, 3), "k8s_main_web-0_shop_0a1b_3"; got != want {
		t.Errorf("container: %s, want %s", got, want)
	}
	labels := names{"podyard"}.containerLabels(pod, "5a5a", "main", 3)
	for key, want := range map[string]string{
		"io.kubernetes.pod.name": "web-0", "io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.uid": "0a1b",
		"io.kubernetes.container.name": "main", "io.kubernetes.docker.type": "container", "io.kubernetes.sandbox.id": "5a5a",
		"annotation.io.kubernetes.container.restartCount": "3", "podyard.dev/instance": "podyard", "podyard.dev/attempt": "3",
	} {
		if labels[key] != want {
			t.Errorf("label %s: %q, want %q", key, labels[key], want)
		}
	}
}

func TestInstancesHaveNamesOfTheirOwn(t *testing.T) {
	const sha = "0123456789abcdef"
	for instance, want := range map[string][4]string{
		"podyard": {"podyard", "podyard-gateway", "podyard-infra:0123456789ab", "podyard_podyard_uid_data"},
		"staging": {"podyard-staging", "podyard-staging-gateway", "podyard-infra:staging-0123456789ab", "podyard_staging_uid_data"},
	} {
		n := names{instance}
		if got := [4]string{n.network(), n.holder(), n.infra(sha), n.volume("uid", "data")}; got != want {
			t.Errorf("%s: %v, want %v", instance, got, want)
		}
	}
}
