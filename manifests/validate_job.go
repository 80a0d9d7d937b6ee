package manifests

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Upstream's limits (pkg/apis/batch/validation).
const (
	maxIndexedParallelism   = 100000
	maxFailedIndexes        = 100000
	manyCompletions         = 100000
	manyParallelism         = 10000
	maxFailureRules         = 20
	maxFailureExitCodes     = 255
	maxFailureConditions    = 20
	maxSuccessRules         = 20
	maxSuccessIndexesLength = 64 << 10
)

// jobLabels are those that pods of a Job get; the second half are their old names.
var jobLabels = []string{batchv1.JobNameLabel, batchv1.ControllerUidLabel, "job-name", "controller-uid"}

// job checks a Job that stands in the commit by itself. Upstream: ValidateJob.
func (c check) job(j *batchv1.Job) {
	name, spec := field.NewPath("metadata", "name"), field.NewPath("spec")
	if len(j.Name) > validation.LabelValueMaxLength {
		c.add(name, "must be no more than %d characters: it is the label job-name of its pods", validation.LabelValueMaxLength)
	}
	if n := j.Spec.Completions; isIndexed(&j.Spec) && n != nil && *n > 0 {
		if hostname := fmt.Sprintf("%s-%d", j.Name, *n-1); len(validation.IsDNS1123Label(hostname)) > 0 {
			c.add(name, "must be such that %s can be a hostname: it is that of the Job's last pod", hostname)
		}
	}
	c.jobSelector(spec, &j.Spec)
	c.jobSpec(spec, &j.Spec)
}

// jobSelector: unless manualSelector is set, the selector is made with the Job, and so are the labels that it selects.
// Upstream: generateSelector (pkg/registry/batch/job/strategy.go), validateGeneratedSelector.
func (c check) jobSelector(path *field.Path, s *batchv1.JobSpec) {
	at := path.Child("selector")
	if isTrue(s.ManualSelector) {
		if s.Selector == nil {
			c.add(at, "is missing: manualSelector is true")
			return
		}
		if selector, ok := c.podSelector(at, s.Selector); ok && !selector.Matches(labels.Set(s.Template.Labels)) {
			c.add(path.Child("template", "metadata", "labels"), "must match spec.selector (%s)", selector)
		}
		return
	}
	if s.Selector != nil {
		c.add(at, "must not be set unless manualSelector is true: it is made with the Job")
	}
	for _, label := range jobLabels {
		if _, there := s.Template.Labels[label]; there {
			c.add(path.Child("template", "metadata", "labels").Key(label), "must not be set unless manualSelector is true: it is made with the Job")
		}
	}
}

// jobSpec checks a JobSpec wherever one is written. Upstream: validateJobSpec.
func (c check) jobSpec(path *field.Path, s *batchv1.JobSpec) {
	notNegative(c, path.Child("parallelism"), s.Parallelism)
	notNegative(c, path.Child("completions"), s.Completions)
	notNegative(c, path.Child("activeDeadlineSeconds"), s.ActiveDeadlineSeconds)
	notNegative(c, path.Child("backoffLimit"), s.BackoffLimit)
	notNegative(c, path.Child("ttlSecondsAfterFinished"), s.TTLSecondsAfterFinished)
	notNegative(c, path.Child("backoffLimitPerIndex"), s.BackoffLimitPerIndex)
	notNegative(c, path.Child("maxFailedIndexes"), s.MaxFailedIndexes)
	oneOf(c, path.Child("completionMode"), *s.CompletionMode, batchv1.NonIndexedCompletion, batchv1.IndexedCompletion)
	if isIndexed(s) {
		c.indexedJob(path, s)
	} else {
		c.withoutIndexes(path, s)
	}
	if s.PodFailurePolicy != nil {
		c.podFailurePolicy(path.Child("podFailurePolicy", "rules"), s)
		oneOf(c, path.Child("podReplacementPolicy"), *s.PodReplacementPolicy, batchv1.Failed)
	} else {
		oneOf(c, path.Child("podReplacementPolicy"), *s.PodReplacementPolicy, batchv1.TerminatingOrFailed, batchv1.Failed)
	}
	c.endingTemplate(path.Child("template"), s)
}

