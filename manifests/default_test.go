package manifests

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// defaultCase is a PodSpec as it is written, and the same as it is known with defaults.
const (
	sparseSpec = `{
  "serviceAccount": "robot", "hostNetwork": true,
  "initContainers": [{"name": "i", "image": "a:1", "ports": [{"containerPort": 81}]}],
  "containers": [{"name": "c", "image": "a",
    "ports": [{"containerPort": 80}],
    "resources": {"limits": {"cpu": "0.0001", "memory": "1Gi"}},
    "readinessProbe": {"grpc": {"port": 1}},
    "lifecycle": {"postStart": {"httpGet": {"port": 80}}, "preStop": {"sleep": {"seconds": 1}}}}],
  "volumes": [
    {"name": "none"},
    {"name": "h", "hostPath": {"path": "/h"}},
    {"name": "d", "downwardAPI": {"items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    {"name": "p", "projected": {"sources": [{"downwardAPI": {"items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.name"}}]}}]}},
    {"name": "e", "ephemeral": {"volumeClaimTemplate": {"spec": {"resources": {}}}}}]
}`
	fullSpec = `{
  "serviceAccountName": "robot", "hostNetwork": true, "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
  "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", "enableServiceLinks": true, "securityContext": {},
  "initContainers": [{"name": "i", "image": "a:1", "ports": [{"containerPort": 81, "hostPort": 81, "protocol": "TCP"}],
    "imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}],
  "containers": [{"name": "c", "image": "a", "imagePullPolicy": "Always",
    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
    "ports": [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}],
    "resources": {"limits": {"cpu": "1m", "memory": "1Gi"}, "requests": {"cpu": "1m", "memory": "1Gi"}},
    "readinessProbe": {"grpc": {"port": 1, "service": ""}, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
    "lifecycle": {"postStart": {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}}, "preStop": {"sleep": {"seconds": 1}}}}],
  "volumes": [
    {"name": "none", "emptyDir": {}},
    {"name": "h", "hostPath": {"path": "/h", "type": ""}},
    {"name": "d", "downwardAPI": {"defaultMode": 420, "items": [{"path": "a", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}]}},
    {"name": "p", "projected": {"defaultMode": 420, "sources": [{"downwardAPI": {"items": [{"path": "a", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}]}}]}},
    {"name": "e", "ephemeral": {"volumeClaimTemplate": {"spec": {"resources": {}, "volumeMode": "Filesystem"}}}}]
}`
)

func specOf(t *testing.T, text string) *corev1.PodSpec {
	t.Helper()
	var spec corev1.PodSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		t.Fatal(err)
	}
	return &spec
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDefaultsAreUpstreams(t *testing.T) {
	spec := specOf(t, sparseSpec)
	defaults{}.podSpec(spec)
	if got, want := asJSON(t, spec), asJSON(t, specOf(t, fullSpec)); got != want {
		t.Errorf("%s\nwant:\n%s", got, want)
	}
}

func TestDefaultsFilledInTwiceAreTheSame(t *testing.T) {
	spec := specOf(t, fullSpec)
	defaults{}.podSpec(spec)
	if got, want := asJSON(t, spec), asJSON(t, specOf(t, fullSpec)); got != want {
		t.Errorf("%s\nwant:\n%s", got, want)
	}
}

func TestTheHashOfATemplateDoesNotDependOnDefaults(t *testing.T) {
	sparse := corev1.PodTemplateSpec{Spec: *specOf(t, sparseSpec)}
	full := corev1.PodTemplateSpec{Spec: *specOf(t, fullSpec)}
	full.Labels = map[string]string{"pod-template-hash": "x"}
	before := asJSON(t, full)
	if got, want := TemplateHash(&full), TemplateHash(&sparse); got != want {
		t.Errorf("hash %s with defaults, %s without", got, want)
	}
	if asJSON(t, full) != before {
		t.Error("the template was changed")
	}
	full.Spec.Containers[0].Lifecycle.PreStop.Sleep.Seconds = 2
	if TemplateHash(&full) == TemplateHash(&sparse) {
		t.Error("another template has the same hash")
	}
}

func TestClaimsWithoutAClassHaveTheDefaultOfTheCommit(t *testing.T) {
	const claim = "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: %s}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}%s}\n"
	class := func(name, isDefault string) string {
		return "---\napiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: " + name + ", annotations: {storageclass.kubernetes.io/is-default-class: '" + isDefault + "'}}\nprovisioner: x\n"
	}
	claims := fmt.Sprintf(claim, "a", "") + fmt.Sprintf(claim, "b", ", storageClassName: ''") + fmt.Sprintf(claim, "c", ", storageClassName: other")
	for classes, want := range map[string][]string{
		"": {"none", "", "other"},
		class("z", "false") + class("fast", "true"): {"fast", "", "other"},
	} {
		set, errs := assembleText(t, claims+classes)
		if errs != nil {
			t.Fatal(errs)
		}
		var got []string
		for _, c := range All[*corev1.PersistentVolumeClaim](set) {
			if c.Spec.StorageClassName == nil {
				got = append(got, "none")
				continue
			}
			got = append(got, *c.Spec.StorageClassName)
		}
		if !slices.Equal(got, want) {
			t.Errorf("classes %q, want %q", got, want)
		}
	}
}
