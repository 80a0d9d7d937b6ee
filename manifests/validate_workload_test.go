package manifests

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

const workloadTemplate = `
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: 'busybox:1'}]}
`

func workloadOf(apiVersion, kind, name, spec string) string {
	return "apiVersion: " + apiVersion + "\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec:" + workloadTemplate + spec
}

const webSelector = "  selector: {matchLabels: {app: web}}\n"

func replicaSet(spec string) string { return workloadOf("apps/v1", "ReplicaSet", "web", spec) }

func controller(spec string) string { return workloadOf("v1", "ReplicationController", "web", spec) }

func statefulSet(spec string) string {
	return workloadOf("apps/v1", "StatefulSet", "web", webSelector+spec)
}

func daemonSet(spec string) string {
	return workloadOf("apps/v1", "DaemonSet", "web", webSelector+spec)
}

// inPod puts fields before the containers of the template.
func inPod(workload, fields string) string {
	return strings.Replace(workload, "{containers:", "{"+fields+", containers:", 1)
}

const labelValue = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end " +
	"with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"

const one = "{accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}"

func TestReplicaSetsAndReplicationControllers(t *testing.T) {
	runCases(t, []validateCase{
		{name: "a ReplicaSet", yaml: replicaSet(webSelector + "  replicas: 2\n  minReadySeconds: 5\n")},
		{name: "numbers", yaml: replicaSet(webSelector + "  replicas: -1\n  minReadySeconds: -1\n"), errors: []string{
			"a.yaml:9: spec.replicas: must be greater than or equal to 0",
			"a.yaml:10: spec.minReadySeconds: must be greater than or equal to 0",
		}},
		{name: "a ReplicaSet without a selector", yaml: replicaSet(""), errors: []string{"a.yaml:4: spec.selector: is missing"}},
		{name: "a ReplicaSet whose selector is empty", yaml: replicaSet("  selector: {}\n"),
			errors: []string{"a.yaml:8: spec.selector: must not be empty: it would select every pod"}},
		{name: "a ReplicaSet with a strategy", yaml: replicaSet(webSelector + "  strategy: {}\n"), errors: []string{"a.yaml:9: spec.strategy: unknown field"}},
		{name: "a ReplicationController without a selector", yaml: controller("")},
		{name: "a ReplicationController whose selector is empty", yaml: controller("  selector: {}\n")},
		{name: "a ReplicationController whose selector does not match", yaml: controller("  selector: {app: api}\n"),
			errors: []string{"a.yaml:6: spec.template.metadata.labels: must match spec.selector (app=api)"}},
		{name: "a ReplicationController whose selector can match nothing", yaml: controller("  selector: {app: a b}\n"),
			errors: []string{"a.yaml:6: spec.template.metadata.labels: must match spec.selector (app=a b)"}},
		{name: "a ReplicationController whose pods have no labels", yaml: strings.Replace(controller(""), "{labels: {app: web}}", "{}", 1),
			errors: []string{"a.yaml:4: spec.selector: is missing"}},
		{name: "a ReplicationController without a template", yaml: strings.Replace(controller("  selector: {app: web}\n"), workloadTemplate, "\n", 1),
			errors: []string{"a.yaml:4: spec.template: is missing"}},
		{name: "a ReplicationController without anything", yaml: "apiVersion: v1\nkind: ReplicationController\nmetadata: {name: web}\n",
			errors: []string{"a.yaml:1: spec.template: is missing"}},
		{name: "pods that end", yaml: inPod(controller(""), "restartPolicy: OnFailure, activeDeadlineSeconds: 5"), errors: []string{
			"a.yaml:7: spec.template.spec.activeDeadlineSeconds: must not be set in a ReplicationController: its pods do not end",
			"a.yaml:7: spec.template.spec.restartPolicy: must be Always in a ReplicationController",
		}},
		{name: "what a pod must not be", yaml: inPod(replicaSet(webSelector), "hostname: Not_A_Label"),
			errors: []string{"a.yaml:7: spec.template.spec.hostname: " + dnsLabel}},
		{name: "a fully qualified hostname", yaml: inPod(replicaSet(webSelector), "setHostnameAsFQDN: true, subdomain: "+strings.Repeat("s", 30)),
			errors: []string{"a.yaml:7: spec.template.spec.setHostnameAsFQDN: the name web-xxxxx." + strings.Repeat("s", 30) +
				".default.svc.cluster.local is too long: a hostname has at most 64 characters, this has 66"}},
	})
}

