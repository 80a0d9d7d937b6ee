package manifests

import (
	"cmp"
	"reflect"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// setDefaults fills in what upstream's API server would (pkg/apis/core/v1/defaults.go, pkg/apis/apps/v1/defaults.go,
// pkg/apis/storage/v1/defaults.go, pkg/apis/autoscaling/v2/defaults.go, pkg/apis/discovery/v1/defaults.go).
func setDefaults(value any) {
	switch v := value.(type) {
	case *corev1.Pod:
		defaults{}.podSpec(&v.Spec)
	case *corev1.Secret:
		defaultSecret(v)
	case *corev1.Service:
		defaultService(v)
	case *Endpoints:
		defaultEndpoints(v)
	case *discoveryv1.EndpointSlice:
		defaultEndpointSlice(v)
	case *corev1.PersistentVolumeClaim:
		defaults{}.claim(&v.Spec)
	case *corev1.PersistentVolume:
		defaultPersistentVolume(v)
	case *storagev1.StorageClass:
		defaultStorageClass(v)
	case *corev1.LimitRange:
		defaultLimitRange(v)
	case *schedulingv1.PriorityClass:
		defaultPriorityClass(v)
	case *appsv1.Deployment:
		defaultDeployment(v)
	case *appsv1.ReplicaSet:
		point(defaults{}, &v.Spec.Replicas, int32(1))
		defaults{}.podSpec(&v.Spec.Template.Spec)
	case *corev1.ReplicationController:
		defaultReplicationController(v)
	case *appsv1.StatefulSet:
		defaultStatefulSet(v)
	case *appsv1.DaemonSet:
		defaultDaemonSet(v)
	case *batchv1.Job:
		defaultJob(v)
	case *autoscalingv2.HorizontalPodAutoscaler:
		defaultAutoscaler(v)
	case *batchv1.CronJob:
		defaultCronJob(v)
	}
}

// defaults of a pod are filled in, or with undo taken out again: what is left does not depend on whether a default was
// written in the manifest or filled in, nor on whether Podyard knew it at the time.
type defaults struct{ undo bool }

// fill is about a field that is left out where it is zero.
func fill[T comparable](d defaults, field *T, value T) {
	var zero T
	switch {
	case d.undo && *field == value:
		*field = zero
	case !d.undo && *field == zero:
		*field = value
	}
}

// point is about a field that may be nil.
func point[T comparable](d defaults, field **T, value T) {
	switch {
	case d.undo && *field != nil && **field == value:
		*field = nil
	case !d.undo && *field == nil:
		*field = &value
	}
}

// empty is about a field that is never nil, though it may hold nothing.
func empty[T any](d defaults, field **T) {
	switch {
	case d.undo && *field != nil && reflect.ValueOf(**field).IsZero():
		*field = nil
	case !d.undo && *field == nil:
		*field = new(T)
	}
}

func (d defaults) podSpec(s *corev1.PodSpec) {
	fill(d, &s.DNSPolicy, corev1.DNSClusterFirst)
	fill(d, &s.RestartPolicy, corev1.RestartPolicyAlways)
	fill(d, &s.SchedulerName, corev1.DefaultSchedulerName)
	point(d, &s.TerminationGracePeriodSeconds, int64(corev1.DefaultTerminationGracePeriodSeconds))
	point(d, &s.EnableServiceLinks, corev1.DefaultEnableServiceLinks)
	empty(d, &s.SecurityContext)
	s.ServiceAccountName = cmp.Or(s.ServiceAccountName, s.DeprecatedServiceAccount)
	s.DeprecatedServiceAccount = ""
	for i := range s.Volumes {
		d.volume(&s.Volumes[i])
	}
	for _, containers := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range containers {
			d.container(&containers[i], s.HostNetwork)
		}
	}
}

func (d defaults) volume(v *corev1.Volume) {
	switch {
	case v.ConfigMap != nil:
		point(d, &v.ConfigMap.DefaultMode, corev1.ConfigMapVolumeSourceDefaultMode)
	case v.Secret != nil:
		point(d, &v.Secret.DefaultMode, corev1.SecretVolumeSourceDefaultMode)
	case v.HostPath != nil:
		point(d, &v.HostPath.Type, corev1.HostPathUnset)
	case v.DownwardAPI != nil:
		point(d, &v.DownwardAPI.DefaultMode, corev1.DownwardAPIVolumeSourceDefaultMode)
		d.downward(v.DownwardAPI.Items)
	case v.Projected != nil:
		d.projected(v.Projected)
	case v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil:
		d.claim(&v.Ephemeral.VolumeClaimTemplate.Spec)
	case v.EmptyDir != nil || v.VolumeSource == (corev1.VolumeSource{}):
		empty(d, &v.EmptyDir)
	}
}

func (d defaults) projected(p *corev1.ProjectedVolumeSource) {
	point(d, &p.DefaultMode, corev1.ProjectedVolumeSourceDefaultMode)
	for i := range p.Sources {
		if source := p.Sources[i].DownwardAPI; source != nil {
			d.downward(source.Items)
		}
	}
}

func (d defaults) downward(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		if items[i].FieldRef != nil {
			fill(d, &items[i].FieldRef.APIVersion, "v1")
		}
	}
}

