package plan_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

func (w *world) print(result plan.Result) {
	for _, a := range result.Actions {
		if note, ok := a.(plan.WriteNote); ok && note.Object.Kind == "Deployment" {
			continue // each rollout has two; the command notes prints them
		}
		fmt.Fprintf(&w.out, "%s: %s%s\n", a, a.Why(), besides(a))
	}
	if !result.NextCheck.IsZero() {
		fmt.Fprintf(&w.out, "next check in %s\n", result.NextCheck.Sub(w.now))
	}
}

// besides is what an action says that is neither in its words nor as always.
func besides(a plan.Action) string {
	switch a := a.(type) {
	case plan.PullImage:
		if len(a.Secrets) > 0 {
			return fmt.Sprintf(" [secrets %v]", a.Secrets)
		}
	case plan.CreatePod:
		if len(a.Containers) > 1 || len(a.Pod.Spec.InitContainers) > 0 {
			return fmt.Sprintf(" %v", a.Containers)
		}
	case plan.StopContainer:
		return grace(a.Grace)
	case plan.KillPod:
		if a.KeepSandbox {
			return grace(a.Grace) + " [keeps the sandbox]"
		}
		return grace(a.Grace)
	case plan.DeletePod:
		return grace(a.Grace)
	}
	return ""
}

func grace(d time.Duration) string {
	if d == 30*time.Second {
		return ""
	}
	return fmt.Sprintf(" [within %s]", d)
}

func (w *world) status(kind string) {
	for _, s := range w.plan().Objects {
		if kind != "" && s.Kind != kind {
			continue
		}
		fmt.Fprintf(&w.out, "%s: %s", s.Ref, s.Health)
		if s.Message != "" {
			fmt.Fprintf(&w.out, ": %s", s.Message)
		}
		for _, c := range s.Conditions {
			fmt.Fprintf(&w.out, " [%s=%s %s]", c.Type, c.Status, c.Reason)
		}
		if slices.Contains([]string{"PersistentVolume", "PersistentVolumeClaim", "ResourceQuota", "PodDisruptionBudget", "HorizontalPodAutoscaler", "Ingress"}, s.Kind) {
			for _, key := range slices.Sorted(maps.Keys(s.Summary)) {
				if s.Summary[key] != "" {
					fmt.Fprintf(&w.out, " %s=%s", key, s.Summary[key])
				}
			}
		}
		fmt.Fprintln(&w.out)
	}
}

// printPods prints what the kubelet would report; times count from the story's beginning.
func (w *world) printPods(patterns []string) {
	for _, s := range w.plan().Objects {
		matches := func(glob string) bool { ok, _ := filepath.Match(glob, s.Name); return ok }
		if s.Pod == nil || !slices.ContainsFunc(patterns, matches) {
			continue
		}
		p := s.Pod
		fmt.Fprintf(&w.out, "%s: %s %s", s.Ref, p.Phase, p.QOSClass)
		if p.StartTime != nil {
			fmt.Fprintf(&w.out, " since %s", p.StartTime.Sub(epoch))
		}
		if p.PodIP != "" {
			fmt.Fprintf(&w.out, " at %s on %s", p.PodIP, p.HostIP)
		}
		if p.Reason != "" {
			fmt.Fprintf(&w.out, " %s %q", p.Reason, p.Message)
		}
		fmt.Fprintln(&w.out)
		for _, c := range p.Conditions {
			w.printCondition(c)
		}
		w.printContainers("init container", p.InitContainerStatuses)
		w.printContainers("container", p.ContainerStatuses)
		w.printContainers("ephemeral container", p.EphemeralContainerStatuses)
	}
}

