package manifests

import (
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
)

// cronJobNamed has the pod in line 9 and whatever is added from line 10 on.
func cronJobNamed(name, schedule, spec string) string {
	return `apiVersion: batch/v1
kind: CronJob
metadata: {name: ` + name + `}
spec:
  schedule: ` + schedule + `
  jobTemplate:
    spec:
      template:
        spec: {restartPolicy: Never, containers: [{name: app, image: 'busybox:1'}]}
` + spec
}

func cronJob(schedule, spec string) string { return cronJobNamed("nightly", schedule, spec) }

const scheduleHelp = `; write minute, hour, day of month, month and day of week, as "30 2 * * MON-FRI", or @hourly, @daily, @weekly, ` +
	"@monthly, @yearly, @every 90m"

func TestCronJobs(t *testing.T) {
	const badZone = "a.yaml:10: spec.timeZone: is not the name of a time zone: use one of the IANA database, as Europe/Berlin"
	long := strings.Repeat("n", 53)
	runCases(t, []validateCase{
		{name: "a CronJob with everything", yaml: cronJob("'*/5 8-18 * jan,jul mon-FRI'", `  timeZone: America/Argentina/Buenos_Aires
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 30
  suspend: true
  successfulJobsHistoryLimit: 0
  failedJobsHistoryLimit: 0
`)},
		{name: "a descriptor", yaml: cronJob("'@weekly'", "")},
		{name: "every so often", yaml: cronJob("'@every 1h30m'", "")},
		{name: "no schedule", yaml: cronJob("''", ""), errors: []string{"a.yaml:5: spec.schedule: is missing"}},
		{name: "six fields", yaml: cronJob("'0 0 * * * *'", ""),
			errors: []string{"a.yaml:5: spec.schedule: expected exactly 5 fields, found 6: [0 0 * * * *]" + scheduleHelp}},
		{name: "no number", yaml: cronJob("'0 noon * * *'", ""),
			errors: []string{"a.yaml:5: spec.schedule: failed to parse int from noon" + scheduleHelp}},
		{name: "an hour there is not", yaml: cronJob("'0 24 * * *'", ""),
			errors: []string{"a.yaml:5: spec.schedule: end of range (24) above maximum (23): 24" + scheduleHelp}},
		{name: "a field without a value", yaml: cronJob("'0 , * * *'", ""),
			errors: []string{"a.yaml:5: spec.schedule: a field holds no value" + scheduleHelp}},
		{name: "a descriptor there is not", yaml: cronJob("'@nightly'", ""),
			errors: []string{"a.yaml:5: spec.schedule: unrecognized descriptor: @nightly" + scheduleHelp}},
		{name: "a zone in the schedule", yaml: cronJob("'TZ=Europe/Berlin 0 0 * * *'", "  timeZone: Europe/Berlin\n"),
			errors: []string{"a.yaml:5: spec.schedule: must not hold TZ or CRON_TZ: set timeZone instead" + scheduleHelp}},
		{name: "nothing but a zone in the schedule", yaml: cronJob("CRON_TZ=UTC", ""),
			errors: []string{"a.yaml:5: spec.schedule: must not hold TZ or CRON_TZ: set timeZone instead" + scheduleHelp}},
		{name: "an unknown zone", yaml: cronJob("'@daily'", "  timeZone: Mars/Olympus\n"), errors: []string{badZone}},
		{name: "the zone of the host", yaml: cronJob("'@daily'", "  timeZone: local\n"), errors: []string{badZone}},
		{name: "no zone at all", yaml: cronJob("'@daily'", "  timeZone: ''\n"), errors: []string{badZone}},
		{name: "a zone that is a file elsewhere", yaml: cronJob("'@daily'", "  timeZone: ../../etc/passwd\n"), errors: []string{badZone}},
		{name: "a day there is not", yaml: cronJob("'0 0 31 2 *'", ""),
			warnings: []string{"a.yaml:5: CronJob default/nightly: spec.schedule: is never due: there is no such day"}},
		{name: "every few seconds", yaml: cronJob("'@every 5s'", ""),
			warnings: []string{"a.yaml:5: CronJob default/nightly: spec.schedule: is due more than once a minute, but only one Job is started in each minute: " +
				"Jobs are named after the minute"}},
		{name: "an unknown policy", yaml: cronJob("'@daily'", "  concurrencyPolicy: Queue\n"),
			errors: []string{"a.yaml:10: spec.concurrencyPolicy: must be one of Allow, Forbid or Replace"}},
		{name: "numbers", yaml: cronJob("'@daily'", "  startingDeadlineSeconds: -1\n  successfulJobsHistoryLimit: -1\n  failedJobsHistoryLimit: -1\n"), errors: []string{
			"a.yaml:10: spec.startingDeadlineSeconds: must be greater than or equal to 0",
			"a.yaml:11: spec.successfulJobsHistoryLimit: must be greater than or equal to 0",
			"a.yaml:12: spec.failedJobsHistoryLimit: must be greater than or equal to 0",
		}},
		{name: "no time to start", yaml: cronJob("'@daily'", "  startingDeadlineSeconds: 0\n"),
			warnings: []string{"a.yaml:10: CronJob default/nightly: spec.startingDeadlineSeconds: of 0 leaves no time to start a Job: none is ever started"}},
		{name: "the longest name", yaml: cronJobNamed(long[:52], "'@daily'", "")},
		{name: "a longer name", yaml: cronJobNamed(long, "'@daily'", ""), errors: []string{
			"a.yaml:3: metadata.name: must be no more than 52 characters: the names of its Jobs are this and up to 11 more"}},
	})
}