func TestStatefulSets(t *testing.T) {
	const service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: db}\nspec: {clusterIP: None}\n"
	runCases(t, []validateCase{
		{name: "everything", yaml: inPod(statefulSet(`  serviceName: db
  replicas: 3
  podManagementPolicy: Parallel
  updateStrategy: {rollingUpdate: {partition: 1, maxUnavailable: 50%}}
  revisionHistoryLimit: 0
  minReadySeconds: 1
  ordinals: {start: 5}
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete, whenScaled: Delete}
  volumeClaimTemplates: [{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data, labels: {a: b}}, spec: `+one+`}]
`), "subdomain: db") + service},
		{name: "numbers and words", yaml: statefulSet(`  replicas: -1
  podManagementPolicy: Sequential
  updateStrategy: {rollingUpdate: {partition: -1, maxUnavailable: 0%}}
  revisionHistoryLimit: -1
  minReadySeconds: -1
  ordinals: {start: -1}
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Keep, whenScaled: Recycle}
  serviceName: a.b
`), errors: []string{
			"a.yaml:9: spec.replicas: must be greater than or equal to 0",
			"a.yaml:10: spec.podManagementPolicy: must be one of OrderedReady or Parallel",
			"a.yaml:11: spec.updateStrategy.rollingUpdate.maxUnavailable: must not be 0: no pod could ever be replaced",
			"a.yaml:11: spec.updateStrategy.rollingUpdate.partition: must be greater than or equal to 0",
			"a.yaml:12: spec.revisionHistoryLimit: must be greater than or equal to 0",
			"a.yaml:13: spec.minReadySeconds: must be greater than or equal to 0",
			"a.yaml:14: spec.ordinals.start: must be greater than or equal to 0",
			"a.yaml:15: spec.persistentVolumeClaimRetentionPolicy.whenDeleted: must be one of Retain or Delete",
			"a.yaml:15: spec.persistentVolumeClaimRetentionPolicy.whenScaled: must be one of Retain or Delete",
			"a.yaml:16: spec.serviceName: must not contain dots",
		}},
		{name: "no such strategy", yaml: statefulSet("  updateStrategy: {type: Recreate}\n"),
			errors: []string{"a.yaml:9: spec.updateStrategy.type: must be one of RollingUpdate or OnDelete"}},
		{name: "OnDelete", yaml: statefulSet("  updateStrategy: {type: OnDelete}\n")},
		{name: "OnDelete with rollingUpdate", yaml: statefulSet("  updateStrategy: {type: OnDelete, rollingUpdate: {}}\n"),
			errors: []string{"a.yaml:9: spec.updateStrategy.rollingUpdate: must not be set when the type is OnDelete"}},
		{name: "more than all pods", yaml: statefulSet("  updateStrategy: {rollingUpdate: {maxUnavailable: 101%}}\n"),
			errors: []string{"a.yaml:9: spec.updateStrategy.rollingUpdate.maxUnavailable: must not be more than 100%"}},
		{name: "maxUnavailable in words", yaml: statefulSet("  updateStrategy: {rollingUpdate: {maxUnavailable: some}}\n"),
			errors: []string{"a.yaml:9: spec.updateStrategy.rollingUpdate.maxUnavailable: must be a whole number or a percentage, as 1 or 25%"}},
		{name: "the longest name", yaml: workloadOf("apps/v1", "StatefulSet", strings.Repeat("w", 52), webSelector)},
		{name: "a name too long for the labels of its pods", yaml: workloadOf("apps/v1", "StatefulSet", strings.Repeat("w", 53), webSelector),
			errors: []string{"a.yaml:3: metadata.name: must be no more than 52 characters: the label controller-revision-hash of its pods is the name and up to 11 more"}},
		{name: "a name with a dot", yaml: workloadOf("apps/v1", "StatefulSet", "web.example", webSelector), errors: []string{"a.yaml:3: metadata.name: must not contain dots"}},
		{name: "pods that end", yaml: inPod(statefulSet(""), "restartPolicy: Never"),
			errors: []string{"a.yaml:7: spec.template.spec.restartPolicy: must be Always in a StatefulSet"}},
		{name: "a fully qualified hostname", yaml: inPod(statefulSet("  replicas: 1001\n  ordinals: {start: 8999}\n  serviceName: "+strings.Repeat("s", 33)+"\n"), "setHostnameAsFQDN: true"),
			errors: []string{"a.yaml:7: spec.template.spec.setHostnameAsFQDN: the name web-9999." + strings.Repeat("s", 33) +
				".default.svc.cluster.local is too long: a hostname has at most 64 characters, this has 68"}},
		{name: "a Service that is missing", yaml: statefulSet("  serviceName: db\n"),
			warnings: []string{"a.yaml:9: StatefulSet default/web: spec.serviceName: Service default/db is not in the commit: the pods have no names in DNS"}},
		{name: "a Service of another namespace", yaml: statefulSet("  serviceName: db\n") + strings.Replace(service, "{name: db}", "{name: db, namespace: other}", 1),
			warnings: []string{"a.yaml:9: StatefulSet default/web: spec.serviceName: Service default/db is not in the commit: the pods have no names in DNS"}},
		{name: "names that the pods do not get", yaml: inPod(statefulSet("  serviceName: db\n"), "hostname: host, subdomain: other") + service, warnings: []string{
			"a.yaml:7: StatefulSet default/web: spec.template.spec.hostname: is not used: a pod of a StatefulSet has its own name as hostname",
			"a.yaml:7: StatefulSet default/web: spec.template.spec.subdomain: is not used: pods of a StatefulSet have its serviceName as subdomain",
		}},
	})
}

