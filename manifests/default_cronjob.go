package manifests

import batchv1 "k8s.io/api/batch/v1"

// defaultCronJob follows upstream's SetDefaults_CronJob (pkg/apis/batch/v1/defaults.go). Those of the Job upstream fills in when
// it is made; here it is seen at once what it will be.
func defaultCronJob(c *batchv1.CronJob) {
	fill(defaults{}, &c.Spec.ConcurrencyPolicy, batchv1.AllowConcurrent)
	point(defaults{}, &c.Spec.Suspend, false)
	point(defaults{}, &c.Spec.SuccessfulJobsHistoryLimit, int32(3))
	point(defaults{}, &c.Spec.FailedJobsHistoryLimit, int32(1))
	defaultJobSpec(&c.Spec.JobTemplate.Spec)
}