func (d defaults) claim(s *corev1.PersistentVolumeClaimSpec) {
	point(d, &s.VolumeMode, corev1.PersistentVolumeFilesystem)
}

func (d defaults) container(c *corev1.Container, hostNetwork bool) {
	fill(d, &c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	fill(d, &c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	fill(d, &c.ImagePullPolicy, pullPolicy(c.Image))
	for i := range c.Ports {
		fill(d, &c.Ports[i].Protocol, corev1.ProtocolTCP)
		if hostNetwork {
			fill(d, &c.Ports[i].HostPort, c.Ports[i].ContainerPort)
		}
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil && from.FieldRef != nil {
			fill(d, &from.FieldRef.APIVersion, "v1")
		}
	}
	for _, probe := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		d.probe(probe)
	}
	if c.Lifecycle != nil {
		d.hook(c.Lifecycle.PostStart)
		d.hook(c.Lifecycle.PreStop)
	}
	d.requests(&c.Resources)
}

// requests: a limit without a request is the request as well. Upstream also rounds quantities up to thousandths.
func (d defaults) requests(r *corev1.ResourceRequirements) {
	for _, list := range []corev1.ResourceList{r.Limits, r.Requests} {
		for name, quantity := range list {
			quantity.RoundUp(resource.Milli)
			list[name] = quantity
		}
	}
	for name, limit := range r.Limits {
		request, there := r.Requests[name]
		switch {
		case d.undo && there && request.Cmp(limit) == 0:
			delete(r.Requests, name)
		case !d.undo && !there:
			if r.Requests == nil {
				r.Requests = corev1.ResourceList{}
			}
			r.Requests[name] = limit.DeepCopy()
		}
	}
}

// pullPolicy is Always for the tag latest and where there is neither tag nor digest, IfNotPresent else.
func pullPolicy(image string) corev1.PullPolicy {
	name, digest, _ := strings.Cut(image, "@")
	_, tag, tagged := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")
	if tag == "latest" || !tagged && digest == "" {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

func (d defaults) probe(p *corev1.Probe) {
	if p == nil {
		return
	}
	fill(d, &p.TimeoutSeconds, 1)
	fill(d, &p.PeriodSeconds, 10)
	fill(d, &p.SuccessThreshold, 1)
	fill(d, &p.FailureThreshold, 3)
	d.httpGet(p.HTTPGet)
	if p.GRPC != nil {
		point(d, &p.GRPC.Service, "")
	}
}

func (d defaults) hook(h *corev1.LifecycleHandler) {
	if h != nil {
		d.httpGet(h.HTTPGet)
	}
}

func (d defaults) httpGet(h *corev1.HTTPGetAction) {
	if h != nil {
		fill(d, &h.Path, "/")
		fill(d, &h.Scheme, corev1.URISchemeHTTP)
	}
}

// defaultSecret folds stringData into data, as upstream does on every write.
func defaultSecret(s *corev1.Secret) {
	fill(defaults{}, &s.Type, corev1.SecretTypeOpaque)
	for key, value := range s.StringData {
		if s.Data == nil {
			s.Data = map[string][]byte{}
		}
		s.Data[key] = []byte(value)
	}
	s.StringData = nil
}

func defaultEndpoints(e *Endpoints) {
	for i := range e.Subsets {
		for j := range e.Subsets[i].Ports {
			fill(defaults{}, &e.Subsets[i].Ports[j].Protocol, corev1.ProtocolTCP)
		}
	}
}

func defaultEndpointSlice(s *discoveryv1.EndpointSlice) {
	for i := range s.Ports {
		point(defaults{}, &s.Ports[i].Name, "")
		point(defaults{}, &s.Ports[i].Protocol, corev1.ProtocolTCP)
	}
}

func defaultPersistentVolume(v *corev1.PersistentVolume) {
	fill(defaults{}, &v.Spec.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimRetain)
	point(defaults{}, &v.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	if v.Spec.HostPath != nil {
		point(defaults{}, &v.Spec.HostPath.Type, corev1.HostPathUnset)
	}
}

// defaultClass gives claims without a class that of the commit which is marked as the default; of several, the last by
// name. Upstream: plugin/pkg/admission/storage/storageclass/setdefault.
func defaultClass(set *Set) {
	var name string
	for _, class := range All[*storagev1.StorageClass](set) {
		if class.Annotations["storageclass.kubernetes.io/is-default-class"] == "true" {
			name = max(name, class.Name)
		}
	}
	if name == "" {
		return
	}
	for _, claim := range All[*corev1.PersistentVolumeClaim](set) {
		point(defaults{}, &claim.Spec.StorageClassName, name)
	}
	for _, s := range All[*appsv1.StatefulSet](set) {
		for i := range s.Spec.VolumeClaimTemplates {
			point(defaults{}, &s.Spec.VolumeClaimTemplates[i].Spec.StorageClassName, name)
		}
	}
}

func defaultStorageClass(c *storagev1.StorageClass) {
	point(defaults{}, &c.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete)
	point(defaults{}, &c.VolumeBindingMode, storagev1.VolumeBindingImmediate)
}