func TestTheJobTemplateOfACronJob(t *testing.T) {
	template := func(spec string) string {
		return "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: nightly}\nspec:\n  schedule: '@daily'\n  jobTemplate:\n" + spec
	}
	const pod = "      template:\n        spec: {restartPolicy: Never, containers: [{name: app, image: 'busybox:1'"
	runCases(t, []validateCase{
		{name: "a name is nothing", yaml: template("    metadata: {name: x, labels: {app: x}, annotations: {a.b/c: d}}\n    spec:\n" + pod + "}]}\n")},
		{name: "a label", yaml: template("    metadata: {labels: {app: a b}}\n    spec:\n" + pod + "}]}\n"),
			errors: []string{"a.yaml:7: spec.jobTemplate.metadata.labels[app]: " + labelValue}},
		{name: "a selector", yaml: template("    spec:\n      manualSelector: true\n      selector: {matchLabels: {app: a}}\n" + pod + "}]}\n"), errors: []string{
			"a.yaml:8: spec.jobTemplate.spec.manualSelector: must not be true: the selector is made with each Job",
			"a.yaml:9: spec.jobTemplate.spec.selector: must not be set: it is made with each Job",
		}},
		{name: "what the Job is known by", yaml: template("    spec:\n" + strings.Replace(pod, "template:\n", "template:\n        metadata: {labels: {job-name: x}}\n", 1) + "}]}\n"),
			errors: []string{"a.yaml:9: spec.jobTemplate.spec.template.metadata.labels[job-name]: must not be set: it is made with each Job"}},
		{name: "a pod that does not end", yaml: strings.Replace(template("    spec:\n"+pod+"}]}\n"), "restartPolicy: Never, ", "", 1),
			errors: []string{"a.yaml:9: spec.jobTemplate.spec.template.spec.restartPolicy: must be set to Never or OnFailure in a CronJob: its pods end"}},
		{name: "a hostname that is too long", yaml: strings.Replace(template("    spec:\n      completionMode: Indexed\n      completions: 1000\n"+pod+"}]}\n"),
			"nightly", strings.Repeat("n", 51), 1), errors: []string{"a.yaml:3: metadata.name: must be such that " + strings.Repeat("n", 51) +
			"-29000000-999 can be a hostname: it is that of the last pod of such a Job"}},
		{name: "what a pod must not be", yaml: template("    spec:\n" + strings.Replace(pod, "{restartPolicy", "{hostname: A_B, restartPolicy", 1) + "}]}\n"),
			errors: []string{"a.yaml:9: spec.jobTemplate.spec.template.spec.hostname: " + dnsLabel}},
		{name: "what is not in the commit", yaml: template("    spec:\n" + pod + ", envFrom: [{configMapRef: {name: conf}}]}]}\n"), errors: []string{
			"a.yaml:9: spec.jobTemplate.spec.template.spec.containers[0].envFrom[0].configMapRef.name: ConfigMap default/conf is not in the commit: " +
				"add it, or mark the reference optional"}},
	})
}

func TestDefaultsOfACronJobAreUpstreams(t *testing.T) {
	set, errs := assembleText(t, cronJob("'@daily'", ""))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	s := set.Objects[0].Value.(*batchv1.CronJob).Spec
	if s.ConcurrencyPolicy != batchv1.AllowConcurrent || *s.Suspend || *s.SuccessfulJobsHistoryLimit != 3 || *s.FailedJobsHistoryLimit != 1 {
		t.Errorf("defaults: %s", asJSON(t, s))
	}
	if s.TimeZone != nil || s.StartingDeadlineSeconds != nil {
		t.Errorf("what has no default: %s", asJSON(t, s))
	}
	if s.JobTemplate.Spec.Template.Spec.DNSPolicy != "ClusterFirst" {
		t.Error("the pod template has no defaults")
	}
}
