package runtimetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podyard/podyard/runtime"
)

var realNamespaceChecks = []Check{
	{Name: "hostNetwork: the host's interfaces and name, and its files unharmed", run: hostNetwork},
	{Name: "hostNetwork: a pod is reached at the host's address, also by a Service", Alone: true, run: hostNetworkServes},
	{Name: "hostPID: the host's processes", run: hostPID},
	{Name: "hostIPC: the host's", run: hostIPC},
	{Name: "shareProcessNamespace: process 1 is the pause, which reaps; a stop ends what its container started", run: sharedProcesses},
	{Name: "without shareProcessNamespace each container has processes of its own", run: ownProcesses},
	{Name: "hostname and subdomain: /etc/hosts has the full name first", run: fullName},
	{Name: "hostAliases: /etc/hosts has them", run: hostAliases},
	{Name: "dnsPolicy and dnsConfig: resolv.conf says so", run: dnsPolicies},
	{Name: "securityContext.sysctls: every container has them", run: sysctls},
	{Name: "an ephemeral container sees the processes of its target", run: targetProcesses},
}

// podWith is a running sandbox of a pod that change has made different.
func (f *fixture) podWith(name string, change func(*runtime.SandboxConfig)) string {
	f.Helper()
	config := f.config(name)
	change(&config)
	pod, err := f.Runtime.CreateSandbox(f.ctx, config)
	f.must(err)
	f.must(f.Runtime.StartSandbox(f.ctx, pod))
	return pod
}

// namespaceOf is the kernel's name for a namespace in which the main process of a container is.
func (f *fixture) namespaceOf(id, kind string) string {
	f.Helper()
	return f.exec(id, "readlink", "/proc/self/ns/"+kind)
}

func hostNetwork(f *fixture) {
	watcher := f.podWith("watcher", func(c *runtime.SandboxConfig) {
		c.Volumes = []runtime.Volume{{Name: "etc", Kind: runtime.HostPath, HostPath: "/etc"}}
	})
	look := f.run(watcher, "main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "etc", Path: "/host", ReadOnly: true})
	const files = `cat /host/hosts /host/resolv.conf /host/hostname`
	before := f.sh(look, files)
	var ids []string
	for _, policy := range []corev1.DNSPolicy{corev1.DNSClusterFirst, corev1.DNSClusterFirstWithHostNet} {
		pod := f.podWith(strings.ToLower(string(policy)), func(c *runtime.SandboxConfig) {
			c.Pod.Spec.HostNetwork, c.Pod.Spec.DNSPolicy = true, policy
			c.Pod.Spec.HostAliases = []corev1.HostAlias{{IP: "192.0.2.7", Hostnames: []string{"alias-one", "alias-two"}}}
		})
		ids = append(ids, f.run(pod, "main", Behaviour{Kind: Sleep}))
	}
	for _, id := range ids {
		if addresses := f.sh(id, "ip -4 addr show"); !strings.Contains(addresses, f.state().HostIP+"/") {
			f.Errorf("the pod's interfaces are\n%s; want the host's, with %s", addresses, f.state().HostIP)
		}
		if name := strings.TrimSpace(f.exec(id, "hostname")); !strings.EqualFold(name, f.state().Host["kubernetes.io/hostname"]) {
			f.Errorf("the pod's name is %s; want the host's, %s", name, f.state().Host["kubernetes.io/hostname"])
		}
		hosts := f.exec(id, "cat", "/etc/hosts")
		if !strings.Contains(hosts, "localhost") || !strings.Contains(hosts, "192.0.2.7\talias-one\talias-two\n") {
			f.Errorf("/etc/hosts is %q; want the host's with the aliases", hosts)
		}
	}
	resolv, hosts := f.exec(ids[0], "cat", "/etc/resolv.conf"), f.exec(look, "cat", "/host/resolv.conf")
	if !slices.Equal(only(lines(resolv), "nameserver"), only(lines(hosts), "nameserver")) {
		f.Errorf("with ClusterFirst, resolv.conf is %q; want the host's, %q", resolv, hosts)
	}
	f.searches(ids[1])
	if after := f.sh(look, files); after != before {
		f.Errorf("the host's files were\n%s\nand are\n%s", before, after)
	}
}

func hostNetworkServes(f *fixture) {
	f.noRoutesAfterwards()
	pod := f.podWith("web", func(c *runtime.SandboxConfig) { c.Pod.Spec.HostNetwork = true })
	port := 20000 + rand.IntN(10000) // below those that the kernel gives away, and hardly another suite's
	id := f.run(pod, "main", Behaviour{Kind: ServeHTTP, Port: port, Stdout: "I am the host"})
	address := f.observePod(pod).IP
	client := f.run(f.pod("client"), "main", Behaviour{Kind: Sleep})
	f.answers(client, address, port, "I am the host")
	f.succeeds(pod, id, corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(int32(port))}})
	service, endpoints := f.clusterIP(7), f.endpoints("web", address)
	*endpoints.Ports[0].Port = int32(port)
	f.must(f.Runtime.Route(f.ctx, runtime.Routes{
		Services: []*corev1.Service{f.service("web", service)}, Endpoints: []*discoveryv1.EndpointSlice{endpoints},
	}))
	f.answers(client, service, 80, "I am the host")
	f.answers(id, service, 80, "I am the host")
}

