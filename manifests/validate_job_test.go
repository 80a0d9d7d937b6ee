package manifests

import (
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
)

// job is one with these fields before its template, which begins in line 6 and has what is given in its spec.
func job(spec, pod string) string {
	return "apiVersion: batch/v1\nkind: Job\nmetadata: {name: load}\nspec:\n  template: {spec: {" + pod +
		"containers: [{name: main, image: 'busybox:1'}]}}\n" + spec
}

const never = "restartPolicy: Never, "

func indexedJob(spec string) string { return job("  completionMode: Indexed\n"+spec, never) }

func TestJobs(t *testing.T) {
	runCases(t, []validateCase{
		{name: "a Job", yaml: job("", never)},
		{name: "one that restarts its containers", yaml: job("", "restartPolicy: OnFailure, ")},
		{name: "no restart policy", yaml: job("", ""), errors: []string{
			"a.yaml:5: spec.template.spec.restartPolicy: must be set to Never or OnFailure in a Job: its pods end"}},
		{name: "numbers", yaml: job("  parallelism: -1\n  completions: -1\n  activeDeadlineSeconds: -1\n  backoffLimit: -1\n  ttlSecondsAfterFinished: -1\n", never), errors: []string{
			"a.yaml:6: spec.parallelism: must be greater than or equal to 0",
			"a.yaml:7: spec.completions: must be greater than or equal to 0",
			"a.yaml:8: spec.activeDeadlineSeconds: must be greater than or equal to 0",
			"a.yaml:9: spec.backoffLimit: must be greater than or equal to 0",
			"a.yaml:10: spec.ttlSecondsAfterFinished: must be greater than or equal to 0",
		}},
		{name: "words", yaml: job("  completionMode: Some\n  podReplacementPolicy: Never\n", never), errors: []string{
			"a.yaml:6: spec.completionMode: must be one of NonIndexed or Indexed",
			"a.yaml:7: spec.podReplacementPolicy: must be one of TerminatingOrFailed or Failed",
		}},
		{name: "indexes without Indexed", yaml: job("  backoffLimitPerIndex: 1\n  maxFailedIndexes: 1\n  successPolicy: {rules: [{succeededCount: 1}]}\n", never), errors: []string{
			"a.yaml:6: spec.backoffLimitPerIndex: must not be set unless completionMode is Indexed",
			"a.yaml:7: spec.maxFailedIndexes: must not be set unless completionMode is Indexed",
			"a.yaml:8: spec.successPolicy: must not be set unless completionMode is Indexed",
		}},
		{name: "a selector of one's own", yaml: job("  selector: {matchLabels: {a: b}}\n", never), errors: []string{
			"a.yaml:6: spec.selector: must not be set unless manualSelector is true: it is made with the Job"}},
		{name: "a selector by hand", yaml: job("  manualSelector: true\n  selector: {matchLabels: {a: b}}\n", never), errors: []string{
			"a.yaml:5: spec.template.metadata.labels: must match spec.selector (a=b)"}},
		{name: "no selector by hand", yaml: job("  manualSelector: true\n", never), errors: []string{
			"a.yaml:4: spec.selector: is missing: manualSelector is true"}},
		{name: "labels that the Job makes", yaml: strings.Replace(job("", never), "{spec:", "{metadata: {labels: {job-name: x}}, spec:", 1), errors: []string{
			"a.yaml:5: spec.template.metadata.labels[job-name]: must not be set unless manualSelector is true: it is made with the Job"}},
		{name: "a name that is too long", yaml: strings.Replace(job("", never), "load", strings.Repeat("x", 64), 1), errors: []string{
			"a.yaml:3: metadata.name: must be no more than 63 characters: it is the label job-name of its pods"}},
		{name: "another controller", yaml: job("  managedBy: acme.io/runner\n", never), errors: []string{
			"a.yaml:6: spec.managedBy: there is no other controller that would run the Job: leave it out"}},
		{name: "gangs", yaml: job("  scheduling: {schedulingPolicy: {gang: {minCount: 2}}}\n", never), warnings: []string{
			"a.yaml:6: Job default/load: spec.scheduling: there is one host, which has room for all pods of a Job or for none"}},
		{name: "a ConfigMap that is missing", yaml: job("", never+"volumes: [{name: v, configMap: {name: nope}}], "), errors: []string{
			"a.yaml:5: spec.template.spec.volumes[0].configMap.name: ConfigMap default/nope is not in the commit: add it, or mark the reference optional"}},
	})
}

