package gateway

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func ptr[T any](v T) *T { return &v }

func apiService(namespace, name string, spec corev1.ServiceSpec) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: spec}
}

func apiSlice(namespace, service, suffix string, ports map[string]int32, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: service + suffix,
			Labels: map[string]string{"kubernetes.io/service-name": service}},
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: endpoints,
	}
	for name, port := range ports {
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &name, Port: &port})
	}
	return slice
}

func apiEndpoint(ip string, ready, serving, terminating *bool) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{Addresses: []string{ip},
		Conditions: discoveryv1.EndpointConditions{Ready: ready, Serving: serving, Terminating: terminating}}
}

func TestTableTakesWhatItNeedsFromTheObjects(t *testing.T) {
	named := apiEndpoint("10.77.64.9", nil, nil, nil)
	named.Hostname, named.TargetRef = ptr("web-0"), &corev1.ObjectReference{Kind: "Pod", Name: "web-0"}
	ipv6 := apiSlice("shop", "web", "-6", map[string]int32{"http": 8080}, apiEndpoint("fd00::1", nil, nil, nil))
	ipv6.AddressType = discoveryv1.AddressTypeIPv6
	orphan := apiSlice("shop", "gone", "", nil, apiEndpoint("10.77.64.99", nil, nil, nil))
	got := NewTable(
		[]*corev1.Service{
			apiService("shop", "web", corev1.ServiceSpec{ClusterIP: "10.77.192.10", SessionAffinity: "ClientIP",
				Selector: map[string]string{"app": "web"},
				Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("web")}, {Name: "dns", Port: 53, Protocol: "UDP", TargetPort: intstr.FromInt32(5353)}}}),
			apiService("shop", "out", corev1.ServiceSpec{Type: "ExternalName", ExternalName: "example.com"}),
			apiService("data", "db", corev1.ServiceSpec{ClusterIP: "None", PublishNotReadyAddresses: true}),
		},
		[]*discoveryv1.EndpointSlice{
			apiSlice("shop", "web", "-1", map[string]int32{"http": 8080},
				apiEndpoint("10.77.64.10", ptr(false), ptr(true), ptr(true)), named),
			apiSlice("shop", "web", "-2", map[string]int32{"dns": 5353}, named), ipv6, orphan,
		})
	want := Table{Domain: "cluster.local", Services: []Service{
		{Namespace: "data", Name: "db", ClusterIP: "None", PublishNotReady: true},
		{Namespace: "shop", Name: "out", ExternalName: "example.com"},
		{Namespace: "shop", Name: "web", ClusterIP: "10.77.192.10", AffinitySeconds: 10800,
			Selector: map[string]string{"app": "web"},
			Ports:    []Port{{Name: "http", Protocol: "TCP", Port: 80, Target: "web"}, {Name: "dns", Protocol: "UDP", Port: 53, Target: "5353"}},
			Endpoints: []Endpoint{
				{IP: "10.77.64.9", Hostname: "web-0", Pod: "web-0", Ready: true, Serving: true,
					Ports: map[string]int32{"http": 8080, "dns": 5353}},
				{IP: "10.77.64.10", Serving: true, Terminating: true, Ports: map[string]int32{"http": 8080}},
			}},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestRoutesGiveBackTheTable(t *testing.T) {
	table := dnsTable()
	table.Services[0].AffinitySeconds, table.Services[0].Selector = 60, map[string]string{"app": "web"}
	table.Services[0].Ports[0].Target = "web"
	table.Services[0].Endpoints[1].Ports = map[string]int32{"http": 9090}
	table.Services[0].Endpoints[1].Terminating = true
	table.sort()
	services, slices := table.Routes()
	if back := NewTable(services, slices); !back.Equal(table) {
		a, _ := json.Marshal(table)
		b, _ := json.Marshal(back)
		t.Errorf("got  %s\nwant %s", b, a)
	}
	if name := slices[len(slices)-1].Name; name != "web-1" {
		t.Errorf("the second slice of web is named %s", name)
	}
}

func TestSameContentIsTheSameJSON(t *testing.T) {
	services, endpointSlices := dnsTable().Routes()
	one, err := json.Marshal(NewTable(services, endpointSlices))
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(services)
	slices.Reverse(endpointSlices)
	for _, s := range endpointSlices {
		slices.Reverse(s.Endpoints)
	}
	other, _ := json.Marshal(NewTable(services, endpointSlices))
	if string(one) != string(other) {
		t.Errorf("%s\n%s", one, other)
	}
}

func TestRulesBalanceOverWhatIsReadyOrStillServes(t *testing.T) {
	ports := map[string]int32{"http": 8080}
	ready := Endpoint{IP: "10.0.0.1", Ready: true, Serving: true, Ports: ports}
	ending := Endpoint{IP: "10.0.0.2", Serving: true, Terminating: true, Ports: ports}
	unready := Endpoint{IP: "10.0.0.3", Ports: ports}
	portless := Endpoint{IP: "10.0.0.4", Ready: true, Ports: map[string]int32{"other": 1}}
	elsewhere := Endpoint{IP: "10.0.0.5", Ready: true, Serving: true, Ports: map[string]int32{"http": 9090}}
	unreadyElsewhere := Endpoint{IP: "10.0.0.5", Ports: map[string]int32{"http": 9090}}
	for name, c := range map[string]struct {
		endpoints []Endpoint
		publish   bool
		want      []string
	}{
		"the ready":               {[]Endpoint{unready, ending, ready}, false, []string{"10.0.0.1:8080"}},
		"none ready, one ending":  {[]Endpoint{unready, ending}, false, []string{"10.0.0.2:8080"}},
		"none":                    {[]Endpoint{unready}, false, nil},
		"published all the same":  {[]Endpoint{unready}, true, []string{"10.0.0.3:8080"}},
		"without the port":        {[]Endpoint{portless}, false, nil},
		"ready without the port":  {[]Endpoint{portless, ending}, false, []string{"10.0.0.2:8080"}},
		"at its own port":         {[]Endpoint{ready, elsewhere}, false, []string{"10.0.0.1:8080", "10.0.0.5:9090"}},
		"none ready anywhere":     {[]Endpoint{ending, unreadyElsewhere}, false, []string{"10.0.0.2:8080"}},
		"twice the same endpoint": {[]Endpoint{ready, ready}, false, []string{"10.0.0.1:8080"}},
	} {
		rules := compile(Table{Services: []Service{{Namespace: "shop", Name: "web", ClusterIP: "10.77.192.10",
			PublishNotReady: c.publish, Ports: []Port{{Name: "http", Protocol: "TCP", Port: 80}}, Endpoints: c.endpoints}}})
		var got []string
		for _, b := range rules[0].backends {
			got = append(got, b.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestRulesLeaveOutWhatCannotBeBalanced(t *testing.T) {
	rules := compile(Table{Services: []Service{
		{Namespace: "a", Name: "first", ClusterIP: "10.77.192.10", AffinitySeconds: 5,
			Ports: []Port{{Name: "", Protocol: "TCP", Port: 80}, {Name: "", Protocol: "SCTP", Port: 81}, {Name: "", Protocol: "UDP", Port: 0}, {Name: "", Protocol: "UDP", Port: 70000}}},
		{Namespace: "a", Name: "second", ClusterIP: "10.77.192.10", Ports: []Port{{Name: "", Protocol: "TCP", Port: 80}, {Name: "", Protocol: "UDP", Port: 80}}},
		{Namespace: "a", Name: "headless", ClusterIP: "None", Ports: []Port{{Name: "", Protocol: "TCP", Port: 80}}},
		{Namespace: "a", Name: "six", ClusterIP: "fd00::1", Ports: []Port{{Name: "", Protocol: "TCP", Port: 80}}},
	}})
	ip := netip.MustParseAddr("10.77.192.10")
	want := []rule{
		{front: front{ip, tcp, 80}, owner: "a/first", affinity: 5 * time.Second},
		{front: front{ip, udp, 80}, owner: "a/second"},
	}
	if !reflect.DeepEqual(rules, want) {
		t.Errorf("got %+v", rules)
	}
}

func TestAPublicationIsOneMoreFrontOfItsService(t *testing.T) {
	ip, at := netip.MustParseAddr("10.77.192.10"), netip.MustParseAddr("10.77.128.0")
	sources := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	rules := compile(Table{
		Services: []Service{{Namespace: "a", Name: "web", ClusterIP: ip.String(), AffinitySeconds: 5, Ports: []Port{{Name: "http", Protocol: "TCP", Port: 80}},
			Endpoints: []Endpoint{{IP: "10.0.0.1", Ready: true, Ports: map[string]int32{"http": 8080}}}}},
		Publications: []Publication{{IP: at, To: ip, Sources: sources, Ports: []PublishedPort{
			{Protocol: "TCP", Port: 30080, ToPort: 80}, {Protocol: "UDP", Port: 30053, ToPort: 80}, {Protocol: "TCP", Port: 30081, ToPort: 81},
			{Protocol: "TCP", Port: 70000, ToPort: 80}, {Protocol: "TCP", Port: 30082, ToPort: 80 + 1<<16}, {Protocol: "TCP", Port: 30080, ToPort: 80},
		}}, {IP: at.Next(), To: ip.Next(), Ports: []PublishedPort{{Protocol: "TCP", Port: 30080, ToPort: 80}}}},
	})
	own := rule{front: front{ip, tcp, 80}, owner: "a/web", affinity: 5 * time.Second, backends: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:8080")}}
	its := own
	its.front, its.of, its.sources = front{at, tcp, 30080}, own.front, sources
	if want := []rule{own, its}; !reflect.DeepEqual(rules, want) {
		t.Errorf("got %+v\nwant %+v", rules, want)
	}
}

func TestLossOfABackendMovesOnlyItsClients(t *testing.T) {
	list := []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("10.0.0.2:80"),
		netip.MustParseAddrPort("10.0.0.3:80")}
	all, less := rule{backends: list}, rule{backends: list[:2]}
	for i := range 1000 {
		client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), uint16(30000+i))
		if before, after := all.ranked(client)[0], less.ranked(client)[0]; before != list[2] && before != after {
			t.Fatalf("%s moved from %s to %s", client, before, after)
		}
	}
}