// identity of a pod is the same whenever it is made anew, where that is what its owner promises.
func (w *world) identity(p *runtime.Pod) {
	m := p.Manifest
	fmt.Fprintf(&w.out, "%s:", m.Name)
	for _, key := range slices.Sorted(maps.Keys(m.Labels)) {
		fmt.Fprintf(&w.out, " %s=%s", key, m.Labels[key])
	}
	for _, o := range m.OwnerReferences {
		fmt.Fprintf(&w.out, "; of %s %s %s", o.APIVersion, o.Kind, o.Name)
	}
	if m.Spec.Hostname != "" {
		fmt.Fprintf(&w.out, "; %s.%s", m.Spec.Hostname, m.Spec.Subdomain)
	}
	for _, v := range m.Spec.Volumes {
		if c := v.PersistentVolumeClaim; c != nil {
			fmt.Fprintf(&w.out, "; %s=%s", v.Name, c.ClaimName)
		}
	}
	if index, there := m.Annotations[batchv1.JobCompletionIndexAnnotation]; there {
		fmt.Fprintf(&w.out, "; annotated with index %s", index)
	}
	for _, e := range m.Spec.Containers[0].Env {
		if e.ValueFrom != nil && e.ValueFrom.FieldRef != nil {
			fmt.Fprintf(&w.out, "; %s=%s", e.Name, e.ValueFrom.FieldRef.FieldPath)
		}
	}
	fmt.Fprintln(&w.out)
}

func (w *world) printCondition(c corev1.PodCondition) {
	fmt.Fprintf(&w.out, "  %s=%s", c.Type, c.Status)
	if !c.LastTransitionTime.IsZero() {
		fmt.Fprintf(&w.out, " since %s", c.LastTransitionTime.Sub(epoch))
	}
	if c.Reason != "" {
		fmt.Fprintf(&w.out, " %s", c.Reason)
	}
	if c.Message != "" {
		fmt.Fprintf(&w.out, " %q", c.Message)
	}
	fmt.Fprintln(&w.out)
}

func (w *world) printContainers(kind string, list []corev1.ContainerStatus) {
	for _, c := range list {
		fmt.Fprintf(&w.out, "  %s %s: %s", kind, c.Name, containerState(c.State))
		if c.Ready {
			fmt.Fprint(&w.out, " ready")
		} else if *c.Started {
			fmt.Fprint(&w.out, " started")
		}
		if c.RestartCount > 0 {
			fmt.Fprintf(&w.out, " restarts=%d", c.RestartCount)
		}
		if last := containerState(c.LastTerminationState); last != "" {
			fmt.Fprintf(&w.out, "; before: %s", last)
		}
		fmt.Fprintln(&w.out)
	}
}

func containerState(s corev1.ContainerState) string {
	switch {
	case s.Waiting != nil:
		return strings.TrimSpace("waiting " + s.Waiting.Reason + " " + quoted(s.Waiting.Message))
	case s.Running != nil:
		return fmt.Sprintf("running since %s", s.Running.StartedAt.Sub(epoch))
	case s.Terminated != nil:
		t := s.Terminated
		text := fmt.Sprintf("%s %d %s", t.Reason, t.ExitCode, quoted(t.Message))
		if !t.FinishedAt.IsZero() {
			text = fmt.Sprintf("%s, %s to %s", strings.TrimSpace(text), t.StartedAt.Sub(epoch), t.FinishedAt.Sub(epoch))
		}
		return strings.TrimSpace(text)
	}
	return ""
}

func quoted(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf("%q", text)
}

// cronNote prints what is noted of a CronJob.
func (w *world) cronNote(name string) {
	var c batchv1.CronJob
	w.must(json.Unmarshal([]byte(w.state.Notes[name]), &c))
	fmt.Fprintf(&w.out, "%s: seen at %s", name, c.CreationTimestamp.Sub(epoch))
	if at := c.Status.LastScheduleTime; at != nil {
		fmt.Fprintf(&w.out, ", last start %s", at.Sub(epoch))
	}
	if at := c.Status.LastSuccessfulTime; at != nil {
		fmt.Fprintf(&w.out, ", last success %s", at.Sub(epoch))
	}
	fmt.Fprintln(&w.out)
}

