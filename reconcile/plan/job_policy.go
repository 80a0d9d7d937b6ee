package plan

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
)

// matchFailure is the first rule of the podFailurePolicy that applies to a failed pod, and what it found. Upstream:
// pod_failure_policy.go.
func (p *planner) matchFailure(r *jobRun, v *podView) (found string, rule *batchv1.PodFailurePolicyRule) {
	if r.Job.Spec.PodFailurePolicy == nil {
		return "", nil
	}
	status := p.statusOf(v)
	rules := r.Job.Spec.PodFailurePolicy.Rules
	for i := range rules {
		found := ""
		if on := rules[i].OnExitCodes; on != nil {
			if c := exitedAs(status, on); c != nil {
				found = fmt.Sprintf("Container %s for pod %s failed with exit code %d", c.Name, v.ref(), c.State.Terminated.ExitCode)
			}
		} else if c := inCondition(status, rules[i].OnPodConditions); c != nil {
			found = fmt.Sprintf("Pod %s has condition %s", v.ref(), c.Type)
		}
		if found != "" {
			return fmt.Sprintf("%s matching %s rule at index %d", found, rules[i].Action, i), &rules[i]
		}
	}
	return "", nil
}

// exitedAs is the first container, then init container, that failed as a rule says.
func exitedAs(status *corev1.PodStatus, on *batchv1.PodFailurePolicyOnExitCodesRequirement) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{status.ContainerStatuses, status.InitContainerStatuses} {
		for i := range list {
			c := &list[i]
			if c.State.Terminated == nil || c.State.Terminated.ExitCode == 0 || on.ContainerName != nil && *on.ContainerName != c.Name {
				continue
			}
			in := slices.Contains(on.Values, c.State.Terminated.ExitCode)
			if in == (on.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn) {
				return c
			}
		}
	}
	return nil
}

func inCondition(status *corev1.PodStatus, patterns []batchv1.PodFailurePolicyOnPodConditionsPattern) *corev1.PodCondition {
	for i := range status.Conditions {
		c := &status.Conditions[i]
		if slices.ContainsFunc(patterns, func(on batchv1.PodFailurePolicyOnPodConditionsPattern) bool {
			return on.Type == c.Type && on.Status == c.Status
		}) {
			return c
		}
	}
	return nil
}

// failsJob says which pod ends the Job at once, by a rule with the action FailJob. Upstream: getFailJobMessage.
func (p *planner) failsJob(r *jobRun) string {
	for _, v := range r.ended {
		if v.phase != corev1.PodFailed {
			continue
		}
		if message, rule := p.matchFailure(r, v); rule != nil && rule.Action == batchv1.PodFailurePolicyActionFailJob {
			return message
		}
	}
	return ""
}

// meetsSuccessPolicy says which rule the indexes that have succeeded meet. Upstream: success_policy.go.
func meetsSuccessPolicy(spec *batchv1.JobSpec, completed manifests.Indexes) string {
	if spec.SuccessPolicy == nil || completed.Total() == 0 {
		return ""
	}
	for i, rule := range spec.SuccessPolicy.Rules {
		if meetsRule(&rule, completed, int(*spec.Completions)) {
			return fmt.Sprintf("Matched rules at index %d", i)
		}
	}
	return ""
}

func meetsRule(rule *batchv1.SuccessPolicyRule, completed manifests.Indexes, completions int) bool {
	if rule.SucceededIndexes == nil {
		return completed.Total() >= int(*rule.SucceededCount)
	}
	wanted, err := manifests.ParseIndexes(*rule.SucceededIndexes)
	if wanted = wanted.Below(completions); err != nil || wanted.Total() == 0 {
		return false
	}
	n := completed.Common(wanted)
	return n == wanted.Total() || rule.SucceededCount != nil && n >= int(*rule.SucceededCount)
}