func TestVolumeClaimTemplates(t *testing.T) {
	mounted := func(spec string) string {
		return strings.Replace(statefulSet(spec), "image: 'busybox:1'", "image: 'busybox:1', volumeMounts: [{name: data, mountPath: /data}]", 1)
	}
	data := func(metadata, spec string) string {
		return "  volumeClaimTemplates:\n  - metadata: {name: data" + metadata + "}\n    spec: " + spec + "\n"
	}
	const reader = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers: [{name: a, image: 'a:1'}]\n" +
		"  volumes: [{name: v, persistentVolumeClaim: {claimName: NAME}}]\n"
	missing := func(name string) []string {
		return []string{"a.yaml:18: spec.volumes[0].persistentVolumeClaim.claimName: PersistentVolumeClaim default/" + name + " is not in the commit: add it"}
	}
	runCases(t, []validateCase{
		{name: "a claim is a volume", yaml: mounted(data("", one))},
		{name: "a volume that is neither", yaml: mounted(""),
			errors: []string{"a.yaml:7: spec.template.spec.containers[0].volumeMounts[0].name: there is no volume data in this pod"}},
		{name: "claims are checked as claims", yaml: statefulSet(`  volumeClaimTemplates:
  - metadata: {labels: {a: -}}
    spec: {accessModes: [Often], resources: {requests: {storage: 0}}, storageClassName: A}
  - metadata: {name: a.b}
    spec: {volumeMode: Block}
  - metadata: {name: same}
    spec: ` + one + `
  - metadata: {name: same}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, volumeName: gone}
`), errors: []string{
			"a.yaml:10: spec.volumeClaimTemplates[0].metadata.labels[a]: " + labelValue,
			"a.yaml:10: spec.volumeClaimTemplates[0].metadata.name: is missing",
			"a.yaml:11: spec.volumeClaimTemplates[0].spec.accessModes[0]: must be one of ReadWriteOnce, ReadOnlyMany, ReadWriteMany or ReadWriteOncePod",
			"a.yaml:11: spec.volumeClaimTemplates[0].spec.resources.requests.storage: must be greater than 0",
			"a.yaml:11: spec.volumeClaimTemplates[0].spec.storageClassName: " + dnsSubdomain,
			"a.yaml:12: spec.volumeClaimTemplates[1].metadata.name: must not contain dots",
			"a.yaml:13: spec.volumeClaimTemplates[1].spec.accessModes: at least one access mode is required",
			"a.yaml:13: spec.volumeClaimTemplates[1].spec.resources.requests.storage: is missing",
			"a.yaml:13: spec.volumeClaimTemplates[1].spec.volumeMode: not supported: there are no volumes that are block devices; only Filesystem",
			"a.yaml:16: spec.volumeClaimTemplates[3].metadata.name: claim same is there twice",
			"a.yaml:17: spec.volumeClaimTemplates[3].spec.volumeName: PersistentVolume gone is not in the commit: add it, or leave the name out to get a new volume",
		}},
		{name: "a size that is none", yaml: statefulSet(data("", "{accessModes: [ReadWriteOnce], resources: {requests: {storage: lots}}}")),
			errors: []string{"a.yaml:11: spec.volumeClaimTemplates[0].spec.resources.requests.storage: must be a quantity, as 100m, 0.5 or 64Mi"}},
		{name: "one volume for all", yaml: statefulSet(data(", annotations: {podyard.dev/volume: old}", one)), errors: []string{
			"a.yaml:10: spec.volumeClaimTemplates[0].metadata.annotations[podyard.dev/volume]: must not be set in a template: " +
				"all pods would have the same volume; set it in a PersistentVolumeClaim named data-web-0 instead"}},
		{name: "metadata that only a cluster writes", yaml: statefulSet(data(", namespace: other, creationTimestamp: null, uid: x", one)), warnings: []string{
			"a.yaml:10: StatefulSet default/web: spec.volumeClaimTemplates[0].metadata.uid: only a cluster writes it"}},
		{name: "a claim takes the place of a volume", yaml: inPod(mounted(data("", one)), "volumes: [{name: data, configMap: {name: gone}}]"), warnings: []string{
			"a.yaml:7: StatefulSet default/web: spec.template.spec.volumes[0]: is not used: volumeClaimTemplates have a claim of this name, which takes its place"}},
		{name: "a claim that is made can be used by others", yaml: statefulSet(data("", one)) + strings.Replace(reader, "NAME", "data-web-12", 1)},
		{name: "a claim whose ordinal is none", yaml: statefulSet(data("", one)) + strings.Replace(reader, "NAME", "data-web-01", 1), errors: missing("data-web-01")},
		{name: "a claim of another set", yaml: statefulSet(data("", one)) + strings.Replace(reader, "NAME", "data-api-0", 1), errors: missing("data-api-0")},
		{name: "a claim of another namespace", yaml: strings.Replace(statefulSet(data("", one)), "{name: web}", "{name: web, namespace: x}", 1) +
			strings.Replace(reader, "NAME", "data-web-0", 1), errors: missing("data-web-0")},
	})
}

