package reconcile

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

func TestDebugStartsAContainerInARunningPod(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {}, "tools:1": {}}, func(y *yard) {
		y.create(onePod(corev1.Container{Name: "main", LivenessProbe: tcp(livenessPort)}), "main")
		debug := func(name, image, target string) (string, error) {
			return y.r.Debug(y.Context(), "default", "one", corev1.EphemeralContainer{TargetContainerName: target,
				EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: name, Image: image, Command: []string{"sh"}, Stdin: true, TTY: true}})
		}
		id, err := debug("debugger", "tools:1", "main")
		if err != nil {
			t.Fatal(err)
		}
		if c := y.container("debugger"); c.ID != id || c.State != runtime.Running || c.Image != "tools:1" {
			t.Errorf("%+v", c)
		}
		for want, call := range map[string]func() (string, error){
			"pod default/one has a container named debugger already: choose another name": func() (string, error) { return debug("debugger", "tools:1", "") },
			"pod default/one has a container named main already: choose another name":     func() (string, error) { return debug("main", "tools:1", "") },
			"no container other runs in pod default/one":                                  func() (string, error) { return debug("d2", "tools:1", "other") },
			"debug pod default/one: no image is given":                                    func() (string, error) { return debug("d2", "", "") },
		} {
			if _, err := call(); err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		}
		if _, err := y.r.Debug(y.Context(), "default", "two", corev1.EphemeralContainer{}); !errors.Is(err, runtime.ErrNotFound) {
			t.Errorf("a pod that is not there: %v", err)
		}
		if err := y.r.apply(y.Context(), nil, plan.DeletePod{PodRef: y.ref(), Grace: 5 * time.Second}); err != nil || len(y.state().Pods) != 0 {
			t.Errorf("deleted with its debug container: %v", err)
		}
	})
}

func TestDebugPullsAsThePolicyAsks(t *testing.T) {
	for image, want := range map[string]bool{"tools": true, "tools:latest": true, "tools:1": false, "r.example.com:5000/tools": true, "tools@sha256:0": false} {
		if got := alwaysPulled(&corev1.Container{Image: image}); got != want {
			t.Errorf("%s: %t", image, got)
		}
	}
	if !alwaysPulled(&corev1.Container{Image: "tools:1", ImagePullPolicy: corev1.PullAlways}) {
		t.Error("Always is not heeded")
	}
}
