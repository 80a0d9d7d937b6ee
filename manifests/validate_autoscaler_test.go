package manifests

import (
	"slices"
	"strings"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

func autoscaler(spec string) string {
	return workloadOf("apps/v1", "ReplicaSet", "web", webSelector) + `---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: ReplicaSet, name: web}
` + spec
}

const (
	byValue = "  maxReplicas: 3\n  metrics: [{type: Resource, resource: {name: cpu, target: {type: AverageValue, averageValue: 1}}}]\n"
	byUsage = "{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}"
)

func TestHorizontalPodAutoscalers(t *testing.T) {
	runCases(t, []validateCase{
		{name: "an average value", yaml: autoscaler(byValue)},
		{name: "a utilization without requests", yaml: autoscaler("  maxReplicas: 3\n  metrics: [" + byUsage + "]\n"), warnings: []string{
			"a.yaml:16: HorizontalPodAutoscaler default/web: spec.metrics[0].resource: container app of ReplicaSet default/web has no request for cpu, of which a utilization is the percentage: nothing is scaled by this metric"}},
		{name: "a target that is not in the commit", yaml: `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  maxReplicas: 3
`, warnings: []string{"a.yaml:5: HorizontalPodAutoscaler default/web: spec.scaleTargetRef: Deployment default/web is not in the commit: nothing is scaled, and what this autoscaler scaled before keeps its pods until this is corrected"}},
		{name: "numbers of replicas", yaml: autoscaler(byValue + "  minReplicas: 4\n"), errors: []string{
			"a.yaml:15: spec.maxReplicas: must not be less than minReplicas (4)"}},
		{name: "no replicas at all", yaml: autoscaler("  minReplicas: 0\n"), errors: []string{
			"a.yaml:13: spec.maxReplicas: must be greater than 0",
			"a.yaml:15: spec.minReplicas: must be greater than 0: scaling to zero needs metrics that there are not here"}},
		{name: "metrics", yaml: autoscaler(`  maxReplicas: 3
  metrics:
  - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 0}}}
  - {type: Resource, resource: {name: storage, target: {type: AverageValue, averageValue: 0}}}
  - {type: Resource, resource: {name: cpu, target: {type: Utilization}}}
  - {type: ContainerResource, containerResource: {name: cpu, target: {type: AverageValue, averageValue: 1}}}
  - {type: Resource, pods: {metric: {name: a}, target: {type: AverageValue, averageValue: 1}}}
  - {type: Requests}
`), errors: []string{
			"a.yaml:17: spec.metrics[0].resource.target.averageUtilization: must be greater than 0",
			"a.yaml:18: spec.metrics[1].resource.name: must be one of cpu or memory",
			"a.yaml:18: spec.metrics[1].resource.target.averageValue: must be greater than 0",
			"a.yaml:19: spec.metrics[2].resource.target.averageUtilization: is missing: a target is averageUtilization or averageValue",
			"a.yaml:20: spec.metrics[3].containerResource.container: is missing",
			"a.yaml:21: spec.metrics[4].pods: must not be set when the type is Resource",
			"a.yaml:21: spec.metrics[4].resource: is missing, and the type is Resource",
			"a.yaml:22: spec.metrics[5].type: must be one of Resource, ContainerResource, Pods, Object or External",
		}},
		{name: "metrics that there are not", yaml: autoscaler("  maxReplicas: 3\n  metrics: [{type: Pods, pods: {metric: {name: a}, target: {type: AverageValue, averageValue: 1}}}]\n"),
			warnings: []string{"a.yaml:16: HorizontalPodAutoscaler default/web: spec.metrics[0].pods: " + noMetricsAPI}},
		{name: "a behavior", yaml: autoscaler(byValue + `  behavior:
    scaleUp: {stabilizationWindowSeconds: 3601, selectPolicy: Most, tolerance: -1}
    scaleDown: {policies: [{type: Pods, value: 0, periodSeconds: 1801}, {type: Nodes, value: 1, periodSeconds: 60}]}
`), errors: []string{
			"a.yaml:18: spec.behavior.scaleUp.selectPolicy: must be one of Max, Min or Disabled",
			"a.yaml:18: spec.behavior.scaleUp.stabilizationWindowSeconds: must be between 0 and 3600",
			"a.yaml:18: spec.behavior.scaleUp.tolerance: must not be less than 0",
			"a.yaml:19: spec.behavior.scaleDown.policies[0].periodSeconds: must be between 1 and 1800",
			"a.yaml:19: spec.behavior.scaleDown.policies[0].value: must be greater than 0",
			"a.yaml:19: spec.behavior.scaleDown.policies[1].type: must be one of Pods or Percent",
		}},
		{name: "a behavior without policies", yaml: autoscaler(byValue + "  behavior: {scaleUp: {policies: []}}\n"), errors: []string{
			"a.yaml:17: spec.behavior.scaleUp.policies: must not be empty: leave it out for the defaults"}},
		{name: "a quantity that is none", yaml: autoscaler(byValue + "  behavior: {scaleUp: {tolerance: much}}\n"),
			errors: []string{"a.yaml:17: spec.behavior.scaleUp.tolerance: must be a quantity, as 100m, 0.5 or 64Mi"}},
	})
}

// TestDefaultsOfAnAutoscaler are upstream's: 80 % of CPU where there are no metrics, and rules only beside other rules.
func TestDefaultsOfAnAutoscaler(t *testing.T) {
	plain := &autoscalingv2.HorizontalPodAutoscaler{}
	setDefaults(plain)
	if *plain.Spec.MinReplicas != 1 || *plain.Spec.Metrics[0].Resource.Target.AverageUtilization != 80 || plain.Spec.Behavior != nil {
		t.Errorf("%+v", plain.Spec)
	}
	ruled := &autoscalingv2.HorizontalPodAutoscaler{}
	ruled.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &autoscalingv2.HPAScalingRules{}}
	setDefaults(ruled)
	up, down := ruled.Spec.Behavior.ScaleUp, ruled.Spec.Behavior.ScaleDown
	if *up.StabilizationWindowSeconds != 0 || *up.SelectPolicy != "Max" || len(up.Policies) != 2 || up.Policies[0].Value != 4 || up.Policies[1].Value != 100 {
		t.Errorf("scaleUp: %+v", up)
	}
	if down.StabilizationWindowSeconds != nil || *down.SelectPolicy != "Max" || len(down.Policies) != 1 || down.Policies[0].PeriodSeconds != 15 {
		t.Errorf("scaleDown: %+v", down)
	}
}

