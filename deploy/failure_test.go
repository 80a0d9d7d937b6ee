package deploy

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// TestWhatMakesARolloutFail: a pod that was made for it and crash-loops or does not get its image, after four tries.
func TestWhatMakesARolloutFail(t *testing.T) {
	begin := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	deployment, replicaSet, job, cronJob, podRef := ref("Deployment"), ref("ReplicaSet"), ref("Job"), ref("CronJob"), ref("Pod")
	attempts := func(ended int, ready bool) []runtime.Container {
		var out []runtime.Container
		for i := range ended {
			out = append(out, runtime.Container{ID: "old", Name: "main", Attempt: i, State: runtime.Exited, ExitCode: 2})
		}
		return append(out, runtime.Container{ID: "new", Name: "main", Attempt: ended, State: runtime.Running, Ready: ready})
	}
	waiting := &corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
		{Image: "app:2", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}}}
	for _, c := range []struct {
		name       string
		root       manifests.Ref
		owners     []manifests.Ref
		containers []runtime.Container
		created    time.Time
		pod        *corev1.PodStatus
		pulls      int
		want       string
		log        string
	}{
		{"four ends", deployment, []manifests.Ref{deployment, replicaSet}, attempts(4, false), begin, nil, 0,
			"Pod default/a: container main has ended 4 times, the last time with exit code 2 (Error)", "old"},
		{"three ends", deployment, []manifests.Ref{deployment, replicaSet}, attempts(3, false), begin, nil, 0, "", ""},
		{"ready after all", deployment, []manifests.Ref{deployment, replicaSet}, attempts(5, true), begin, nil, 0, "", ""},
		{"an old pod", deployment, []manifests.Ref{deployment, replicaSet}, attempts(9, false), begin.Add(-time.Hour), nil, 0, "", ""},
		{"a pod of the commit", podRef, nil, attempts(4, false), begin, nil, 0,
			"Pod default/a: container main has ended 4 times, the last time with exit code 2 (Error)", "old"},
		{"what was not touched", ref("StatefulSet"), []manifests.Ref{ref("StatefulSet")}, attempts(9, false), begin, nil, 0, "", ""},
		{"a Job", job, []manifests.Ref{job}, attempts(9, false), begin, nil, 0, "", ""},
		{"the run of a CronJob", cronJob, []manifests.Ref{cronJob, job}, nil, begin, waiting, 9, "", ""},
		{"four pulls", deployment, []manifests.Ref{deployment, replicaSet}, nil, begin, waiting, 4,
			"Pod default/a: image app:2 could not be pulled 4 times: no such host", ""},
		{"three pulls", deployment, []manifests.Ref{deployment, replicaSet}, nil, begin, waiting, 3, "", ""},
		{"the image of a Job", job, []manifests.Ref{job}, nil, begin, waiting, 4,
			"Pod default/a: image app:2 could not be pulled 4 times: no such host", ""},
	} {
		s := reconcile.Status{State: &runtime.State{
			Images: map[string]runtime.Image{"app:2": {Failures: c.pulls, Error: "no such host"}},
			Pods: []runtime.Pod{{CreatedAt: c.created, Containers: c.containers,
				Manifest: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"}}}},
		}}
		var owner manifests.Ref
		for _, o := range c.owners {
			s.Result.Objects = append(s.Result.Objects, plan.ObjectStatus{Ref: o, Owner: owner, Health: plan.Reconciling})
			owner = o
		}
		if c.pod == nil {
			c.pod = &corev1.PodStatus{}
		}
		s.Result.Objects = append(s.Result.Objects, plan.ObjectStatus{Ref: podRef, Owner: owner, Pod: c.pod, Health: plan.Reconciling})
		touched := touched{objects: map[manifests.Ref]bool{deployment: true, job: true, cronJob: true, podRef: true}}
		f := findFailure(s, touched, begin)
		switch {
		case f == nil && c.want != "":
			t.Errorf("%s: is no failure", c.name)
		case f != nil && f.message != c.want:
			t.Errorf("%s: %q, want %q", c.name, f.message, c.want)
		case f != nil && c.log != "" && (f.container == nil || f.container.ID != c.log):
			t.Errorf("%s: the log is that of %+v", c.name, f.container)
		}
	}
}

func ref(kind string) manifests.Ref {
	return manifests.Ref{Kind: kind, Namespace: "default", Name: "a"}
}
