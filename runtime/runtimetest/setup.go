package runtimetest

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

var setupChecks = []Check{
	{Name: "ensuring what is there changes nothing", Alone: true, run: ensureTwice},
	{Name: "the state names the instance, its host and the Service addresses", run: names},
	{Name: "teardown removes everything of ours but persistent volumes, and those if told to", Alone: true, run: teardown},
}

func ensureTwice(f *fixture) {
	f.noRoutesAfterwards()
	pod := f.pod("web")
	id := f.run(pod, "main", Behaviour{Kind: Sleep})
	f.must(f.Runtime.Route(f.ctx, runtime.Routes{Services: []*corev1.Service{f.service("one", f.clusterIP(1))}}))
	podBefore, before := f.observePod(pod), f.observe(id)
	f.must(f.Runtime.Ensure(f.ctx, nil))
	podAfter, after := f.observePod(pod), f.observe(id)
	if after != before || podAfter.Phase != podBefore.Phase || !podAfter.StartedAt.Equal(podBefore.StartedAt) {
		f.Errorf("Ensure turned %+v into %+v", podBefore, podAfter)
	}
	if services := f.state().Routes.Services; len(services) != 1 {
		f.Errorf("Ensure left %d of 1 Services", len(services))
	}
}

func names(f *fixture) {
	state := f.state()
	if state.Instance == "" || state.ServiceCIDR == "" {
		f.Errorf("the instance is %q, its Service addresses %q", state.Instance, state.ServiceCIDR)
	}
	if len(state.Runtimes) == 0 || !slices.IsSorted(state.Runtimes) {
		f.Errorf("the engine's runtimes are %q; want at least one, sorted", state.Runtimes)
	}
	for _, label := range []string{"kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch"} {
		if state.Host[label] == "" {
			f.Errorf("the host has no label %s: %v", label, state.Host)
		}
	}
}

func teardown(f *fixture) {
	other := f.Foreign(f.T)
	f.fill("hello")
	f.must(f.Runtime.Publish(f.ctx, f.publication("shop", f.freePorts(1)...)))
	lines := f.tearDown(false)
	f.reports(lines, "web")
	f.reports(lines, "shop")
	other.Check(f.T)

	id := f.fill("")
	f.reads(id, "/data/greeting", "hello")
	lines = f.tearDown(true)
	f.reports(lines, "web")
	f.reports(lines, f.namespace+"-data")
	if f.findVolume(f.namespace+"-data") != nil {
		f.Error("the state has the volume still")
	}
	other.Check(f.T)

	id = f.fill("")
	f.lacks(id, "/data/greeting")
}

// fill runs a pod with a persistent volume and writes a greeting there, unless it is empty.
func (f *fixture) fill(greeting string) (container string) {
	f.Helper()
	f.must(f.Runtime.Ensure(f.ctx, nil))
	config := runtime.Volume{Name: "config", Kind: runtime.Files}
	pod := f.pod("web", config, runtime.Volume{Name: "data", Kind: runtime.Persistent, Claim: f.namespace + "-data"})
	container = f.run(pod, "main", Behaviour{Kind: Sleep},
		runtime.Mount{Volume: "config", Path: "/config"}, runtime.Mount{Volume: "data", Path: "/data"})
	if greeting != "" {
		f.write(pod, config, "greeting", greeting)
		f.exec(container, "cp", "/config/greeting", "/data/greeting")
	}
	return container
}

// tearDown returns what it reports, and wants nothing to be left.
func (f *fixture) tearDown(volumes bool) (lines []string) {
	f.Helper()
	f.must(f.Runtime.Teardown(f.ctx, volumes, func(line string) { lines = append(lines, line) }))
	if pods := f.state().Pods; len(pods) != 0 {
		f.Errorf("Teardown leaves %+v", pods)
	}
	if list := f.state().Publications; len(list) != 0 {
		f.Errorf("Teardown leaves %+v", list)
	}
	return lines
}

func (f *fixture) reports(lines []string, what string) {
	f.Helper()
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, what) }) {
		f.Errorf("Teardown reports %q; want a line about %s", lines, what)
	}
}
