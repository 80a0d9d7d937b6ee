package manifests

import (
	"path"
	"regexp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// lifecycle checks the hooks and probes that containers have which go on running.
func (p podCheck) lifecycle(at *field.Path, container *corev1.Container) {
	p.probes(at, container)
	l := container.Lifecycle
	if l == nil {
		return
	}
	at = at.Child("lifecycle")
	p.hook(at.Child("postStart"), l.PostStart, container.Ports)
	p.hook(at.Child("preStop"), l.PreStop, container.Ports)
	if l.StopSignal != nil {
		p.stopSignal(at.Child("stopSignal"), *l.StopSignal)
	}
}

// hook follows upstream's validateLifecycle.
func (p podCheck) hook(at *field.Path, hook *corev1.LifecycleHandler, ports []corev1.ContainerPort) {
	if hook == nil {
		return
	}
	if count(hook.Exec != nil, hook.HTTPGet != nil, hook.TCPSocket != nil, hook.Sleep != nil) != 1 {
		p.add(at, "must have exactly one of exec, httpGet, tcpSocket and sleep")
	}
	p.handler(at, hook.Exec, hook.HTTPGet, hook.TCPSocket, ports)
	grace := p.spec.TerminationGracePeriodSeconds
	if hook.Sleep != nil && grace != nil && *grace >= 0 && (hook.Sleep.Seconds < 0 || hook.Sleep.Seconds > *grace) {
		p.add(at.Child("sleep", "seconds"), "must be between 0 and terminationGracePeriodSeconds (%d)", *grace)
	}
}

// linuxSignal are the signals that upstream knows on Linux.
var linuxSignal = regexp.MustCompile(`^SIG(ABRT|ALRM|BUS|CHLD|CLD|CONT|FPE|HUP|ILL|INT|IO|IOT|KILL|PIPE|POLL|PROF|PWR|QUIT|SEGV|` +
	`STKFLT|STOP|SYS|TERM|TRAP|TSTP|TTIN|TTOU|URG|USR1|USR2|VTALRM|WINCH|XCPU|XFSZ|RTMIN(\+([1-9]|1[0-5]))?|RTMAX(-([1-9]|1[0-4]))?)$`)

// stopSignal follows upstream's validateStopSignal.
func (p podCheck) stopSignal(at *field.Path, signal corev1.Signal) {
	if p.spec.OS == nil || p.spec.OS.Name == "" {
		p.add(at, "must not be set without spec.os.name: set it to linux")
	}
	if !linuxSignal.MatchString(string(signal)) {
		p.add(at, "must be the name of a signal, as SIGUSR1 or SIGRTMIN+3")
	}
}

// Upstream's limits (pkg/apis/core/validation, validateContainerRestartPolicy).
const (
	maxRestartRules = 20
	maxExitCodes    = 255
)

// restarts checks when a container is restarted, where it says so itself.
func (c check) restarts(at *field.Path, container *corev1.Container) {
	if container.RestartPolicy != nil {
		oneOf(c, at.Child("restartPolicy"), *container.RestartPolicy,
			corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyOnFailure, corev1.ContainerRestartPolicyNever)
	}
	rules := at.Child("restartPolicyRules")
	switch n := len(container.RestartPolicyRules); {
	case n > 0 && container.RestartPolicy == nil:
		c.add(at.Child("restartPolicy"), "is missing: a container with restartPolicyRules must have its own")
	case n > maxRestartRules:
		c.add(rules, "must not be more than %d", maxRestartRules)
	}
	for i, rule := range container.RestartPolicyRules {
		c.restartRule(rules.Index(i), rule)
	}
}

func (c check) restartRule(at *field.Path, rule corev1.ContainerRestartRule) {
	if rule.Action == "" {
		c.add(at.Child("action"), "is missing")
	}
	if rule.Action != corev1.ContainerRestartRuleActionRestartAllContainers { // which the table of fields refuses
		oneOf(c, at.Child("action"), rule.Action, corev1.ContainerRestartRuleActionRestart)
	}
	at = at.Child("exitCodes")
	if rule.ExitCodes == nil {
		c.add(at, "is missing")
		return
	}
	if rule.ExitCodes.Operator == "" {
		c.add(at.Child("operator"), "is missing")
	}
	oneOf(c, at.Child("operator"), rule.ExitCodes.Operator, corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn)
	switch n := len(rule.ExitCodes.Values); {
	case n == 0:
		c.add(at.Child("values"), "at least one is required")
	case n > maxExitCodes:
		c.add(at.Child("values"), "must not be more than %d", maxExitCodes)
	}
}

// terminationMessage is where a container leaves its last words.
func (c check) terminationMessage(at *field.Path, container *corev1.Container) {
	if p := container.TerminationMessagePath; p != "" && !path.IsAbs(p) {
		c.add(at.Child("terminationMessagePath"), "must be an absolute path")
	}
	oneOf(c, at.Child("terminationMessagePolicy"), container.TerminationMessagePolicy,
		corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)
}
