package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
)

// peers are a client, a server that is asked at its own address, one behind a Service, three behind another, and a bare name
// server. Two servers, since a client that asks one by two addresses meets its own connections in TIME_WAIT. All have as large a
// share of the processor as the gateway, whose containers have the engine's default.
const peers = `apiVersion: v1
kind: Pod
metadata: {name: client}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: IMAGE, resources: {requests: {cpu: 1}}, command: [sleep, "100000"]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: direct}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: IMAGE, resources: {requests: {cpu: 1}}, command: [bench, peer, serve]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: one, labels: {app: one}}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: IMAGE, resources: {requests: {cpu: 1}}, command: [bench, peer, serve]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: names}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: IMAGE, resources: {requests: {cpu: 1}}, command: [bench, peer, names]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: three}
spec:
  replicas: 3
  selector: {matchLabels: {app: three}}
  template:
    metadata: {labels: {app: three}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: IMAGE, resources: {requests: {cpu: 1}}, command: [bench, peer, serve]}]}
---
apiVersion: v1
kind: Service
metadata: {name: one}
spec: {selector: {app: one}, ports: [{name: a, port: 8000}, {name: b, port: 8001}, {name: c, port: 8002}]}
---
apiVersion: v1
kind: Service
metadata: {name: three}
spec: {selector: {app: three}, ports: [{port: 8002}]}
---
apiVersion: v1
kind: Service
metadata: {name: sticky}
spec: {selector: {app: three}, sessionAffinity: ClientIP, ports: [{port: 8002}]}
`

// way is one measurement, by two ways.
type way struct {
	name string
	// limit of the ratio: at least, or with most set at most.
	limit float64
	most  bool
	// base and ours are command lines of peers that print a rate.
	base, ours []string
}

// services measures the way over a Service against the one from pod to pod, and the choice of backends.
func (y *yard) services(ctx context.Context, rounds int) error {
	ips, err := y.startPeers(ctx)
	if err != nil {
		return err
	}
	service := func(port string) string { return ips["service one"] + ":" + port }
	direct := func(port string) string { return ips["direct"] + ":" + port }
	fmt.Printf("\nover a Service against from pod to pod, %d rounds of three, load %s\n", rounds, load())
	err = y.ratios(ctx, rounds, []way{
		{"throughput", 0.85, false, []string{"stream", direct("8000")}, []string{"stream", service("8000")}},
		{"requests over kept connections", 0.75, false, []string{"ask", direct("8001"), "16"}, []string{"ask", service("8001"), "16"}},
		{"new connections", 0.8, false, []string{"connect", direct("8002"), "8"}, []string{"connect", service("8002"), "8"}},
	})
	if err != nil {
		return err
	}
	if err := y.choice(ctx, "3 backends", ips["service three"], func(n []int) bool { return len(n) == 3 && n[0] >= 900 && n[2] <= 1100 }); err != nil {
		return err
	}
	return y.choice(ctx, "affinity", ips["service sticky"], func(n []int) bool { return len(n) == 1 })
}

// names measures queries to the gateway against those to a bare name server on the same network.
func (y *yard) names(ctx context.Context, rounds int) error {
	ips, err := y.startPeers(ctx)
	if err != nil {
		return err
	}
	const name = "three.default.svc.cluster.local"
	ways := []way{}
	for _, clients := range []string{"1", "16"} {
		ways = append(ways, way{"queries, " + clients + " at once", 1 / 1.3, false,
			[]string{"query", ips["names"], name, clients}, []string{"query", ips["gateway"], name, clients}})
	}
	fmt.Printf("\nnames, the gateway against a bare name server, %d rounds of three, load %s\n", rounds, load())
	return y.ratios(ctx, rounds, ways)
}

// ratios measures each way between two measurements of its base, and prints the median of the ratios and their quartiles.
func (y *yard) ratios(ctx context.Context, rounds int, ways []way) error {
	found := make([][]float64, len(ways))
	rates := make([][]float64, len(ways))
	for range rounds {
		for i, w := range ways {
			var got [3]float64
			for turn, command := range [][]string{w.base, w.ours, w.base} {
				out, err := y.inClient(ctx, command)
				if err != nil {
					return fmt.Errorf("%s: %w", w.name, err)
				}
				if got[turn], err = strconv.ParseFloat(out, 64); err != nil {
					return fmt.Errorf("%s: %w", w.name, err)
				}
			}
			found[i] = append(found[i], got[1]/((got[0]+got[2])/2))
			rates[i] = append(rates[i], got[1])
		}
	}
	for i, w := range ways {
		low, mid, high := quartiles(found[i])
		_, each, _ := quartiles(rates[i])
		fmt.Printf("%-32s %.2f  [%.2f to %.2f]  at least %.2f %s  (%.0f/s)\n", w.name, mid, low, high, w.limit, verdict(mid >= w.limit), each)
	}
	return nil
}

// quartiles are the values below which a quarter, a half and three quarters lie.
func quartiles(list []float64) (low, mid, high float64) {
	list = slices.Sorted(slices.Values(list))
	at := func(part int) float64 { return list[(len(list)-1)*part/4] }
	return at(1), at(2), at(3)
}

func verdict(kept bool) string {
	if kept {
		return "kept"
	}
	return "MISSED"
}

// choice counts who answers 3000 connections to a Service.
func (y *yard) choice(ctx context.Context, name, ip string, right func([]int) bool) error {
	out, err := y.inClient(ctx, []string{"count", ip + ":8002", "3000"})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var numbers []int
	for word := range strings.FieldsSeq(out) {
		n, err := strconv.Atoi(word)
		if err != nil {
			return err
		}
		numbers = append(numbers, n)
	}
	fmt.Printf("%-32s %v of 3000 connections %s\n", name, numbers, verdict(right(numbers)))
	return nil
}

// inClient runs a peer in the client's pod.
func (y *yard) inClient(ctx context.Context, command []string) (string, error) {
	out, err := exec.CommandContext(ctx, "docker", append([]string{"exec", y.client, "bench", "peer"}, command...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%v: %w: %s", command, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// startPeers deploys the peers and returns addresses: those of pods by name, of Services by "service" and name, of the gateway.
func (y *yard) startPeers(ctx context.Context) (map[string]string, error) {
	if err := y.commitText(ctx, strings.ReplaceAll(peers, "IMAGE", image)); err != nil {
		return nil, err
	}
	if err := y.awaitReady(ctx); err != nil {
		return nil, err
	}
	time.Sleep(time.Second) // let the engine come to rest
	ips := y.readyPods(ctx)
	label := func(key, value string) filters.KeyValuePair { return filters.Arg("label", key+"="+value) }
	found, err := y.docker.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(label("podyard.dev/instance", instance),
		label("io.kubernetes.pod.name", "client"), label("io.kubernetes.container.name", "main"))})
	if err != nil {
		return nil, err
	}
	holder, err := y.docker.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(label("podyard.dev/instance", instance),
		label("podyard.dev/role", "gateway-holder"))})
	if err != nil {
		return nil, err
	}
	if len(found) != 1 || len(holder) != 1 {
		return nil, errors.New("the client or the gateway does not run")
	}
	y.client = found[0].ID
	for _, endpoint := range holder[0].NetworkSettings.Networks {
		ips["gateway"] = endpoint.IPAddress
	}
	for _, name := range []string{"one", "three", "sticky"} {
		out, err := y.inClient(ctx, []string{"resolve", name})
		if err != nil {
			return nil, err
		}
		ips["service "+name] = out
	}
	return ips, nil
}
