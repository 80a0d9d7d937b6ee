package gateway

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
)

// DefaultDomain is the cluster's DNS domain.
const DefaultDomain = "cluster.local"

// Table is everything the data plane serves. The same content is the same JSON: NewTable sorts it.
type Table struct {
	// Domain is the cluster's DNS domain, without dots at its ends.
	Domain   string    `json:"domain"`
	Services []Service `json:"services,omitempty"`
	// Publications are sorted by address.
	Publications []Publication `json:"publications,omitempty"`
}

// Publication is an address to which the engine translates ports of the host, and at which a Service is served.
type Publication struct {
	IP netip.Addr `json:"ip"`
	// To is the address of the Service.
	To    netip.Addr      `json:"to"`
	Ports []PublishedPort `json:"ports"`
	// Sources are where clients may come from; none means anywhere. Others are refused; their established TCP connections go on.
	Sources []netip.Prefix `json:"sources,omitempty"`
}

// PublishedPort is a port at the publication's address, and the Service's for which it stands.
type PublishedPort struct {
	// Protocol is TCP or UDP.
	Protocol string `json:"protocol"`
	Port     int32  `json:"port"`
	ToPort   int32  `json:"toPort"`
}

// Service is one Service with what is behind it.
type Service struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// ClusterIP is empty or "None" for a headless Service, which has names only.
	ClusterIP string `json:"clusterIP,omitempty"`
	// ExternalName is the target of a Service of that type.
	ExternalName string `json:"externalName,omitempty"`
	// PublishNotReady has endpoints served that are not ready.
	PublishNotReady bool `json:"publishNotReady,omitempty"`
	// AffinitySeconds is how long a client stays with the endpoint it used last; 0 for no affinity.
	AffinitySeconds int32 `json:"affinitySeconds,omitempty"`
	// Selector is of no use here. A restarted daemon reads from it, and from the targets of ports, where a Service leads that it
	// keeps and that is no longer in git.
	Selector  map[string]string `json:"selector,omitempty"`
	Ports     []Port            `json:"ports,omitempty"`
	Endpoints []Endpoint        `json:"endpoints,omitempty"`
}

// Port is a port of the Service itself.
type Port struct {
	// Name is empty if there is only one.
	Name string `json:"name,omitempty"`
	// Protocol is TCP, UDP or SCTP; the last is served by DNS only.
	Protocol string `json:"protocol"`
	Port     int32  `json:"port"`
	// Target is the port of the pods, by number or name; empty for the same number. See Selector.
	Target string `json:"target,omitempty"`
}

// Endpoint is one address behind a Service, with the conditions of k8s.io/api/discovery/v1.
type Endpoint struct {
	IP string `json:"ip"`
	// Hostname gives the endpoint a name of its own below the Service's; empty for none.
	Hostname string `json:"hostname,omitempty"`
	// Pod is the name of the pod, if it is one.
	Pod         string `json:"pod,omitempty"`
	Ready       bool   `json:"ready,omitempty"`
	Serving     bool   `json:"serving,omitempty"`
	Terminating bool   `json:"terminating,omitempty"`
	// Ports holds the endpoint's port by the name of the Service's port.
	Ports map[string]int32 `json:"ports,omitempty"`
}

// headless tells whether the Service has no address of its own.
func (s *Service) headless() bool { return s.ClusterIP == "" || s.ClusterIP == "None" }

// balanced returns the endpoints of a port that new connections go to: the ready ones or, if there is none, those that still
// serve while they end (kube-proxy's rule, for each port of a Service: pkg/proxy/topology.go).
func (s *Service) balanced(port string) []Endpoint {
	has := func(e Endpoint) bool { _, ok := e.Ports[port]; return ok }
	if ready := keep(s.published(), has); len(ready) > 0 {
		return ready
	}
	return keep(s.Endpoints, func(e Endpoint) bool { return e.Serving && e.Terminating && has(e) })
}

// published returns the endpoints that DNS names.
func (s *Service) published() []Endpoint {
	return keep(s.Endpoints, func(e Endpoint) bool { return e.Ready || s.PublishNotReady })
}

func keep(endpoints []Endpoint, want func(Endpoint) bool) []Endpoint {
	var kept []Endpoint
	for _, e := range endpoints {
		if want(e) {
			kept = append(kept, e)
		}
	}
	return kept
}

// Equal tells whether two tables serve the same.
func (t Table) Equal(other Table) bool {
	a, errA := json.Marshal(t)
	b, errB := json.Marshal(other)
	return errA == nil && errB == nil && string(a) == string(b)
}

// sort puts Services and endpoints in order. Ports keep the order of the manifest.
func (t *Table) sort() {
	slices.SortFunc(t.Services, func(a, b Service) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	for i := range t.Services {
		slices.SortFunc(t.Services[i].Endpoints, compareEndpoints)
	}
}

// compareEndpoints orders addresses by number, so that 10.0.0.9 comes before 10.0.0.10.
func compareEndpoints(a, b Endpoint) int {
	ipA, _ := netip.ParseAddr(a.IP)
	ipB, _ := netip.ParseAddr(b.IP)
	return cmp.Or(ipA.Compare(ipB), strings.Compare(a.IP, b.IP), strings.Compare(a.Pod, b.Pod),
		strings.Compare(a.Hostname, b.Hostname))
}