func TestIndexedJobs(t *testing.T) {
	runCases(t, []validateCase{
		{name: "an Indexed Job", yaml: indexedJob("  completions: 3\n  backoffLimitPerIndex: 1\n  maxFailedIndexes: 2\n  successPolicy: {rules: [{succeededIndexes: '0,2', succeededCount: 1}]}\n")},
		{name: "no completions", yaml: indexedJob("  parallelism: 2\n"), errors: []string{"a.yaml:4: spec.completions: is missing: completionMode is Indexed"}},
		{name: "a name that is no hostname", yaml: strings.Replace(indexedJob("  completions: 3\n"), "load", "load.data", 1), errors: []string{
			"a.yaml:3: metadata.name: must be such that load.data-2 can be a hostname: it is that of the Job's last pod"}},
		{name: "failed indexes", yaml: indexedJob("  completions: 3\n  maxFailedIndexes: 4\n"), errors: []string{
			"a.yaml:4: spec.backoffLimitPerIndex: is missing: maxFailedIndexes is set",
			"a.yaml:8: spec.maxFailedIndexes: must not be more than completions (3)",
		}},
		{name: "many", yaml: indexedJob("  completions: 200000\n  parallelism: 20000\n  backoffLimitPerIndex: 1\n"), errors: []string{
			"a.yaml:4: spec.maxFailedIndexes: is missing: completions are more than 100000",
			"a.yaml:8: spec.parallelism: must not be more than 10000 when completions are more than 100000",
		}},
		{name: "a success policy", yaml: indexedJob("  completions: 3\n  successPolicy:\n    rules:\n    - {}\n    - {succeededCount: 4}\n    - {succeededIndexes: '0-3'}\n    - {succeededIndexes: '2,1'}\n    - {succeededIndexes: a}\n    - {succeededIndexes: '0,2', succeededCount: 3}\n"), errors: []string{
			"a.yaml:10: spec.successPolicy.rules[0]: must have succeededIndexes or succeededCount",
			"a.yaml:11: spec.successPolicy.rules[1].succeededCount: must not be more than completions (3)",
			"a.yaml:12: spec.successPolicy.rules[2].succeededIndexes: must be less than completions (3)",
			"a.yaml:13: spec.successPolicy.rules[3].succeededIndexes: 1 is not in increasing order",
			`a.yaml:14: spec.successPolicy.rules[4].succeededIndexes: "a" is not an index: write them as 1,3-5,7`,
			"a.yaml:15: spec.successPolicy.rules[5].succeededCount: must not be more than the number of succeededIndexes (2)",
		}},
		{name: "no rules", yaml: indexedJob("  completions: 3\n  successPolicy: {}\n"), errors: []string{"a.yaml:8: spec.successPolicy.rules: at least one is required"}},
	})
}

