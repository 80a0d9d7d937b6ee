package runtimetest

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podyard/podyard/runtime"
)

var probeChecks = []Check{
	{Name: "an exec probe answers by its exit code", run: probeExec},
	{Name: "an http probe answers by its status", run: probeHTTP},
	{Name: "a tcp probe answers by who listens", run: probeTCP},
	{Name: "a probe ends with its context and has not succeeded", run: probeDeadline},
}

// probe asks once and returns the answer.
func (f *fixture) probe(pod, id string, handler corev1.ProbeHandler) runtime.ProbeResult {
	f.Helper()
	p := f.observePod(pod)
	ctx, cancel := context.WithTimeout(f.ctx, 10*time.Second)
	defer cancel()
	result, err := f.Runtime.Probe(ctx, &p, id, handler)
	f.must(err)
	return result
}

// succeeds waits for success, since a program takes a moment until it listens.
func (f *fixture) succeeds(pod, id string, handler corev1.ProbeHandler) {
	f.Helper()
	var last runtime.ProbeResult
	defer func() {
		f.Helper()
		if !last.OK {
			f.Logf("the last answer was %+v", last)
		}
	}()
	f.until("the probe succeeds", func() bool { last = f.probe(pod, id, handler); return last.OK })
}

// fails wants a failure that says so in these words.
func (f *fixture) fails(pod, id string, handler corev1.ProbeHandler, words string) {
	f.Helper()
	result := f.probe(pod, id, handler)
	if result.OK || result.Message == "" || !strings.Contains(result.Message, words) || len(result.Message) > 1024 {
		f.Errorf("the probe answers %+v; want a failure with at most 1 KiB of message, with the words %q", result, words)
	}
}

func probeExec(f *fixture) {
	pod := f.pod("web")
	id := f.run(pod, "main", Behaviour{Kind: Sleep})
	f.succeeds(pod, id, execProbe("true"))
	f.fails(pod, id, execProbe("cat", "/nothing"), "/nothing")
	f.fails(pod, id, execProbe("cat", "/"+strings.Repeat("long", 800)), "")
}

func execProbe(command ...string) corev1.ProbeHandler {
	return corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: command}}
}

func probeHTTP(f *fixture) {
	pod := f.pod("web")
	id := f.run(pod, "main", Behaviour{Kind: ServeHTTP, Port: 8080, Stdout: "hello"})
	get := func(path string, port int) corev1.ProbeHandler {
		return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt(port), Scheme: corev1.URISchemeHTTP}}
	}
	f.succeeds(pod, id, get("/", 8080))
	f.fails(pod, id, get("/missing", 8080), "404")
	f.fails(pod, id, get("/", 8081), "")
}

func probeTCP(f *fixture) {
	pod := f.pod("web")
	id := f.run(pod, "main", Behaviour{Kind: ServeHTTP, Port: 8080, Stdout: "hello"})
	connect := func(port int) corev1.ProbeHandler {
		return corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt(port)}}
	}
	f.succeeds(pod, id, connect(8080))
	f.fails(pod, id, connect(8081), "")
}

// probeDeadline leaves open whether that is an error or a failed probe: a caller treats both alike.
func probeDeadline(f *fixture) {
	pod := f.pod("web")
	id := f.run(pod, "main", Behaviour{Kind: Sleep})
	p := f.observePod(pod)
	ctx, cancel := context.WithTimeout(f.ctx, time.Second)
	defer cancel()
	begin := time.Now()
	result, err := f.Runtime.Probe(ctx, &p, id, execProbe("sleep", "60"))
	if err == nil && result.OK {
		f.Error("a probe that did not end has succeeded")
	}
	if took := time.Since(begin); took > patience/2 {
		f.Errorf("the probe took %s; want the second of its context", took)
	}
}
