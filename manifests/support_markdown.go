package manifests

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// supportIntro is the top of the page.
const supportIntro = `# Kinds and fields

This page is written from the table in ` + "`manifests/support.go`" + `; a test keeps the two equal.

Podyard reads Kubernetes manifests as they are. Of each field it says one of these:

* **honoured**: it means what it means in a cluster;
* **ignored with a warning**: the manifest is accepted; ` + "`podyard render`, `podyard plan`" + ` and the status page show the warning;
* **ignored**: accepted without a word, because nobody would expect it to do anything, or because one host fulfils it by itself;
* **refused**: the commit is refused and changes nothing that runs, because the application would not be what its manifest says.

A field that does not exist in Kubernetes is an error. Values to which Kubernetes defaults (empty lists and maps, false,
those named below) are always accepted. ` + "`[]`" + ` stands for the items of a list, ` + "`*`" + ` for the keys of a map; an
entry covers all fields below it.
`

// supportSections are the tables of fields, in the order of the page. where names the field below which they lie.
var supportSections = []struct {
	title, where string
	fields       []rule
}{
	{"Every object", "the object; ConfigMaps and Secrets have no status", slices.Concat(objectFields, statusFields)},
	{"Namespace", "the object", namespaceFields},
	{"ConfigMap", "the object", configMapFields},
	{"Secret", "the object", secretFields},
	{"Service", "`spec`", serviceFields},
	{"Ingress", "`spec`", ingressFields},
	{"IngressClass", "`spec`", ingressClassFields},
	{"Endpoints", "the object", endpointsFields},
	{"EndpointSlice", "the object", endpointSliceFields},
	{"Deployment", "`spec`; for `template` see Pod template", withoutPods(deploymentFields)},
	{"ReplicaSet", "`spec`; for `template` see Pod template", withoutPods(replicaSetFields)},
	{"ReplicationController", "`spec`; for `template` see Pod template", withoutPods(replicationControllerFields)},
	{"StatefulSet", "`spec`; for `template` see Pod template, for `volumeClaimTemplates[].spec` PersistentVolumeClaim", withoutPods(statefulSetFields)},
	{"DaemonSet", "`spec`; for `template` see Pod template", withoutPods(daemonSetFields)},
	{"Job", "`spec`; for `template` see Pod template", withoutPods(jobFields)},
	{"HorizontalPodAutoscaler", "`spec`; version 1 has `targetCPUUtilizationPercentage` instead of `metrics` and `behavior`", autoscalerFields},
	{"CronJob", "`spec`; for `jobTemplate.spec` see Job", withoutJobs(cronJobFields)},
	{"Pod template", "`spec` of the kinds above; for `template.spec` see Pod", templateMetadata},
	{"Pod", "`spec` of a Pod, `spec.template.spec` of the kinds that make pods; `initContainers[]` have those of `containers[]`",
		slices.DeleteFunc(slices.Clone(podFields), inInitContainer)},
	{"PersistentVolumeClaim", "`spec`", claimFields},
	{"PersistentVolume", "`spec`", persistentFields},
	{"StorageClass", "the object", storageClassFields},
	{"RuntimeClass", "the object", runtimeClassFields},
	{"ServiceAccount", "the object", serviceAccountFields},
	{"LimitRange", "`spec`", limitRangeFields},
	{"ResourceQuota", "`spec`", resourceQuotaFields},
	{"PodDisruptionBudget", "`spec`", disruptionBudgetFields},
	{"PriorityClass", "the object", priorityClassFields},
	{"Role and ClusterRole", "the object", slices.Concat(roleFields, clusterRoleFields)},
	{"RoleBinding and ClusterRoleBinding", "the object", bindingFields},
}

func inInitContainer(r rule) bool { return strings.HasPrefix(r.path, "initContainers[].") }

// SupportMarkdown is docs/support.md: the table of kinds and fields for people.
func SupportMarkdown() []byte {
	var out bytes.Buffer
	out.WriteString(supportIntro)
	out.WriteString("\n## Kinds\n\nAn object of any other kind is reported Unsupported and does not stop the rest.\n\n")
	out.WriteString("| Kind | apiVersion | | |\n|---|---|---|---|\n")
	for _, k := range kinds {
		fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", k.name, k.apiVersion, k.word(), k.why)
	}
	writeAnnotations(&out)
	for _, s := range supportSections {
		fmt.Fprintf(&out, "\n## %s\n\nFields of %s.\n\n| Field | | |\n|---|---|---|\n", s.title, s.where)
		sorted := slices.Clone(s.fields)
		slices.SortStableFunc(sorted, func(a, b rule) int { return cmp.Compare(a.path, b.path) })
		for _, r := range sorted {
			fmt.Fprintf(&out, "| `%s` | %s | %s |\n", r.path, r.verdict, r.remark())
		}
	}
	return out.Bytes()
}

// word is the verdict on a kind.
func (k kind) word() string {
	if k.verdict == ignored {
		return "Unsupported"
	}
	return string(k.verdict)
}

// remark is the reason, with the values to which the rule is limited.
func (r rule) remark() string {
	switch {
	case r.only != nil:
		return fmt.Sprintf("if %s: %s", valueWords(r.only), r.why)
	case r.unless != nil:
		return fmt.Sprintf("unless %s: %s", valueWords(r.unless), r.why)
	}
	return r.why
}

func valueWords(values []any) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = fmt.Sprintf("`%v`", v)
	}
	return words(out)
}
