package manifests

import (
	"slices"
	"strings"
)

// cronJobFields are those of a CronJob's spec.
var cronJobFields = slices.Concat(
	honourWith("at most one Job is started in each minute", "schedule"),
	honourWith("if it is missing, the zone of the daemon", "timeZone"),
	honour("concurrencyPolicy", "startingDeadlineSeconds", "suspend", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"),
	under("jobTemplate", slices.Concat(
		withoutOwners,
		ignoreSilently("Jobs are named after the CronJob and the minute in which they are due", "metadata.{name,generateName,namespace}"),
		under("spec", jobFields),
	)),
)

// withoutJobs leaves out what the table of Jobs says.
func withoutJobs(fields []rule) []rule {
	return slices.DeleteFunc(slices.Clone(fields), func(r rule) bool { return strings.HasPrefix(r.path, "jobTemplate.spec.") })
}
