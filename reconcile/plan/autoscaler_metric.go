package plan

import (
	"fmt"
	"math"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// Metered are the running pods that the autoscalers of a commit look at; some tells whether there are autoscalers.
func Metered(desired *manifests.Set, observed *runtime.State) (pods []*runtime.Pod, some bool) {
	metered := map[*runtime.Pod]bool{}
	for _, a := range autoscalers(desired, observed) {
		if a.target == nil {
			continue
		}
		some = true
		selector := podSelector(a.target)
		for i := range observed.Pods {
			pod := &observed.Pods[i]
			if pod.Phase == runtime.Running && !metered[pod] && a.selects(selector, pod) {
				metered[pod] = true
				pods = append(pods, pod)
			}
		}
	}
	return pods, some
}

func (a *autoscaler) selects(selector labels.Selector, pod *runtime.Pod) bool {
	return pod.Manifest.Namespace == a.Namespace && pod.Phase != runtime.Missing && selector.Matches(labels.Set(pod.Manifest.Labels))
}

// findScaledPods finds the pods of each autoscaler, and those at which several look.
func (p *planner) findScaledPods() {
	first := map[*podView]*autoscaler{}
	for _, a := range p.autoscalers {
		if a.target == nil {
			continue
		}
		selector := podSelector(a.target)
		for _, v := range p.pods {
			if !a.selects(selector, v.Pod) {
				continue
			}
			a.pods = append(a.pods, v)
			if other := first[v]; other != nil {
				a.ambiguous, other.ambiguous = other.Name, a.Name
			} else {
				first[v] = a
			}
		}
	}
}

// Bounds of upstream: --horizontal-pod-autoscaler-tolerance, -cpu-initialization-period and -initial-readiness-delay.
const (
	defaultTolerance            = 0.1
	cpuInitialization           = 5 * time.Minute
	initialReadinessDelay       = 30 * time.Second
	fullUtilization       int64 = 100
)

// proposal is the most replicas that any metric asks for, and that metric; ok is false if they do not tell. Upstream:
// computeReplicasForMetrics.
func (a *autoscaler) proposal() (replicas int32, metric string, ok bool) {
	a.status.CurrentMetrics = make([]autoscalingv2.MetricStatus, len(a.Spec.Metrics))
	if a.ambiguous != "" {
		a.set(autoscalingv2.ScalingActive, false, "AmbiguousSelector", fmt.Sprintf("pods by selector %s are controlled by multiple HPAs: %s and %s",
			podSelector(a.target), min(a.Name, a.ambiguous), max(a.Name, a.ambiguous)))
		return 0, "", false
	}
	invalid, firstReason := 0, ""
	var first error
	for i := range a.Spec.Metrics {
		n, name, reason, err := a.judgeMetric(&a.Spec.Metrics[i], &a.status.CurrentMetrics[i])
		switch {
		case err != nil:
			if invalid++; first == nil {
				first, firstReason = err, reason
			}
		case replicas == 0 || n > replicas:
			replicas, metric = n, name
		}
	}
	if invalid == len(a.Spec.Metrics) || invalid > 0 && replicas < a.current {
		a.set(autoscalingv2.ScalingActive, false, firstReason, "the HPA was unable to compute the replica count: "+first.Error())
		return 0, "", false
	}
	a.set(autoscalingv2.ScalingActive, true, "ValidMetricFound", "the HPA was able to successfully calculate a replica count from "+metric)
	return replicas, metric, true
}

// judgeMetric is upstream's computeReplicasForMetric.
func (a *autoscaler) judgeMetric(m *autoscalingv2.MetricSpec, status *autoscalingv2.MetricStatus) (n int32, name, reason string, err error) {
	status.Type = m.Type
	switch m.Type {
	case autoscalingv2.ResourceMetricSourceType:
		u := usage{autoscaler: a, resource: m.Resource.Name, target: m.Resource.Target}
		n, current, err := u.replicas()
		status.Resource = &autoscalingv2.ResourceMetricStatus{Name: u.resource, Current: current}
		return n, u.name(), "FailedGetResourceMetric", err
	case autoscalingv2.ContainerResourceMetricSourceType:
		u := usage{autoscaler: a, resource: m.ContainerResource.Name, target: m.ContainerResource.Target, container: m.ContainerResource.Container}
		n, current, err := u.replicas()
		status.ContainerResource = &autoscalingv2.ContainerResourceMetricStatus{Name: u.resource, Container: u.container, Current: current}
		return n, u.name(), "FailedGetContainerResourceMetric", err
	case autoscalingv2.ExternalMetricSourceType:
		return 0, "", "FailedGetExternalMetric", fmt.Errorf("unable to get external metric %s/%s: no external metrics API (external.metrics.k8s.io) registered",
			a.Namespace, m.External.Metric.Name)
	case autoscalingv2.ObjectMetricSourceType:
		return 0, "", "FailedGetObjectMetric", noCustomMetrics(m.Object.Metric.Name)
	default:
		return 0, "", "FailedGetPodsMetric", noCustomMetrics(m.Pods.Metric.Name)
	}
}

func noCustomMetrics(name string) error {
	return fmt.Errorf("unable to get metric %s: unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered", name)
}

// usage is what pods use of a resource, or one container of each, against a target. Amounts are thousandths.
type usage struct {
	*autoscaler
	resource  corev1.ResourceName
	container string
	target    autoscalingv2.MetricTarget

	metrics, requests map[*podView]int64
	// ready counts the pods whose metrics count as they are. Those that are unready count nothing when the number of
	// replicas grows, those without metrics count nothing when it grows and what they asked for when it shrinks.
	ready            int
	unready, missing []*podView
}

func (u *usage) name() string {
	name := fmt.Sprintf("%s resource", u.resource)
	if u.container != "" {
		name = fmt.Sprintf("%s container resource", u.resource)
	}
	if u.target.AverageValue == nil {
		name += " utilization (percentage of request)"
	}
	return name
}

// replicas is upstream's GetResourceReplicas and, for an average value, calcPlainMetricReplicas.
func (u *usage) replicas() (int32, autoscalingv2.MetricValueStatus, error) {
	n, status, err := u.count()
	if err != nil {
		what := "utilization"
		if u.target.AverageValue != nil {
			what = "usage"
		}
		err = fmt.Errorf("failed to get %s %s: %w", u.resource, what, err)
	}
	return n, status, err
}

func (u *usage) count() (int32, autoscalingv2.MetricValueStatus, error) {
	if err := u.read(); err != nil {
		return 0, autoscalingv2.MetricValueStatus{}, err
	}
	u.group()
	if len(u.metrics) == 0 {
		return 0, autoscalingv2.MetricValueStatus{}, fmt.Errorf("did not receive metrics for targeted pods (pods might be unready)")
	}
	if err := u.request(); err != nil {
		return 0, autoscalingv2.MetricValueStatus{}, err
	}
	ratio, status, err := u.ratio()
	if err != nil {
		return 0, status, err
	}
	growsUnready := len(u.unready) > 0 && ratio > 1
	if !growsUnready && len(u.missing) == 0 {
		if u.tolerated(ratio) {
			return u.current, status, nil
		}
		return int32(math.Ceil(ratio * float64(u.ready))), status, nil
	}
	n, err := u.cautious(ratio, growsUnready)
	return n, status, err
}

// cautious counts the pods of which nothing is known as what makes the change smaller, and changes nothing if that turns its
// direction. Worked example: 3 pods at 10, 40 and 60 % of a target of 50 %, the first not ready, ask for the mean of 0, 40 and
// 60 %: 0.67 of the target; without it, it was 1. So nothing is changed.
func (u *usage) cautious(ratio float64, growsUnready bool) (int32, error) {
	for _, v := range u.missing {
		switch {
		case ratio < 1:
			u.metrics[v] = u.fallback(v)
		case ratio > 1 || u.target.AverageValue != nil:
			u.metrics[v] = 0
		}
	}
	if growsUnready {
		for _, v := range u.unready {
			u.metrics[v] = 0
		}
	}
	careful, _, err := u.ratio()
	if err != nil {
		return 0, err
	}
	n := int32(math.Ceil(careful * float64(len(u.metrics))))
	turned := ratio < 1 && careful > 1 || ratio > 1 && careful < 1
	if u.tolerated(careful) || turned || careful < 1 && n > u.current || careful > 1 && n < u.current {
		return u.current, nil
	}
	return n, nil
}

// fallback is what a pod without metrics counts as when the number of replicas shrinks.
func (u *usage) fallback(v *podView) int64 {
	if u.target.AverageValue != nil {
		return u.target.AverageValue.MilliValue()
	}
	return u.requests[v] * max(fullUtilization, int64(*u.target.AverageUtilization)) / fullUtilization
}

// read takes the metrics of the sample. Upstream: GetResourceMetric (pkg/controller/podautoscaler/metrics/client.go).
func (u *usage) read() error {
	u.metrics = map[*podView]int64{}
	for _, v := range u.pods {
		if v.Metrics == nil {
			continue
		}
		found := u.container == ""
		for name, c := range v.Metrics.Containers {
			if u.container != "" && u.container != name {
				continue
			}
			found = true
			u.metrics[v] += amount(c, u.resource)
		}
		if !found {
			return fmt.Errorf("unable to get metrics for resource %s: container %s not present in metrics for pod %s/%s",
				u.resource, u.container, u.Namespace, v.Manifest.Name)
		}
	}
	switch {
	case len(u.pods) == 0:
		return fmt.Errorf("no pods returned by selector while calculating replica count")
	case len(u.metrics) == 0:
		return fmt.Errorf("unable to get metrics for resource %s: no metrics returned from resource metrics API", u.resource)
	}
	return nil
}

func amount(c runtime.ContainerMetrics, name corev1.ResourceName) int64 {
	if name == corev1.ResourceMemory {
		return c.Memory * 1000
	}
	return c.CPU
}

// group is upstream's groupPods.
func (u *usage) group() {
	for _, v := range u.pods {
		_, known := u.metrics[v]
		switch {
		case v.deleted || v.phase == corev1.PodFailed:
			delete(u.metrics, v)
		case v.phase == corev1.PodPending || known && u.resource == corev1.ResourceCPU && u.starting(v):
			delete(u.metrics, v)
			u.unready = append(u.unready, v)
		case !known:
			u.missing = append(u.missing, v)
		default:
			u.ready++
		}
	}
}

// starting tells that what a pod uses of CPU does not tell how busy it will be: it is not ready in its first minutes, or was
// not for all of the sample, or never was.
func (u *usage) starting(v *podView) bool {
	if v.CreatedAt.Add(cpuInitialization).After(u.at) {
		return !v.ready || v.Metrics.At.Before(v.readySince.Add(v.Metrics.Window))
	}
	return !v.ready && v.CreatedAt.Add(initialReadinessDelay).After(changedSince(v))
}

// changedSince is when a pod that is not ready stopped being so, or began.
func changedSince(v *podView) time.Time {
	var since time.Time
	for c := range serving(&v.Manifest.Spec) {
		if latest := Latest(v.Pod, c.Name); !ready(v.Pod, latest) {
			if at := unreadySince(v, c.Name); since.IsZero() || at.Before(since) {
				since = at
			}
		}
	}
	return since
}

// request adds up what pods asked for. Upstream: calculateRequests.
func (u *usage) request() error {
	if u.target.AverageValue != nil {
		return nil
	}
	u.requests = map[*podView]int64{}
	for _, v := range u.pods {
		for c := range serving(&v.Manifest.Spec) {
			if u.container != "" && u.container != c.Name {
				continue
			}
			request, there := c.Resources.Requests[u.resource]
			if !there {
				return fmt.Errorf("missing request for %s in container %s of Pod %s", u.resource, c.Name, v.Manifest.Name)
			}
			u.requests[v] += request.MilliValue()
		}
	}
	return nil
}

// ratio of what is used to the target. Upstream: GetResourceUtilizationRatio and GetMetricUsageRatio
// (pkg/controller/podautoscaler/metrics/utilization.go).
func (u *usage) ratio() (float64, autoscalingv2.MetricValueStatus, error) {
	var used, requested int64
	for v, amount := range u.metrics {
		used += amount
		requested += u.requests[v]
	}
	average := used / int64(len(u.metrics))
	status := autoscalingv2.MetricValueStatus{AverageValue: resource.NewMilliQuantity(average, resource.DecimalSI)}
	if u.target.AverageValue != nil {
		return float64(average) / float64(u.target.AverageValue.MilliValue()), status, nil
	}
	if requested == 0 {
		return 0, status, fmt.Errorf("no metrics returned matched known pods")
	}
	percent := int32(used * 100 / requested)
	status.AverageUtilization = &percent
	return float64(percent) / float64(*u.target.AverageUtilization), status, nil
}

// tolerated tells that a ratio is too near to 1 to change anything.
func (u *usage) tolerated(ratio float64) bool {
	up, down := defaultTolerance, defaultTolerance
	if b := u.Spec.Behavior; b != nil {
		if t := b.ScaleUp.Tolerance; t != nil {
			up = t.AsApproximateFloat64()
		}
		if t := b.ScaleDown.Tolerance; t != nil {
			down = t.AsApproximateFloat64()
		}
	}
	return 1-down <= ratio && ratio <= 1+up
}

// Serving are the running containers of a pod that serve: its app containers and sidecars. It is empty unless all of them run.
func Serving(pod *runtime.Pod) []*runtime.Container {
	var out []*runtime.Container
	for c := range serving(&pod.Manifest.Spec) {
		latest := Latest(pod, c.Name)
		if latest == nil || latest.State != runtime.Running {
			return nil
		}
		out = append(out, latest)
	}
	return out
}
