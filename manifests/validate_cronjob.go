package manifests

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxCronJobName leaves room for what follows the name in those of its Jobs: "-" and the minutes since 1970, which may have
// ten digits. Upstream: ValidateCronJobCreate (pkg/apis/batch/validation).
const maxCronJobName = validation.DNS1035LabelMaxLength - 11

// cronJob follows upstream's validateCronJobSpec (pkg/apis/batch/validation).
func (c check) cronJob(path *field.Path, s *batchv1.CronJobSpec) {
	if len(c.object.Name) > maxCronJobName {
		c.add(field.NewPath("metadata", "name"), "must be no more than %d characters: the names of its Jobs are this and up to 11 more", maxCronJobName)
	}
	c.timeZone(path.Child("timeZone"), s.TimeZone)
	c.schedule(path.Child("schedule"), s)
	oneOf(c, path.Child("concurrencyPolicy"), s.ConcurrencyPolicy, batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent)
	deadline := path.Child("startingDeadlineSeconds")
	notNegative(c, deadline, s.StartingDeadlineSeconds)
	if s.StartingDeadlineSeconds != nil && *s.StartingDeadlineSeconds == 0 {
		c.warn(deadline, "of 0 leaves no time to start a Job: none is ever started")
	}
	notNegative(c, path.Child("successfulJobsHistoryLimit"), s.SuccessfulJobsHistoryLimit)
	notNegative(c, path.Child("failedJobsHistoryLimit"), s.FailedJobsHistoryLimit)
	c.jobTemplate(path.Child("jobTemplate"), &s.JobTemplate)
}

// zonePart is upstream's validTimeZoneCharacters: a part of a name of the IANA database.
var zonePart = regexp.MustCompile(`^[A-Za-z._0-9+][A-Za-z._0-9+-]{0,13}$`)

func (c check) timeZone(path *field.Path, zone *string) {
	if zone == nil {
		return
	}
	known := !strings.EqualFold(*zone, "Local")
	for _, part := range strings.Split(*zone, "/") {
		known = known && part != "." && part != ".." && zonePart.MatchString(part)
	}
	if known {
		_, err := loadZone(*zone)
		known = err == nil
	}
	if !known {
		c.add(path, "is not the name of a time zone: use one of the IANA database, as Europe/Berlin")
	}
}

// schedule is read without its zone, of which all is said.
func (c check) schedule(path *field.Path, s *batchv1.CronJobSpec) {
	if s.Schedule == "" {
		c.add(path, "is missing")
		return
	}
	schedule, err := ScheduleOf(&batchv1.CronJobSpec{Schedule: s.Schedule})
	if err != nil {
		c.add(path, `%s; write minute, hour, day of month, month and day of week, as "30 2 * * MON-FRI", or @hourly, @daily, @weekly, `+
			"@monthly, @yearly, @every 90m", err)
		return
	}
	// Any moment will do: what is not due within five years never is.
	first := schedule.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	switch {
	case first.IsZero():
		c.warn(path, "is never due: there is no such day")
	case schedule.Next(first).Sub(first) < time.Minute:
		c.warn(path, "is due more than once a minute, but only one Job is started in each minute: Jobs are named after the minute")
	}
}

// jobTemplate follows upstream's ValidateJobTemplateSpec. What upstream refuses when it makes the Job is refused at once.
func (c check) jobTemplate(path *field.Path, t *batchv1.JobTemplateSpec) {
	c.labels(path.Child("metadata"), &t.ObjectMeta)
	spec := path.Child("spec")
	if t.Spec.Selector != nil {
		c.add(spec.Child("selector"), "must not be set: it is made with each Job")
	}
	if isTrue(t.Spec.ManualSelector) {
		c.add(spec.Child("manualSelector"), "must not be true: the selector is made with each Job")
	}
	for _, label := range jobLabels {
		if _, there := t.Spec.Template.Labels[label]; there {
			c.add(spec.Child("template", "metadata", "labels").Key(label), "must not be set: it is made with each Job")
		}
	}
	if n := t.Spec.Completions; isIndexed(&t.Spec) && n != nil && *n > 0 {
		if hostname := fmt.Sprintf("%s-%d-%d", c.object.Name, someMinute, *n-1); len(validation.IsDNS1123Label(hostname)) > 0 {
			c.add(field.NewPath("metadata", "name"), "must be such that %s can be a hostname: it is that of the last pod of such a Job", hostname)
		}
	}
	c.jobSpec(spec, &t.Spec)
}

// someMinute has as many digits as the minutes since 1970 have until 2160.
const someMinute = 29_000_000