// TestAnAutoscalerOfVersion1 is one of version 2.
func TestAnAutoscalerOfVersion1(t *testing.T) {
	set := mustLoad(t, workloadOf("apps/v1", "ReplicaSet", "web", webSelector)+`---
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata: {name: web, labels: {a: b}}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: ReplicaSet, name: web}
  minReplicas: 2
  maxReplicas: 5
  targetCPUUtilizationPercentage: 60
`)
	found := All[*autoscalingv2.HorizontalPodAutoscaler](set)
	if len(found) != 1 {
		t.Fatalf("%d autoscalers", len(found))
	}
	a := found[0]
	if a.Labels["a"] != "b" || *a.Spec.MinReplicas != 2 || a.Spec.MaxReplicas != 5 || a.Spec.ScaleTargetRef.Kind != "ReplicaSet" ||
		len(a.Spec.Metrics) != 1 || *a.Spec.Metrics[0].Resource.Target.AverageUtilization != 60 || a.Spec.Metrics[0].Resource.Name != "cpu" {
		t.Errorf("%+v", a)
	}
}

// TestReplicasThatAnAutoscalerDecides: a commit that changes them is told so; one that begins or ends with it is not.
func TestReplicasThatAnAutoscalerDecides(t *testing.T) {
	with := func(replicas string) *Set {
		return mustLoad(t, strings.Replace(autoscaler(byValue), "spec:\n", "spec:\n  replicas: "+replicas+"\n", 1))
	}
	without := func(replicas string) *Set {
		return mustLoad(t, workloadOf("apps/v1", "ReplicaSet", "web", webSelector+"  replicas: "+replicas+"\n"))
	}
	for _, c := range []struct {
		name          string
		before, after *Set
		want          []string
	}{
		{"changed", with("1"), with("2"), []string{
			"a.yaml:5: ReplicaSet default/web: spec.replicas: HorizontalPodAutoscaler default/web decides: to go from 1 to 2 in git changes nothing"}},
		{"as before", with("2"), with("2"), nil},
		{"to none", with("2"), with("0"), nil},
		{"the first commit", nil, with("2"), nil},
		{"with a new autoscaler", without("1"), with("2"), nil},
		{"without one any more", with("1"), without("2"), nil},
	} {
		var got []string
		for _, w := range IgnoredReplicas(c.before, c.after) {
			got = append(got, w.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func mustLoad(t *testing.T, text string) *Set {
	t.Helper()
	set, errs := assembleText(t, text)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return set
}
