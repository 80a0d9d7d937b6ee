package manifests

import "slices"

const noMetricsAPI = "there are only metrics of cpu and memory here: ScalingActive is False for want of this one, as in a cluster without an adapter"

// autoscalerFields are those of a HorizontalPodAutoscaler's spec.
var autoscalerFields = slices.Concat(
	scaleTargetFields,
	honour("metrics[].type"),
	under("metrics[].resource", resourceMetricFields),
	under("metrics[].containerResource", slices.Concat(honour("container"), resourceMetricFields)),
	ignore(noMetricsAPI, "metrics[].pods", "metrics[].object", "metrics[].external"),
	under("behavior.scaleUp", scalingRuleFields),
	under("behavior.scaleDown", scalingRuleFields),
)

var scaleTargetFields = slices.Concat(
	honour("minReplicas", "maxReplicas"),
	honourWith("a Deployment, ReplicaSet, StatefulSet or ReplicationController of the commit", "scaleTargetRef.{apiVersion,kind,name}"),
)

var resourceMetricFields = slices.Concat(
	honourWith("`cpu` or `memory`", "name"),
	honour("target.{type,averageUtilization,averageValue}"),
	refuse("must not be set for a resource: use averageUtilization or averageValue", "target.value"),
)

var scalingRuleFields = honour("stabilizationWindowSeconds", "selectPolicy", "policies[].{type,value,periodSeconds}", "tolerance")

// autoscalerV1Fields are those of version 1.
var autoscalerV1Fields = slices.Concat(scaleTargetFields, honour("targetCPUUtilizationPercentage"))
