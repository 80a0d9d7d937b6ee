package manifests

import (
	"maps"
	"math"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// defaultJob follows upstream's SetDefaults_Job (pkg/apis/batch/v1/defaults.go).
func defaultJob(j *batchv1.Job) {
	if len(j.Labels) == 0 {
		j.Labels = maps.Clone(j.Spec.Template.Labels)
	}
	defaultJobSpec(&j.Spec)
}

// defaultJobSpec is that of a Job wherever one is written.
func defaultJobSpec(s *batchv1.JobSpec) {
	if s.Parallelism == nil {
		point(defaults{}, &s.Completions, int32(1))
	}
	point(defaults{}, &s.Parallelism, int32(1))
	limit := int32(6)
	if s.BackoffLimitPerIndex != nil {
		limit = math.MaxInt32
	}
	point(defaults{}, &s.BackoffLimit, limit)
	point(defaults{}, &s.Suspend, false)
	replacement := batchv1.TerminatingOrFailed
	if s.PodFailurePolicy != nil {
		replacement = batchv1.Failed
	}
	point(defaults{}, &s.PodReplacementPolicy, replacement)
	defaults{}.lastingJob(s)
}

// lastingJob is about the part of a Job that Kubernetes lets nobody change: JobHash.
func (d defaults) lastingJob(s *batchv1.JobSpec) {
	point(d, &s.CompletionMode, batchv1.NonIndexedCompletion)
	point(d, &s.ManualSelector, false)
	if s.PodFailurePolicy != nil {
		for i := range s.PodFailurePolicy.Rules {
			for j := range s.PodFailurePolicy.Rules[i].OnPodConditions {
				fill(d, &s.PodFailurePolicy.Rules[i].OnPodConditions[j].Status, corev1.ConditionTrue)
			}
		}
	}
	d.podSpec(&s.Template.Spec)
}
