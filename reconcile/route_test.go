package reconcile

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podyard/podyard/runtime/fake"
)

// A Service that is kept although it left the commit is known from the gateway only, once the daemon was restarted.
func TestAServiceThatIsKeptLeadsToItsPodsAfterARestart(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {}}, func(y *yard) {
		pod := onePod(corev1.Container{Name: "main", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}})
		pod.Labels = map[string]string{"app": "one"}
		service := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "one", Annotations: map[string]string{"podyard.dev/prune": "disabled"}},
			Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "one"}, Ports: []corev1.ServicePort{
				{Port: 80, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString("http")}}},
		}
		both := commitOf(pod)
		add(both, "Service", "one", service)
		stop := y.start(both)
		time.Sleep(time.Minute)
		stop()
		y.wantEndpoints(8080)

		y.engine.Reconnect()
		y.r = New(y.engine, Options{Workers: 4, Record: y.record, Notes: y.r.options.Notes})
		stop = y.start(commitOf(pod))
		time.Sleep(time.Minute)
		stop()
		y.wantEndpoints(8080)
	})
}

// wantEndpoints are those of all Services, by their ports.
func (y *yard) wantEndpoints(ports ...int32) {
	y.Helper()
	var got []int32
	for _, slice := range y.state().Routes.Endpoints {
		for _, port := range slice.Ports {
			for range slice.Endpoints {
				got = append(got, *port.Port)
			}
		}
	}
	if !slices.Equal(got, ports) {
		y.Errorf("endpoints at ports %v, want %v", got, ports)
	}
}