func hostPID(f *fixture) {
	pod := f.podWith("web", func(c *runtime.SandboxConfig) { c.Pod.Spec.HostPID = true })
	id := f.run(pod, "main", Behaviour{Kind: Sleep})
	if first := f.sh(id, "tr '\\0' ' ' </proc/1/cmdline"); strings.Contains(first, "sleep 3600") || strings.HasPrefix(first, "/pause") {
		f.Errorf("process 1 is %q; want the host's", first)
	}
	if own := f.namespaceOf(f.run(f.pod("other"), "main", Behaviour{Kind: Sleep}), "pid"); own == f.namespaceOf(id, "pid") {
		f.Error("a pod without hostPID sees the host's processes")
	}
	if took, c := f.stop(id, 0); c.ExitCode != 137 || took > patience/2 {
		f.Errorf("a stop took %s, exit code %d", took, c.ExitCode)
	}
}

func hostIPC(f *fixture) {
	set := func(c *runtime.SandboxConfig) { c.Pod.Spec.HostIPC = true }
	one := f.run(f.podWith("one", set), "main", Behaviour{Kind: Sleep})
	two := f.run(f.podWith("two", set), "main", Behaviour{Kind: Sleep})
	other := f.run(f.pod("other"), "main", Behaviour{Kind: Sleep})
	if a, b, c := f.namespaceOf(one, "ipc"), f.namespaceOf(two, "ipc"), f.namespaceOf(other, "ipc"); a != b || a == c {
		f.Errorf("two pods with hostIPC are in %s and %s, one without in %s", a, b, c)
	}
}

// processes are the command lines that a container sees, by their numbers.
func (f *fixture) processes(id string) string {
	f.Helper()
	return f.sh(id, `for p in /proc/[0-9]*; do echo "${p#/proc/} $(tr '\0' ' ' <$p/cmdline 2>/dev/null)"; done`)
}

func sharedProcesses(f *fixture) {
	yes := true
	pod := f.podWith("web", func(c *runtime.SandboxConfig) { c.Pod.Spec.ShareProcessNamespace = &yes })
	config := f.containerConfig("one", Behaviour{Kind: Sleep})
	config.Command = script(`trap 'exit 0' TERM; sleep 77777 & (sleep 0.2 & sleep 0.1) & echo ready; while :; do sleep 3600 & wait $!; done`)
	one, two := f.start(pod, config), f.run(pod, "two", Behaviour{Kind: Sleep})
	f.says(one, "ready\n")
	if got := f.processes(two); !strings.HasPrefix(got, "1 /pause") || !strings.Contains(got, "sleep 77777") {
		f.Errorf("a container sees\n%s\nwant the pause as process 1, and the processes of the other", got)
	}
	f.until("no process is a zombie", func() bool {
		states := f.sh(two, `cat /proc/[0-9]*/stat 2>/dev/null`)
		return !strings.Contains(states, ") Z ")
	})
	f.stop(one, patience)
	f.until("what the container started is gone", func() bool { return !strings.Contains(f.processes(two), "sleep 77777") })
	if c := f.observe(two); c.State != runtime.Running {
		f.Errorf("the other container is %s", c.State)
	}
	f.Kill(f.T, pod)
	f.exited(two) // with the process 1 of its namespace
}

func ownProcesses(f *fixture) {
	pod := f.pod("web")
	one := f.run(pod, "one", Behaviour{Kind: Sleep})
	if two := f.run(pod, "two", Behaviour{Kind: Sleep}); f.namespaceOf(one, "pid") == f.namespaceOf(two, "pid") {
		f.Error("two containers see each other's processes")
	}
}

func targetProcesses(f *fixture) {
	pod := f.pod("web")
	target := f.run(pod, "main", Behaviour{Kind: Sleep})
	config := f.containerConfig("debugger", Behaviour{Kind: Sleep})
	config.Ephemeral, config.Target = true, target
	id := f.start(pod, config)
	if a, b := f.namespaceOf(id, "pid"), f.namespaceOf(target, "pid"); a != b {
		f.Errorf("the container sees the processes in %s, its target those in %s", a, b)
	}
	elsewhere := f.run(f.pod("other"), "main", Behaviour{Kind: Sleep})
	config.Name, config.Target = "stray", elsewhere
	if _, err := f.Runtime.CreateContainer(f.ctx, pod, config); err == nil {
		f.Error("a container joins the processes of another pod")
	}
}