func TestPodFailurePolicies(t *testing.T) {
	policy := func(rules string) string { return job("  podFailurePolicy:\n    rules:\n"+rules, never) }
	runCases(t, []validateCase{
		{name: "a policy", yaml: policy("    - {action: Ignore, onPodConditions: [{type: DisruptionTarget}]}\n    - {action: FailJob, onExitCodes: {containerName: main, operator: NotIn, values: [1, 2]}}\n")},
		{name: "restarts in place", yaml: strings.Replace(policy("    - {action: Count, onExitCodes: {operator: In, values: [1]}}\n"), "Never", "OnFailure", 1), errors: []string{
			"a.yaml:5: spec.template.spec.restartPolicy: must be Never when podFailurePolicy is set"}},
		{name: "a replacement too early", yaml: policy("    - {action: Count, onExitCodes: {operator: In, values: [1]}}\n") + "  podReplacementPolicy: TerminatingOrFailed\n", errors: []string{
			"a.yaml:9: spec.podReplacementPolicy: must be Failed"}},
		{name: "rules", yaml: policy("    - {onExitCodes: {values: [1]}}\n    - {action: FailIndex, onExitCodes: {operator: In, values: [2, 0, 2]}}\n    - {action: Count}\n" +
			"    - {action: Some, onExitCodes: {containerName: x, operator: Of, values: []}}\n    - {action: Count, onPodConditions: [{type: a b, status: Maybe}]}\n"), errors: []string{
			"a.yaml:8: spec.podFailurePolicy.rules[0].action: is missing",
			"a.yaml:8: spec.podFailurePolicy.rules[0].onExitCodes.operator: is missing",
			"a.yaml:9: spec.podFailurePolicy.rules[1].action: must not be FailIndex unless backoffLimitPerIndex is set",
			"a.yaml:9: spec.podFailurePolicy.rules[1].onExitCodes.values[1]: must be greater than the one before",
			"a.yaml:9: spec.podFailurePolicy.rules[1].onExitCodes.values[1]: must not be 0: a container that exits with 0 has not failed",
			"a.yaml:10: spec.podFailurePolicy.rules[2]: must have either onExitCodes or onPodConditions",
			"a.yaml:11: spec.podFailurePolicy.rules[3].action: must be one of Count, FailIndex, FailJob or Ignore",
			"a.yaml:11: spec.podFailurePolicy.rules[3].onExitCodes.containerName: there is no container x in the template",
			"a.yaml:11: spec.podFailurePolicy.rules[3].onExitCodes.operator: must be one of In or NotIn",
			"a.yaml:11: spec.podFailurePolicy.rules[3].onExitCodes.values: at least one is required",
			"a.yaml:12: spec.podFailurePolicy.rules[4].onPodConditions[0].status: must be one of False, True or Unknown",
			"a.yaml:12: spec.podFailurePolicy.rules[4].onPodConditions[0].type: name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
		}},
	})
}

// TestJobHash: only what Kubernetes lets nobody change makes a Job another one.
func TestJobHash(t *testing.T) {
	hash := func(spec string) string {
		return JobHash(&newWorkload(t, "Job", spec).(*batchv1.Job).Spec)
	}
	defaulted := func(spec string) string {
		j := newWorkload(t, "Job", spec).(*batchv1.Job)
		setDefaults(j)
		return JobHash(&j.Spec)
	}
	const template = `"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a:1"}]}}`
	const policy = `"podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}`
	first := hash(`{` + template + `}`)
	for _, same := range []string{
		`{"parallelism": 4, "completions": 9, "backoffLimit": 1, "suspend": true, ` + template + `}`,
		`{"ttlSecondsAfterFinished": 4, "activeDeadlineSeconds": 9, "maxFailedIndexes": 1, "podReplacementPolicy": "Failed", ` + template + `}`,
		`{"completionMode": "NonIndexed", "manualSelector": false, ` + template + `}`,
	} {
		if hash(same) != first || defaulted(same) != first {
			t.Errorf("another hash: %s", same)
		}
	}
	for _, other := range []string{
		`{"completionMode": "Indexed", ` + template + `}`, `{"backoffLimitPerIndex": 1, ` + template + `}`, `{` + policy + `, ` + template + `}`,
		`{` + strings.Replace(template, "a:1", "a:2", 1) + `}`, `{"successPolicy": {"rules": []}, ` + template + `}`,
	} {
		if hash(other) == first {
			t.Errorf("the same hash: %s", other)
		}
		if defaulted(other) != hash(other) {
			t.Errorf("defaults change the hash of %s", other)
		}
	}
}
