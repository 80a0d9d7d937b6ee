package manifests

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

func TestDefaultsOfWorkloadsAreUpstreams(t *testing.T) {
	const pod = `"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "a", "image": "a:1", "imagePullPolicy": "IfNotPresent",
		"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}]`
	const template = `"template": {` + pod + `}}`
	const full = `"template": {` + pod + `,
		"restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
		"enableServiceLinks": true, "securityContext": {}}}`
	const fullJob = `"parallelism": 1, "completionMode": "NonIndexed", "suspend": false, "manualSelector": false`
	const fullOfOne = `"replicas": 1, ` + full
	for _, c := range []struct{ name, kind, spec, want string }{
		{"a ReplicaSet", "ReplicaSet", `{` + template + `}`, `{` + fullOfOne + `}`},
		{"no replicas", "ReplicaSet", `{"replicas": 0, ` + template + `}`, `{"replicas": 0, ` + full + `}`},
		{"a ReplicationController", "ReplicationController", `{` + template + `}`, `{"selector": {"app": "web"}, ` + fullOfOne + `}`},
		{"a ReplicationController with a selector", "ReplicationController", `{"selector": {"a": "b"}, ` + template + `}`, `{"selector": {"a": "b"}, ` + fullOfOne + `}`},
		{"a StatefulSet", "StatefulSet", `{` + template + `, "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {}}]}`,
			`{"podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
			"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 1}},
			"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
			"volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {"volumeMode": "Filesystem"}}], ` + fullOfOne + `}`},
		{"a StatefulSet that says half", "StatefulSet", `{` + template + `, "updateStrategy": {"type": "RollingUpdate"}, "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}`,
			`{"podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
			"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 1}},
			"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Delete"}, ` + fullOfOne + `}`},
		{"a StatefulSet that is updated by hand", "StatefulSet", `{` + template + `, "updateStrategy": {"type": "OnDelete"}}`,
			`{"podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10, "updateStrategy": {"type": "OnDelete"},
			"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"}, ` + fullOfOne + `}`},
		{"a DaemonSet", "DaemonSet", `{` + template + `}`,
			`{"revisionHistoryLimit": 10, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}, ` + full + `}`},
		{"a DaemonSet that is updated by hand", "DaemonSet", `{` + template + `, "updateStrategy": {"type": "OnDelete"}}`,
			`{"revisionHistoryLimit": 10, "updateStrategy": {"type": "OnDelete"}, ` + full + `}`},
		{"a Job", "Job", `{` + template + `}`, `{"completions": 1, ` + fullJob + `, "podReplacementPolicy": "TerminatingOrFailed", "backoffLimit": 6, ` + full + `}`},
		{"a Job with a parallelism", "Job", `{"parallelism": 3, ` + template + `}`,
			`{"parallelism": 3, ` + fullJob[len(`"parallelism": 1, `):] + `, "podReplacementPolicy": "TerminatingOrFailed", "backoffLimit": 6, ` + full + `}`},
		{"a Job with a limit for each index", "Job", `{"completionMode": "Indexed", "completions": 2, "backoffLimitPerIndex": 1, ` + template + `}`,
			`{"completions": 2, "backoffLimitPerIndex": 1, "podReplacementPolicy": "TerminatingOrFailed", "backoffLimit": 2147483647, ` +
				strings.Replace(fullJob, "NonIndexed", "Indexed", 1) + `, ` + full + `}`},
		{"a Job with a policy", "Job", `{"podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}, ` + template + `}`,
			`{"completions": 1, ` + fullJob + `, "podReplacementPolicy": "Failed", "backoffLimit": 6,
			"podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]}, ` + full + `}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, want := newWorkload(t, c.kind, c.spec), newWorkload(t, c.kind, c.want)
			setDefaults(got)
			if c.kind == "ReplicationController" || c.kind == "Job" {
				metaOf(want).Labels = map[string]string{"app": "web"}
			}
			if got, want := asJSON(t, got), asJSON(t, want); got != want {
				t.Errorf("%s\nwant:\n%s", got, want)
			}
			setDefaults(got)
			if got, want := asJSON(t, got), asJSON(t, want); got != want {
				t.Errorf("a second time: %s\nwant:\n%s", got, want)
			}
		})
	}
}

// newWorkload decodes an object of a kind that has this spec.
func newWorkload(t *testing.T, name, spec string) any {
	t.Helper()
	i := slices.IndexFunc(supportedKinds, func(k kind) bool { return k.name == name })
	value := supportedKinds[i].newObject()
	if err := json.Unmarshal([]byte(`{"spec": `+spec+`}`), value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestAReplicationControllerKeepsItsOwnLabels(t *testing.T) {
	set, errs := assembleText(t, "apiVersion: v1\nkind: ReplicationController\nmetadata: {name: web, labels: {a: b}}\nspec:"+workloadTemplate)
	if errs != nil {
		t.Fatal(errs)
	}
	controller := All[*corev1.ReplicationController](set)[0]
	if len(controller.Labels) != 1 || controller.Labels["a"] != "b" {
		t.Errorf("labels %v", controller.Labels)
	}
	controller.Spec.Selector["app"] = "other"
	if controller.Spec.Template.Labels["app"] != "web" {
		t.Error("selector and template share their labels")
	}
}

func TestClaimsOfAStatefulSetHaveTheDefaultClassOfTheCommit(t *testing.T) {
	set, errs := assembleText(t, statefulSet(`  volumeClaimTemplates:
  - {metadata: {name: a}, spec: `+one+`}
  - {metadata: {name: b}, spec: {storageClassName: '', accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
`)+"---\napiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: fast, annotations: {storageclass.kubernetes.io/is-default-class: 'true'}}\nprovisioner: x\n")
	if errs != nil {
		t.Fatal(errs)
	}
	claims := All[*appsv1.StatefulSet](set)[0].Spec.VolumeClaimTemplates
	if a, b := *claims[0].Spec.StorageClassName, *claims[1].Spec.StorageClassName; a != "fast" || b != "" {
		t.Errorf("classes %q and %q", a, b)
	}
}
