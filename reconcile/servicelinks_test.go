package reconcile

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

func linked(namespace, name, ip string, ports ...corev1.ServicePort) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ServiceSpec{ClusterIP: ip, Ports: ports}}
}

// The wanted values are those of upstream's TestFromServices (pkg/kubelet/envvars/envvars_test.go) for such Services.
func TestVariablesOfServices(t *testing.T) {
	o := origin{set: &manifests.Set{}, state: &runtime.State{}, services: []*corev1.Service{
		linked("default", "web-app", "10.0.0.2", corev1.ServicePort{Name: "u-d-p", Port: 53, Protocol: "UDP"}, corev1.ServicePort{Name: "tcp", Port: 80, Protocol: "TCP"}),
		linked("default", "api", "10.0.0.1", corev1.ServicePort{Port: 8081}),
		linked("default", "headless", "None", corev1.ServicePort{Port: 80}),
		linked("default", "elsewhere", ""),
		linked("other", "db", "10.0.0.3", corev1.ServicePort{Port: 5432}),
	}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "pod"}}
	c := &corev1.Container{Env: []corev1.EnvVar{
		{Name: "URL", Value: "http://$(API_SERVICE_HOST):$(API_SERVICE_PORT)/$(DB_SERVICE_HOST)"},
		{Name: "API_PORT", Value: "mine"},
	}}
	env, err := o.environment(pod, c)
	if err != nil {
		t.Fatal(err)
	}
	want := []runtime.EnvVar{
		{Name: "URL", Value: "http://10.0.0.1:8081/$(DB_SERVICE_HOST)"},
		{Name: "API_PORT", Value: "mine"},
		{Name: "API_SERVICE_HOST", Value: "10.0.0.1"},
		{Name: "API_SERVICE_PORT", Value: "8081"},
		{Name: "API_PORT_8081_TCP", Value: "tcp://10.0.0.1:8081"},
		{Name: "API_PORT_8081_TCP_PROTO", Value: "tcp"},
		{Name: "API_PORT_8081_TCP_PORT", Value: "8081"},
		{Name: "API_PORT_8081_TCP_ADDR", Value: "10.0.0.1"},
		{Name: "WEB_APP_SERVICE_HOST", Value: "10.0.0.2"},
		{Name: "WEB_APP_SERVICE_PORT", Value: "53"},
		{Name: "WEB_APP_SERVICE_PORT_U_D_P", Value: "53"},
		{Name: "WEB_APP_SERVICE_PORT_TCP", Value: "80"},
		{Name: "WEB_APP_PORT", Value: "udp://10.0.0.2:53"},
		{Name: "WEB_APP_PORT_53_UDP", Value: "udp://10.0.0.2:53"},
		{Name: "WEB_APP_PORT_53_UDP_PROTO", Value: "udp"},
		{Name: "WEB_APP_PORT_53_UDP_PORT", Value: "53"},
		{Name: "WEB_APP_PORT_53_UDP_ADDR", Value: "10.0.0.2"},
		{Name: "WEB_APP_PORT_80_TCP", Value: "tcp://10.0.0.2:80"},
		{Name: "WEB_APP_PORT_80_TCP_PROTO", Value: "tcp"},
		{Name: "WEB_APP_PORT_80_TCP_PORT", Value: "80"},
		{Name: "WEB_APP_PORT_80_TCP_ADDR", Value: "10.0.0.2"},
	}
	if !slices.Equal(env.list, want) {
		t.Errorf("%v\nwant\n%v", env.list, want)
	}

	pod.Spec.EnableServiceLinks = pointer(false)
	if env, err = o.environment(pod, c); err != nil || len(env.list) != 2 || env.list[0].Value != c.Env[0].Value {
		t.Errorf("without links: %v, %v", env.list, err)
	}
}
