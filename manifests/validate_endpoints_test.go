package manifests

import "testing"

const (
	outside = `---
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {ports: [{name: sql, port: 5432}]}
`
	sliceHead = `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
`
	endpointsHead = `
apiVersion: v1
kind: Endpoints
metadata: {name: db}
`
)

func TestEndpoints(t *testing.T) {
	runCases(t, []validateCase{
		{name: "addresses outside", yaml: endpointsHead + `subsets:
- addresses: [{ip: 192.0.2.1, hostname: db-0}]
  notReadyAddresses: [{ip: 192.0.2.2, targetRef: {kind: Pod, name: x}}]
  ports: [{name: sql, port: 5432}]
` + outside},
		{name: "addresses that nobody can reach", yaml: endpointsHead + `subsets:
- addresses:
  - {ip: 127.0.0.1}
  - {ip: 169.254.1.1}
  - {ip: 224.0.0.1}
  - {ip: 0.0.0.0}
  - {ip: "2001:db8::1"}
  - {ip: db.example.com, hostname: A}
` + outside, errors: []string{
			"a.yaml:6: subsets[0].addresses[0].ip: must not be in the loopback range (127.0.0.0/8): name the host by its address on the network",
			"a.yaml:7: subsets[0].addresses[1].ip: must not be in the link-local range (169.254.0.0/16)",
			"a.yaml:8: subsets[0].addresses[2].ip: must not be in the link-local multicast range (224.0.0.0/24)",
			"a.yaml:9: subsets[0].addresses[3].ip: must not be the unspecified address (0.0.0.0)",
			"a.yaml:10: subsets[0].addresses[4].ip: not supported yet: addresses are IPv4",
			"a.yaml:11: subsets[0].addresses[5].hostname: " + dnsLabel,
			"a.yaml:11: subsets[0].addresses[5].ip: must be an IPv4 address",
		}},
		{name: "subsets and ports that are none", yaml: endpointsHead + `subsets:
- {}
- addresses: [{ip: 192.0.2.1}]
  ports:
  - {port: 0}
  - {name: a, port: 1, protocol: ICMP}
  - {name: a, port: 2, appProtocol: "a b"}
` + outside, errors: []string{
			"a.yaml:5: subsets[0]: must have addresses or notReadyAddresses",
			"a.yaml:8: subsets[1].ports[0].name: is missing: with several ports each needs a name",
			"a.yaml:8: subsets[1].ports[0].port: " + portRange,
			"a.yaml:9: subsets[1].ports[1].protocol: must be one of TCP, UDP or SCTP",
			"a.yaml:10: subsets[1].ports[2].appProtocol: name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
			"a.yaml:10: subsets[1].ports[2].name: port a is there twice",
		}},
		{name: "of a Service that is not there", yaml: endpointsHead, warnings: []string{
			"a.yaml:3: Endpoints default/db: metadata.name: Service default/db is not in the commit: nothing leads to these Endpoints"}},
		{name: "of a Service with a selector", yaml: "apiVersion: v1\nkind: Endpoints\nmetadata: {name: web}\n" + webService, warnings: []string{
			"a.yaml:3: Endpoints default/web: metadata.name: Service default/web has endpoints of its own, from its selector or its type: these are not used"}},
		{name: "that are not to be mirrored", yaml: "apiVersion: v1\nkind: Endpoints\nmetadata: {name: db, labels: {endpointslice.kubernetes.io/skip-mirror: \"true\"}}\n" + outside, warnings: []string{
			"a.yaml:3: Endpoints default/db: metadata.labels[endpointslice.kubernetes.io/skip-mirror]: these Endpoints are endpoints of nothing, as in a cluster: EndpointSlices take their place"}},
	})
}

func TestEndpointSlices(t *testing.T) {
	runCases(t, []validateCase{
		{name: "with every condition", yaml: sliceHead + `endpoints:
- addresses: [192.0.2.1]
  conditions: {ready: true, serving: true, terminating: false}
  hostname: db-0
  nodeName: quay
  zone: a
- {addresses: [192.0.2.2, 192.0.2.3]}
ports:
- {name: sql, port: 5432}
` + outside},
		{name: "of other kinds of addresses", yaml: `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: six, labels: {kubernetes.io/service-name: db}}
addressType: IPv6
endpoints: [{addresses: ["2001:db8::1"]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: name, labels: {kubernetes.io/service-name: db}}
addressType: FQDN
endpoints: [{addresses: [db.example.com]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: none, labels: {kubernetes.io/service-name: db}}
endpoints: []
` + outside, errors: []string{
			"a.yaml:4: addressType: not supported yet: addresses are IPv4",
			"a.yaml:10: addressType: not supported yet: addresses are IPv4; a Service of type ExternalName leads to a name",
			"a.yaml:13: addressType: is missing: use IPv4",
		}},
		{name: "endpoints and ports that are none", yaml: sliceHead + `endpoints:
- {addresses: []}
- {addresses: [127.0.0.1], hostname: A}
ports:
- {name: a, port: 1}
- {name: a, port: 70000}
- {port: 3}
- {port: 4, protocol: ICMP}
` + outside, errors: []string{
			"a.yaml:6: endpoints[0].addresses: at least one is required",
			"a.yaml:7: endpoints[1].addresses[0]: must not be in the loopback range (127.0.0.0/8): name the host by its address on the network",
			"a.yaml:7: endpoints[1].hostname: " + dnsLabel,
			"a.yaml:10: ports[1].name: port \"a\" is there twice",
			"a.yaml:10: ports[1].port: " + portRange,
			"a.yaml:12: ports[3].name: port \"\" is there twice",
			"a.yaml:12: ports[3].protocol: must be one of TCP, UDP or SCTP",
		}},
		{name: "to which nothing leads", yaml: "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a}\naddressType: IPv4\nendpoints: []\nports: [{name: any}]\n" +
			"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: b, labels: {kubernetes.io/service-name: gone}}\naddressType: IPv4\nendpoints: []\n" +
			"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: c, labels: {kubernetes.io/service-name: db, endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io}}\naddressType: IPv4\nendpoints: []\n" + outside,
			warnings: []string{
				"a.yaml:6: EndpointSlice default/a: ports[0].port: without a number nothing is forwarded, as in a cluster",
				"a.yaml:3: EndpointSlice default/a: metadata.labels: the label kubernetes.io/service-name is missing: nothing leads to these endpoints",
				"a.yaml:10: EndpointSlice default/b: metadata.labels[kubernetes.io/service-name]: Service default/gone is not in the commit: nothing leads to these endpoints",
				"a.yaml:16: EndpointSlice default/c: metadata.labels[endpointslice.kubernetes.io/managed-by]: these endpoints are not used: a controller of a cluster made the slice, and Podyard makes its own",
			}},
	})
}