func isIndexed(s *batchv1.JobSpec) bool { return *s.CompletionMode == batchv1.IndexedCompletion }

// endingTemplate is one of pods that end.
func (c check) endingTemplate(path *field.Path, s *batchv1.JobSpec) {
	c.labels(path.Child("metadata"), &s.Template.ObjectMeta)
	at := path.Child("spec", "restartPolicy")
	switch policy := s.Template.Spec.RestartPolicy; {
	case policy == corev1.RestartPolicyAlways:
		c.add(at, "must be set to Never or OnFailure in a %s: its pods end", c.object.Kind)
	case policy == corev1.RestartPolicyOnFailure && s.PodFailurePolicy != nil:
		c.add(at, "must be Never when podFailurePolicy is set")
	}
	c.podSpec(path.Child("spec"), &s.Template.Spec)
}

func (c check) indexedJob(path *field.Path, s *batchv1.JobSpec) {
	if s.Completions == nil {
		c.add(path.Child("completions"), "is missing: completionMode is Indexed")
		return
	}
	if *s.Parallelism > maxIndexedParallelism {
		c.add(path.Child("parallelism"), "must not be more than %d when completionMode is Indexed", maxIndexedParallelism)
	}
	if n := s.MaxFailedIndexes; n != nil {
		at := path.Child("maxFailedIndexes")
		if s.BackoffLimitPerIndex == nil {
			c.add(path.Child("backoffLimitPerIndex"), "is missing: maxFailedIndexes is set")
		}
		if *n > *s.Completions {
			c.add(at, "must not be more than completions (%d)", *s.Completions)
		}
		if *n > maxFailedIndexes {
			c.add(at, "must not be more than %d", maxFailedIndexes)
		}
	}
	if *s.Completions > manyCompletions && s.BackoffLimitPerIndex != nil {
		c.manyIndexes(path, s)
	}
	if s.SuccessPolicy != nil {
		c.successPolicy(path.Child("successPolicy", "rules"), s)
	}
}

func (c check) manyIndexes(path *field.Path, s *batchv1.JobSpec) {
	if s.MaxFailedIndexes == nil {
		c.add(path.Child("maxFailedIndexes"), "is missing: completions are more than %d", manyCompletions)
	} else if *s.MaxFailedIndexes > manyParallelism {
		c.add(path.Child("maxFailedIndexes"), "must not be more than %d when completions are more than %d", manyParallelism, manyCompletions)
	}
	if *s.Parallelism > manyParallelism {
		c.add(path.Child("parallelism"), "must not be more than %d when completions are more than %d", manyParallelism, manyCompletions)
	}
}

// withoutIndexes refuses what only an Indexed Job can have.
func (c check) withoutIndexes(path *field.Path, s *batchv1.JobSpec) {
	for _, part := range []struct {
		name string
		set  bool
	}{
		{"backoffLimitPerIndex", s.BackoffLimitPerIndex != nil}, {"maxFailedIndexes", s.MaxFailedIndexes != nil},
		{"successPolicy", s.SuccessPolicy != nil},
	} {
		if part.set {
			c.add(path.Child(part.name), "must not be set unless completionMode is Indexed")
		}
	}
}

