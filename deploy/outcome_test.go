package deploy

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/history"
	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
)

func TestWhatOnlyWaitsIsNotCalledFailed(t *testing.T) {
	unplaced := &corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse}}}
	of := func(kind string, health plan.Health, pod *corev1.PodStatus, summary string) plan.ObjectStatus {
		return plan.ObjectStatus{Ref: manifests.Ref{Kind: kind, Namespace: "default", Name: "a"}, Health: health, Message: "why", Pod: pod,
			Summary: map[string]string{"status": summary}}
	}
	placed := of("Pod", plan.Stalled, &corev1.PodStatus{Phase: corev1.PodFailed}, "")
	waiting, claim := of("Pod", plan.Stalled, unplaced, ""), of("PersistentVolumeClaim", plan.Stalled, nil, "Pending")
	lost, web := of("PersistentVolumeClaim", plan.Stalled, nil, "Lost"), of("Deployment", plan.Reconciling, nil, "")
	unpublished, unaddressed := of("Service", plan.Stalled, nil, ""), of("Service", plan.Stalled, nil, "")
	unpublished.Conditions = []metav1.Condition{{Type: corev1.LoadBalancerPortsError, Status: metav1.ConditionTrue, Reason: plan.PortAlreadyAllocated}}
	broken := of("Service", plan.Stalled, nil, "")
	broken.Conditions = []metav1.Condition{{Type: corev1.LoadBalancerPortsError, Status: metav1.ConditionTrue, Reason: plan.SyncLoadBalancerFailed}}
	shut := of("Ingress", plan.Stalled, nil, "")
	shut.Conditions = unpublished.Conditions
	for _, c := range []struct {
		name    string
		objects []plan.ObjectStatus
		outcome history.Outcome
		message string
		waits   bool
	}{
		{"nothing", nil, history.Ready, "", false},
		{"a pod that cannot be placed", []plan.ObjectStatus{web, waiting}, history.Failed, "Pod default/a: why", true},
		{"a claim that is not bound", []plan.ObjectStatus{claim, waiting, web}, history.Failed, "PersistentVolumeClaim default/a: why", true},
		{"Ingresses whose port somebody else has", []plan.ObjectStatus{shut, web}, history.Failed, "Ingress default/a: why", true},
		{"a claim that has lost its volume", []plan.ObjectStatus{waiting, lost}, history.Failed, "PersistentVolumeClaim default/a: why", false},
		{"a Service whose port somebody else has", []plan.ObjectStatus{unpublished, web}, history.Failed, "Service default/a: why", true},
		{"a Service that the engine does not publish", []plan.ObjectStatus{broken}, history.Failed, "Service default/a: why", false},
		{"a Service without an address", []plan.ObjectStatus{unpublished, unaddressed}, history.Failed, "Service default/a: why", false},
		{"a pod that failed", []plan.ObjectStatus{claim, placed}, history.Failed, "Pod default/a: why", false},
		{"a rollout", []plan.ObjectStatus{web}, history.Applying, "Deployment default/a: why", false},
	} {
		outcome, message, waits := verdict(c.objects)
		if outcome != c.outcome || message != c.message || waits != c.waits {
			t.Errorf("%s: %s, %q, waits %t; want %s, %q, %t", c.name, outcome, message, waits, c.outcome, c.message, c.waits)
		}
	}
	d := &Deployer{applied: &applied{name: "main@sha1:5394cb7f", outcome: history.Failed, message: "Pod default/a: why", waits: true}}
	if _, words := d.phrase(); words != "commit 5394cb7 is not ready: Pod default/a: why" {
		t.Errorf("the headline is %q", words)
	}
}