// notes prints Jobs as the notes tell of them; times count from the story's beginning.
func (w *world) notes() {
	for _, name := range slices.Sorted(maps.Keys(w.state.Notes)) {
		if strings.HasPrefix(name, "CronJob/") {
			w.cronNote(name)
			continue
		}
		if !strings.HasPrefix(name, "Job/") {
			text := w.state.Notes[name]
			var pod corev1.Pod
			if json.Unmarshal([]byte(text), &pod) == nil && pod.Kind == "Pod" {
				text = "Pod " + pod.Name + " with image " + pod.Spec.Containers[0].Image
			}
			fmt.Fprintf(&w.out, "%s %s\n", name, text)
			continue
		}
		var j batchv1.Job
		w.must(json.Unmarshal([]byte(w.state.Notes[name]), &j))
		s := &j.Status
		fmt.Fprintf(&w.out, "%s: succeeded=%d failed=%d", name, s.Succeeded, s.Failed)
		if s.CompletedIndexes != "" {
			fmt.Fprintf(&w.out, " completed=%s", s.CompletedIndexes)
		}
		if s.FailedIndexes != nil {
			fmt.Fprintf(&w.out, " failed indexes=%q", *s.FailedIndexes)
		}
		if s.StartTime != nil {
			fmt.Fprintf(&w.out, " since %s", s.StartTime.Sub(epoch))
		}
		if s.CompletionTime != nil {
			fmt.Fprintf(&w.out, " until %s", s.CompletionTime.Sub(epoch))
		}
		for _, c := range s.Conditions {
			fmt.Fprintf(&w.out, " [%s=%s %s]", c.Type, c.Status, c.Reason)
		}
		if at := j.Annotations[batchv1.CronJobScheduledTimestampAnnotation]; at != "" {
			fmt.Fprintf(&w.out, " due at %s, of %s %s", at, j.OwnerReferences[0].Kind, j.OwnerReferences[0].Name)
		}
		fmt.Fprintln(&w.out)
	}
}

func (w *world) routes() {
	routes := w.plan().Routes
	for _, s := range routes.Services {
		fmt.Fprintf(&w.out, "%s/%s %s\n", s.Namespace, s.Name, s.Spec.ClusterIP)
		for _, slice := range routes.Endpoints {
			if slice.Namespace == s.Namespace && slice.Labels[discoveryv1.LabelServiceName] == s.Name {
				w.slice(slice)
			}
		}
	}
	for _, v := range routes.Ingresses {
		w.ingress(v)
	}
	for _, name := range slices.Sorted(maps.Keys(routes.Certificates)) {
		c := routes.Certificates[name]
		fmt.Fprintf(&w.out, "certificate %s: %d and %d lines, printed as %v\n", name, strings.Count(string(c.Chain), "\n"), strings.Count(string(c.Key), "\n"), c)
	}
}

// ingress prints each path, and the Service that it leads to.
func (w *world) ingress(v *networkingv1.Ingress) {
	fmt.Fprintf(&w.out, "Ingress %s/%s\n", v.Namespace, v.Name)
	if b := v.Spec.DefaultBackend; b != nil {
		fmt.Fprintf(&w.out, "  else → %s:%d%s\n", b.Service.Name, b.Service.Port.Number, b.Service.Port.Name)
	}
	for _, rule := range v.Spec.Rules {
		for _, path := range rule.HTTP.Paths {
			port := path.Backend.Service.Port
			fmt.Fprintf(&w.out, "  %s%s → %s:%d%s\n", cmp.Or(rule.Host, "*"), path.Path, path.Backend.Service.Name, port.Number, port.Name)
		}
	}
}

// slice prints its name if it is not the Service's own.
func (w *world) slice(slice *discoveryv1.EndpointSlice) {
	if slice.Name != slice.Labels[discoveryv1.LabelServiceName] {
		fmt.Fprintf(&w.out, " and %s\n", slice.Name)
	}
	for _, port := range slice.Ports {
		fmt.Fprintf(&w.out, "  port %q → %d/%s\n", *port.Name, *port.Port, *port.Protocol)
	}
	for _, e := range slice.Endpoints {
		fmt.Fprintf(&w.out, "  %s ready=%s serving=%s terminating=%s", strings.Join(e.Addresses, " "), said(e.Conditions.Ready), said(e.Conditions.Serving), said(e.Conditions.Terminating))
		if e.Hostname != nil && e.TargetRef == nil {
			fmt.Fprintf(&w.out, " %s", *e.Hostname)
		}
		fmt.Fprintln(&w.out)
	}
}

// said is a condition, of which nothing may be said.
func said(condition *bool) string {
	if condition == nil {
		return "?"
	}
	return strconv.FormatBool(*condition)
}
