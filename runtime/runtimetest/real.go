package runtimetest

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/podyard/podyard/runtime"
)

var realNetworkChecks = []Check{
	{Name: "containers of a pod share the loopback interface", run: loopback},
	{Name: "pods reach each other by address", run: podToPod},
	{Name: "the main process is started with command and arguments", run: arguments},
}

var realServiceChecks = []Check{
	{Name: "a Service answers by address and by name from all its endpoints", Alone: true, run: service},
	{Name: "a Service follows its endpoints", Alone: true, run: serviceFollows},
	{Name: "a headless Service resolves to its pods", Alone: true, run: headless},
}

// sh runs a script that must succeed.
func (f *fixture) sh(id, text string, args ...string) string {
	f.Helper()
	return f.exec(id, script(text, args...)...)
}

// get asks for / over plain TCP. The host's static busybox has a wget that needs the C library's resolver, which a
// static program cannot load.
const get = `printf 'GET / HTTP/1.0\r\n\r\n' | timeout 5 nc "$1" "$2"`

// web runs a server that answers with its name on port 8080, and returns the pod's address.
func (f *fixture) web(name string) (address string) {
	f.Helper()
	pod := f.pod(name)
	id := f.run(pod, "main", Behaviour{Kind: ServeHTTP, Port: 8080, Stdout: "I am " + name})
	f.answers(id, "127.0.0.1", 8080, "I am "+name)
	return f.observePod(pod).IP
}

// answers waits until an address answers with some words, seen from a container.
func (f *fixture) answers(id, address string, port int, words string) {
	f.Helper()
	f.until(fmt.Sprintf("%s:%d answers %q", address, port, words), func() bool {
		stdout, _, _ := f.try(id, script(get, address, fmt.Sprint(port))...)
		return strings.Contains(stdout, words)
	})
}

func loopback(f *fixture) {
	pod := f.pod("web")
	f.run(pod, "server", Behaviour{Kind: ServeHTTP, Port: 8080, Stdout: "I am the server"})
	client := f.run(pod, "client", Behaviour{Kind: Sleep})
	f.answers(client, "127.0.0.1", 8080, "I am the server")
}

func podToPod(f *fixture) {
	server := f.web("server")
	client := f.run(f.pod("client"), "main", Behaviour{Kind: Sleep})
	f.answers(client, server, 8080, "I am server")
}

func arguments(f *fixture) {
	config := f.containerConfig("main", Behaviour{Kind: Sleep})
	config.Command = []string{"sh", "-c"}
	config.Args = []string{`echo "$0 $1 $#"`, "zero", "one  two", ""}
	id := f.start(f.pod("web"), config)
	f.exited(id)
	if stdout, _ := f.logs(id, runtime.LogOptions{Tail: -1}); stdout != "zero one  two 2\n" {
		f.Errorf("the program printed %q", stdout)
	}
}

// routed is a client, and two servers behind a Service.
func (f *fixture) routed(address string) (client string, servers []string) {
	f.Helper()
	f.noRoutesAfterwards()
	servers = []string{f.web("one"), f.web("two")}
	client = f.run(f.pod("client"), "main", Behaviour{Kind: Sleep})
	f.route(address, servers...)
	return client, servers
}

func (f *fixture) route(address string, servers ...string) {
	f.Helper()
	f.must(f.Runtime.Route(f.ctx, runtime.Routes{
		Services:  []*corev1.Service{f.service("web", address)},
		Endpoints: []*discoveryv1.EndpointSlice{f.endpoints("web", servers...)},
	}))
}

func service(f *fixture) {
	address := f.clusterIP(1)
	client, _ := f.routed(address)
	for _, name := range []string{"web", "web." + f.namespace + ".svc.cluster.local"} {
		if got := f.resolves(client, name); !slices.Equal(got, []string{address}) {
			f.Errorf("%s resolves to %v; want %s", name, got, address)
		}
	}
	f.searches(client)
	counts := f.ask(client, address, 40)
	if counts["one"] == 0 || counts["two"] == 0 || counts["one"]+counts["two"] != 40 {
		f.Errorf("40 requests were answered by %v; want all answered, by both", counts)
	}
	if stdout, _, code := f.try(client, script(`timeout 5 nc "$1" 81 </dev/null`, address)...); code == 0 {
		f.Errorf("a port that the Service has not answers: %q", stdout)
	}
}

// searches wants the search list and ndots:5, by which a C library finds web.shop and web.shop.svc too. busybox's nslookup
// does not search for a name that has a dot.
func (f *fixture) searches(id string) {
	f.Helper()
	resolv := f.exec(id, "cat", "/etc/resolv.conf")
	for _, want := range []string{"search " + strings.Join(f.config("").Search, " "), "ndots:5"} {
		if !strings.Contains(resolv, want) {
			f.Errorf("/etc/resolv.conf is %q; want %q in it", resolv, want)
		}
	}
}

// resolves asks for the addresses of a name, sorted. nslookup goes through the search list for a name without a dot.
func (f *fixture) resolves(id, name string) []string {
	f.Helper()
	out, _, _ := f.try(id, script(`nslookup -type=a "$1" | sed -n '/^Name/,$s/^Address: //p'`, name)...)
	return slices.Compact(slices.Sorted(slices.Values(strings.Fields(out))))
}

// ask sends requests to port 80 and counts who answered.
func (f *fixture) ask(id, address string, requests int) map[string]int {
	f.Helper()
	counts := map[string]int{}
	out := f.sh(id, `i=0; while [ $i -lt $3 ]; do i=$((i+1)); (`+get+`) | sed -n 's/^I am //p'; done`,
		address, "80", fmt.Sprint(requests))
	for _, name := range strings.Fields(out) {
		counts[name]++
	}
	return counts
}

// serviceFollows holds Route to its word: when it returns, the endpoints are in force.
func serviceFollows(f *fixture) {
	address := f.clusterIP(2)
	client, servers := f.routed(address)
	for i, name := range []string{"one", "two"} {
		f.route(address, servers[i])
		if counts := f.ask(client, address, 10); counts[name] != 10 {
			f.Errorf("with %s as the only endpoint, 10 requests were answered by %v", name, counts)
		}
	}
	f.route(address)
	if counts := f.ask(client, address, 2); len(counts) != 0 {
		f.Errorf("without endpoints, requests were answered by %v", counts)
	}
	f.must(f.Runtime.Route(f.ctx, runtime.Routes{}))
	if got := f.resolves(client, "web"); len(got) != 0 {
		f.Errorf("a Service that is gone resolves to %v", got)
	}
}

func headless(f *fixture) {
	client, servers := f.routed("")
	want := slices.Sorted(slices.Values(servers))
	if got := f.resolves(client, "web"); !slices.Equal(got, want) {
		f.Errorf("the headless Service resolves to %v; want %v", got, want)
	}
	f.route("", servers[0])
	if got := f.resolves(client, "web"); !slices.Equal(got, servers[:1]) {
		f.Errorf("with one pod left it resolves to %v; want %v", got, servers[:1])
	}
}
