package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/docker"
)

// scaleInstance has a gateway and nothing else: its endpoints are addresses at which nobody is.
var scaleInstance = instance + "-scale"

// soon is within what a change must be in the kernel.
const soon = 50 * time.Millisecond

// scale measures how long a change of one endpoint takes until it is in the kernel, from the call of Route to the agent's word
// that it is, among few Services and among many, in turn.
func (y *yard) scale(ctx context.Context, rounds int) (err error) {
	engine, err := docker.New(ctx, docker.Options{Instance: scaleInstance, CIDR: "10.245.0.0/16", Binary: y.binary, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, engine.Teardown(context.WithoutCancel(ctx), true, func(string) {}), engine.Close())
	}()
	if err := engine.Ensure(ctx, nil); err != nil {
		return err
	}
	sizes := []struct{ services, endpoints int }{{10, 25}, {200, 500}}
	took := make([][]time.Duration, len(sizes))
	for range rounds {
		for i, size := range sizes {
			routes := manyRoutes(size.services, size.endpoints)
			if err := engine.Route(ctx, routes); err != nil {
				return err
			}
			for n := range 10 {
				ready := n%2 == 1
				routes.Endpoints[size.services/2].Endpoints[0].Conditions.Ready = &ready
				begin := time.Now()
				if err := engine.Route(ctx, routes); err != nil {
					return err
				}
				took[i] = append(took[i], time.Since(begin))
			}
		}
	}
	fmt.Printf("\na change of one endpoint, until it is in the kernel, %d rounds of ten, load %s\n", rounds, load())
	for i, size := range sizes {
		fmt.Printf("%3d Services, %3d endpoints %26.1f ms  at most %d ms %s\n", size.services, size.endpoints,
			float64(median(took[i]).Microseconds())/1000, soon.Milliseconds(), verdict(median(took[i]) <= soon))
	}
	fmt.Printf("%-52s %.2f\n", "ratio", median(took[1]).Seconds()/median(took[0]).Seconds())
	return nil
}

// manyRoutes are Services of one port each, over which the endpoints are spread.
func manyRoutes(services, endpoints int) runtime.Routes {
	var routes runtime.Routes
	ready, port, tcp := true, int32(8080), corev1.ProtocolTCP
	for i := range services {
		name := fmt.Sprintf("s%d", i)
		routes.Services = append(routes.Services, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
			Spec: corev1.ServiceSpec{ClusterIP: fmt.Sprintf("10.245.%d.%d", 200+i/250, 1+i%250),
				Ports: []corev1.ServicePort{{Protocol: tcp, Port: 80}}}})
		slice := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Port: &port, Protocol: &tcp}},
		}
		for e := i; e < endpoints; e += services {
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
				Addresses: []string{fmt.Sprintf("10.245.%d.%d", 70+e/250, 1+e%250)}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}})
		}
		routes.Endpoints = append(routes.Endpoints, slice)
	}
	return routes
}