// podFailurePolicy follows upstream's validatePodFailurePolicy.
func (c check) podFailurePolicy(path *field.Path, s *batchv1.JobSpec) {
	rules := s.PodFailurePolicy.Rules
	c.noMoreThan(path, len(rules), maxFailureRules, "rules")
	for i := range rules {
		rule, at := &rules[i], path.Index(i)
		if rule.Action == "" {
			c.add(at.Child("action"), "is missing")
		}
		oneOf(c, at.Child("action"), rule.Action, batchv1.PodFailurePolicyActionCount, batchv1.PodFailurePolicyActionFailIndex,
			batchv1.PodFailurePolicyActionFailJob, batchv1.PodFailurePolicyActionIgnore)
		if rule.Action == batchv1.PodFailurePolicyActionFailIndex && s.BackoffLimitPerIndex == nil {
			c.add(at.Child("action"), "must not be FailIndex unless backoffLimitPerIndex is set")
		}
		if (rule.OnExitCodes != nil) == (len(rule.OnPodConditions) > 0) {
			c.add(at, "must have either onExitCodes or onPodConditions")
		}
		if rule.OnExitCodes != nil {
			c.onExitCodes(at.Child("onExitCodes"), rule.OnExitCodes, &s.Template.Spec)
		}
		c.noMoreThan(at.Child("onPodConditions"), len(rule.OnPodConditions), maxFailureConditions, "conditions")
		for j, pattern := range rule.OnPodConditions {
			on := at.Child("onPodConditions").Index(j)
			c.all(on.Child("type"), validation.IsQualifiedName(string(pattern.Type)))
			oneOf(c, on.Child("status"), pattern.Status, corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown)
		}
	}
}

func (c check) onExitCodes(path *field.Path, r *batchv1.PodFailurePolicyOnExitCodesRequirement, spec *corev1.PodSpec) {
	if r.Operator == "" {
		c.add(path.Child("operator"), "is missing")
	}
	oneOf(c, path.Child("operator"), r.Operator, batchv1.PodFailurePolicyOnExitCodesOpIn, batchv1.PodFailurePolicyOnExitCodesOpNotIn)
	named := func(container corev1.Container) bool { return container.Name == *r.ContainerName }
	if r.ContainerName != nil && !slices.ContainsFunc(spec.Containers, named) && !slices.ContainsFunc(spec.InitContainers, named) {
		c.add(path.Child("containerName"), "there is no container %s in the template", *r.ContainerName)
	}
	at := path.Child("values")
	if len(r.Values) == 0 {
		c.add(at, "at least one is required")
	}
	c.noMoreThan(at, len(r.Values), maxFailureExitCodes, "values")
	for i, code := range r.Values {
		if code == 0 && r.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn {
			c.add(at.Index(i), "must not be 0: a container that exits with 0 has not failed")
		}
		if i > 0 && code <= r.Values[i-1] {
			c.add(at.Index(i), "must be greater than the one before")
		}
	}
}

// successPolicy follows upstream's validateSuccessPolicy.
func (c check) successPolicy(path *field.Path, s *batchv1.JobSpec) {
	rules := s.SuccessPolicy.Rules
	if len(rules) == 0 {
		c.add(path, "at least one is required")
	}
	c.noMoreThan(path, len(rules), maxSuccessRules, "rules")
	for i := range rules {
		rule, at := &rules[i], path.Index(i)
		if rule.SucceededIndexes == nil && rule.SucceededCount == nil {
			c.add(at, "must have succeededIndexes or succeededCount")
		}
		most, of := int(*s.Completions), "completions"
		if text := rule.SucceededIndexes; text != nil {
			most, of = c.indexes(at.Child("succeededIndexes"), *text, int(*s.Completions)), "the number of succeededIndexes"
		}
		notNegative(c, at.Child("succeededCount"), rule.SucceededCount)
		if n := rule.SucceededCount; n != nil && int(*n) > most {
			c.add(at.Child("succeededCount"), "must not be more than %s (%d)", of, most)
		}
	}
}

// indexes checks a list of completion indexes, and returns how many they are.
func (c check) indexes(path *field.Path, text string, completions int) int {
	indexes, err := ParseIndexes(text)
	switch {
	case len(text) > maxSuccessIndexesLength:
		c.add(path, "must not be longer than %d characters", maxSuccessIndexesLength)
	case err != nil:
		c.add(path, "%s", err)
	case indexes.Below(completions).Total() < indexes.Total():
		c.add(path, "must be less than completions (%d)", completions)
	}
	return indexes.Total()
}

func (c check) noMoreThan(path *field.Path, n, most int, what string) {
	if n > most {
		c.add(path, "must not be more than %d %s", most, what)
	}
}
