package manifests

import (
	"slices"
	"strings"
)

// deploymentFields are those of a Deployment's spec.
var deploymentFields = slices.Concat(
	honour("replicas", "minReadySeconds", "paused", "progressDeadlineSeconds", "revisionHistoryLimit"),
	honour("strategy.type", "strategy.rollingUpdate.{maxSurge,maxUnavailable}"),
	fixedSelectorFields,
	templateFields,
)

// replicaSetFields are those of a ReplicaSet's spec.
var replicaSetFields = slices.Concat(
	honour("replicas", "minReadySeconds"),
	fixedSelectorFields,
	templateFields,
)

// replicationControllerFields are those of a ReplicationController's spec.
var replicationControllerFields = slices.Concat(
	honour("replicas", "minReadySeconds"),
	honourWith("if it is missing, the labels of the template", "selector.*"),
	templateFields,
)

// statefulSetFields are those of a StatefulSet's spec.
var statefulSetFields = slices.Concat(
	honour("replicas", "minReadySeconds", "podManagementPolicy", "ordinals.start"),
	noControllerRevisions,
	honourWith("pods have names in DNS only if the Service is in the commit", "serviceName"),
	honour("updateStrategy.type", "updateStrategy.rollingUpdate.{partition,maxUnavailable}"),
	honour("persistentVolumeClaimRetentionPolicy.{whenDeleted,whenScaled}"),
	fixedSelectorFields,
	templateFields,
	under("volumeClaimTemplates[]", slices.Concat(
		ignoreSilently("they are claims", "apiVersion", "kind"),
		honourWith("the name of a claim is this, that of the StatefulSet and an ordinal", "metadata.name"),
		ignoreSilently("claims are named after this and the StatefulSet, and are in its namespace", "metadata.{generateName,namespace}"),
		withoutOwners,
		under("spec", claimFields),
		statusFields,
	)),
)

// daemonSetFields are those of a DaemonSet's spec.
var daemonSetFields = slices.Concat(
	honour("minReadySeconds"),
	noControllerRevisions,
	honour("updateStrategy.type", "updateStrategy.rollingUpdate.{maxSurge,maxUnavailable}"),
	fixedSelectorFields,
	templateFields,
)

var noControllerRevisions = ignoreSilently("it counts ControllerRevisions, and none are kept: commits are the history, and podyard rollback returns to any",
	"revisionHistoryLimit")

// fixedSelectorFields are those of a selector that cannot change: see CheckSelectors.
var fixedSelectorFields = honourWith("cannot change while there are pods", "selector.matchLabels.*", "selector.matchExpressions[].{key,operator,values}")

// templateFields are those of a pod template.
var templateFields = under("template", slices.Concat(
	withoutOwners,
	ignoreSilently("pods are named after the object that makes them", "metadata.{name,generateName,namespace}"),
	under("spec", podFields),
))

// withoutPods leaves out what other tables say.
func withoutPods(fields []rule) []rule {
	return slices.DeleteFunc(slices.Clone(fields), func(r rule) bool {
		return strings.HasPrefix(r.path, "template.") || strings.HasPrefix(r.path, "volumeClaimTemplates[].spec.")
	})
}

// templateMetadata are the fields of a pod template's metadata.
var templateMetadata = slices.DeleteFunc(slices.Clone(templateFields), func(r rule) bool { return strings.HasPrefix(r.path, "template.spec.") })