func fullName(f *fixture) {
	const domain = "sub.shop.svc.cluster.local"
	pod := f.podWith("web", func(c *runtime.SandboxConfig) { c.Hostname, c.Domain = "web-0", domain })
	id := f.run(pod, "main", Behaviour{Kind: Sleep})
	line := f.observePod(pod).IP + "\tweb-0." + domain + " web-0\n"
	if hosts := f.exec(id, "cat", "/etc/hosts"); !strings.Contains(hosts, line) {
		f.Errorf("/etc/hosts is %q; want the line %q", hosts, line)
	}
	if name := f.exec(id, "hostname"); name != "web-0\n" {
		f.Errorf("the hostname is %q; want web-0", name)
	}
	// setHostnameAsFQDN: the name is the full one.
	pod = f.podWith("full", func(c *runtime.SandboxConfig) { c.Hostname = "full." + domain })
	id = f.run(pod, "main", Behaviour{Kind: Sleep})
	if name := f.exec(id, "hostname"); name != "full."+domain+"\n" {
		f.Errorf("the hostname is %q; want the full one", name)
	}
	line = f.observePod(pod).IP + "\tfull." + domain + " full\n"
	if hosts := f.exec(id, "cat", "/etc/hosts"); !strings.Contains(hosts, line) {
		f.Errorf("/etc/hosts is %q; want the line %q", hosts, line)
	}
}

func hostAliases(f *fixture) {
	pod := f.podWith("web", func(c *runtime.SandboxConfig) {
		c.Pod.Spec.HostAliases = []corev1.HostAlias{{IP: "192.0.2.7", Hostnames: []string{"one", "two"}}, {IP: "2001:db8::1", Hostnames: []string{"six"}}}
	})
	hosts := f.exec(f.run(pod, "main", Behaviour{Kind: Sleep}), "cat", "/etc/hosts")
	for _, line := range []string{"192.0.2.7\tone\n", "192.0.2.7\ttwo\n", "2001:db8::1\tsix\n"} {
		if !strings.Contains(hosts, line) {
			f.Errorf("/etc/hosts is %q; want the line %q", hosts, line)
		}
	}
}

func dnsPolicies(f *fixture) {
	two := "2"
	extra := &corev1.PodDNSConfig{
		Nameservers: []string{"192.0.2.53"}, Searches: []string{"corp.test"},
		Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: &two}, {Name: "edns0"}},
	}
	resolv := func(name string, policy corev1.DNSPolicy, config *corev1.PodDNSConfig) []string {
		pod := f.podWith(name, func(c *runtime.SandboxConfig) { c.Pod.Spec.DNSPolicy, c.Pod.Spec.DNSConfig = policy, config })
		return lines(f.exec(f.run(pod, "main", Behaviour{Kind: Sleep}), "cat", "/etc/resolv.conf"))
	}
	cluster := strings.Join(f.config("").Search, " ")
	first := resolv("first", corev1.DNSClusterFirst, nil)
	if len(first) != 3 || first[0] != "search "+cluster || !strings.HasPrefix(first[1], "nameserver ") || first[2] != "options ndots:5" {
		f.Fatalf("ClusterFirst gives %q", first)
	}
	for _, c := range []struct {
		name   string
		policy corev1.DNSPolicy
		want   []string
	}{
		{"first-more", corev1.DNSClusterFirst, []string{"search " + cluster + " corp.test", first[1], "nameserver 192.0.2.53", "options ndots:2 edns0"}},
		{"none", corev1.DNSNone, []string{"search corp.test", "nameserver 192.0.2.53", "options ndots:2 edns0"}},
	} {
		if got := resolv(c.name, c.policy, extra); !slices.Equal(got, c.want) {
			f.Errorf("%s with more gives %q; want %q", c.policy, got, c.want)
		}
	}
	engines := resolv("default", corev1.DNSDefault, nil)
	if slices.Contains(engines, first[1]) {
		f.Errorf("Default gives %q, which asks the cluster's server", engines)
	}
	more := resolv("default-more", corev1.DNSDefault, extra)
	servers := slices.Concat(only(engines, "nameserver"), []string{"nameserver 192.0.2.53"})
	if !slices.Equal(only(more, "nameserver"), servers[:min(3, len(servers))]) || !strings.HasSuffix(strings.Join(only(more, "search"), ""), " corp.test") {
		f.Errorf("Default gives %q, with more %q", engines, more)
	}
}

func lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

func only(lines []string, word string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !strings.HasPrefix(line, word+" ") })
}

func sysctls(f *fixture) {
	want := map[string]string{"net.ipv4.ip_local_port_range": "20000\t30000", "kernel.shm_rmid_forced": "1", "net/core/somaxconn": "77"}
	pod := f.podWith("web", func(c *runtime.SandboxConfig) {
		c.Pod.Spec.SecurityContext = &corev1.PodSecurityContext{}
		for name, value := range want {
			c.Pod.Spec.SecurityContext.Sysctls = append(c.Pod.Spec.SecurityContext.Sysctls, corev1.Sysctl{Name: name, Value: value})
		}
	})
	id := f.run(pod, "main", Behaviour{Kind: Sleep})
	for name, value := range want {
		file := "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
		if got := strings.TrimSpace(f.exec(id, "cat", file)); got != value {
			f.Errorf("%s is %q; want %q", name, got, fmt.Sprint(value))
		}
	}
}