func TestDaemonSets(t *testing.T) {
	const (
		both = "must be 0 unless maxUnavailable is 0 (it defaults to 1): the new pod comes before the old one goes, or after"
		none = "must not be 0 when maxSurge is 0: no pod could ever be replaced"
	)
	update := func(fields string) string { return daemonSet("  updateStrategy: {rollingUpdate: {" + fields + "}}\n") }
	const at = "a.yaml:9: spec.updateStrategy.rollingUpdate."
	runCases(t, []validateCase{
		{name: "everything", yaml: daemonSet("  minReadySeconds: 5\n  revisionHistoryLimit: 0\n  updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 10%}}\n")},
		{name: "surge", yaml: update("maxSurge: 1, maxUnavailable: 0")},
		{name: "both are zero", yaml: update("maxSurge: 0%, maxUnavailable: 0"), errors: []string{at + "maxUnavailable: " + none}},
		{name: "neither is zero", yaml: update("maxSurge: 1, maxUnavailable: 1"), errors: []string{at + "maxSurge: " + both}},
		{name: "surge with the default of maxUnavailable", yaml: update("maxSurge: 10%"), errors: []string{at + "maxSurge: " + both}},
		{name: "more than all", yaml: update("maxSurge: 101%, maxUnavailable: 0"), errors: []string{at + "maxSurge: must not be more than 100%"}},
		{name: "less than none", yaml: update("maxSurge: -1, maxUnavailable: x"), errors: []string{
			at + "maxSurge: must be greater than or equal to 0",
			at + "maxUnavailable: must be a whole number or a percentage, as 1 or 25%",
		}},
		{name: "OnDelete", yaml: daemonSet("  updateStrategy: {type: OnDelete, rollingUpdate: {maxUnavailable: 0}}\n")},
		{name: "no such strategy", yaml: daemonSet("  updateStrategy: {type: Recreate}\n"),
			errors: []string{"a.yaml:9: spec.updateStrategy.type: must be one of RollingUpdate or OnDelete"}},
		{name: "numbers", yaml: daemonSet("  minReadySeconds: -1\n  revisionHistoryLimit: -1\n"), errors: []string{
			"a.yaml:9: spec.minReadySeconds: must be greater than or equal to 0",
			"a.yaml:10: spec.revisionHistoryLimit: must be greater than or equal to 0",
		}},
		{name: "replicas", yaml: daemonSet("  replicas: 1\n"), errors: []string{"a.yaml:9: spec.replicas: unknown field"}},
		{name: "pods that end", yaml: inPod(daemonSet(""), "restartPolicy: Never"),
			errors: []string{"a.yaml:7: spec.template.spec.restartPolicy: must be Always in a DaemonSet"}},
	})
}

