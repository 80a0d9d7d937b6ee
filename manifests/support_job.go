package manifests

import "slices"

// jobFields are those of a Job's spec.
var jobFields = slices.Concat(
	honour("completions", "parallelism", "completionMode", "backoffLimit", "backoffLimitPerIndex", "maxFailedIndexes"),
	honour("activeDeadlineSeconds", "suspend", "podReplacementPolicy"),
	honourWith("its pods are removed; the Job stays in git, and does not run again", "ttlSecondsAfterFinished"),
	honour("podFailurePolicy.rules[].action", "podFailurePolicy.rules[].onExitCodes.{containerName,operator,values}"),
	honourWith("pods are not disrupted here: none ever has the condition DisruptionTarget", "podFailurePolicy.rules[].onPodConditions[].{type,status}"),
	honour("successPolicy.rules[].{succeededIndexes,succeededCount}"),
	honour("manualSelector"),
	honourWith("pods that are there already are not adopted", "selector.matchLabels.*", "selector.matchExpressions[].{key,operator,values}"),
	unless(refuse("there is no other controller that would run the Job: leave it out", "managedBy"), "kubernetes.io/job-controller"),
	ignore("there is one host, which has room for all pods of a Job or for none", "scheduling"),
	templateFields,
)