// TestTemplatesOfAllWorkloadsAreWalked: what the pods of any kind refer to must be there, and what they want in vain is
// warned of.
func TestTemplatesOfAllWorkloadsAreWalked(t *testing.T) {
	for _, kind := range []string{"apps/v1 Deployment", "apps/v1 ReplicaSet", "v1 ReplicationController", "apps/v1 StatefulSet", "apps/v1 DaemonSet"} {
		apiVersion, name, _ := strings.Cut(kind, " ")
		selector := webSelector
		if name == "ReplicationController" {
			selector = ""
		}
		of := func(fields string) string {
			return strings.Replace(inPod(workloadOf(apiVersion, name, "web", selector), fields), "{labels: {app: web}}", "{labels: {app: web}, uid: x}", 1)
		}
		badLabels := []string{"a.yaml:6: spec.template.metadata.labels[b]: " + labelValue}
		if name == "ReplicationController" { // its own labels are those of the template
			badLabels = append([]string{"a.yaml:3: metadata.labels[b]: " + labelValue}, badLabels...)
		}
		runCases(t, []validateCase{
			{name: name + " with what is missing", yaml: of("volumes: [{name: c, configMap: {name: gone}}, {name: d, persistentVolumeClaim: {claimName: gone}}]"), errors: []string{
				"a.yaml:7: spec.template.spec.volumes[0].configMap.name: ConfigMap default/gone is not in the commit: add it, or mark the reference optional",
				"a.yaml:7: spec.template.spec.volumes[1].persistentVolumeClaim.claimName: PersistentVolumeClaim default/gone is not in the commit: add it",
			}},
			{name: name + " with labels that are none", yaml: strings.Replace(of("dnsPolicy: Default"), "app: web}, uid: x", "app: web, b: -}", 1),
				errors: badLabels},
			{name: name + " with what is not used", yaml: of("imagePullSecrets: [{name: gone}], automountServiceAccountToken: true"), warnings: []string{
				"a.yaml:6: " + name + " default/web: spec.template.metadata.uid: only a cluster writes it",
				"a.yaml:7: " + name + " default/web: spec.template.spec.automountServiceAccountToken: there is no API server: no token is mounted",
				"a.yaml:7: " + name + " default/web: spec.template.spec.imagePullSecrets[0].name: Secret default/gone is not in the commit: images are pulled without it",
			}},
		})
	}
}

func TestTemplatesAreThoseOfAllKindsInApplyOrder(t *testing.T) {
	set, errs := assembleText(t, strings.Join([]string{daemonSet(""), statefulSet(""), deploymentHead + webSelector, replicaSet(webSelector),
		controller(""), app, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"}, "---\n"))
	if errs != nil {
		t.Fatal(errs)
	}
	var got []string
	for _, template := range Templates(set) {
		got = append(got, template.Object.Ref.String()+" app="+template.Meta.Labels["app"]+" "+template.Spec.Containers[0].Image)
	}
	want := []string{"Pod default/p app= busybox", "ReplicationController default/web app=web busybox:1", "ReplicaSet default/web app=web busybox:1",
		"Deployment default/web app=web busybox", "StatefulSet default/web app=web busybox:1", "DaemonSet default/web app=web busybox:1"}
	compareLines(t, "templates", got, want)
	if got := Templates(nil); got != nil {
		t.Errorf("templates of no Set: %v", got)
	}
	if rc := All[*corev1.ReplicationController](set)[0]; !slices.Equal(sortedKeys(rc.Labels), []string{"app"}) {
		t.Errorf("labels %v", rc.Labels)
	}
}
