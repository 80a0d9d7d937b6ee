package manifests

import (
	"encoding/json"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

const qualifiedName = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character " +
	"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"

func TestServiceTypes(t *testing.T) {
	runCases(t, []validateCase{
		{name: "a NodePort Service", yaml: serviceHead + `  type: NodePort
  externalTrafficPolicy: Local
  internalTrafficPolicy: Local
  trafficDistribution: PreferClose
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 86400}}
  ipFamilyPolicy: PreferDualStack
  ports:
  - {name: web, port: 80, nodePort: 30080, appProtocol: kubernetes.io/h2c}
  - {name: dns, port: 53, nodePort: 30080, protocol: UDP}
`},
		{name: "node ports that cannot be", yaml: serviceHead + `  type: NodePort
  clusterIP: None
  ports:
  - {name: a, port: 80, nodePort: 80}
  - {name: b, port: 81, nodePort: 30080}
  - {name: c, port: 82, nodePort: 30080}
`, errors: []string{
			"a.yaml:6: spec.clusterIP: must not be None for a Service of type NodePort",
			"a.yaml:8: spec.ports[0].nodePort: must be from 30000 to 32767",
			"a.yaml:10: spec.ports[2].nodePort: node port 30080/TCP is there twice",
		}},
		{name: "fields of other types", yaml: serviceHead + `  externalTrafficPolicy: Cluster
  healthCheckNodePort: 30900
  allocateLoadBalancerNodePorts: false
  loadBalancerClass: example.com/one
  loadBalancerSourceRanges: [10.0.0.0/8]
  ports: [{port: 80, nodePort: 30080}]
`, errors: []string{
			"a.yaml:5: spec.externalTrafficPolicy: must only be set for a Service of type NodePort or LoadBalancer",
			"a.yaml:6: spec.healthCheckNodePort: must only be set for a Service of type LoadBalancer with externalTrafficPolicy Local",
			"a.yaml:7: spec.allocateLoadBalancerNodePorts: must only be set for a Service of type LoadBalancer",
			"a.yaml:8: spec.loadBalancerClass: must only be set for a Service of type LoadBalancer",
			"a.yaml:9: spec.loadBalancerSourceRanges: must only be set for a Service of type LoadBalancer",
			"a.yaml:10: spec.ports[0].nodePort: must not be set for a Service of type ClusterIP",
		}},
		{name: "what a load balancer of a cloud has", yaml: serviceHead + `  type: LoadBalancer
  externalTrafficPolicy: Local
  healthCheckNodePort: 30900
  allocateLoadBalancerNodePorts: true
  loadBalancerClass: example.com/one
  loadBalancerIP: 192.0.2.1
  loadBalancerSourceRanges: [" 10.1.2.3/8 ", "fd00::/8"]
  ports: [{port: 80}]
`, warnings: []string{
			"a.yaml:7: Service default/web: spec.healthCheckNodePort: nothing answers there: no load balancer outside has to find out which host has endpoints",
			"a.yaml:9: Service default/web: spec.loadBalancerClass: there is one kind of load balancer: it publishes the ports on the host, whatever the class",
			"a.yaml:10: Service default/web: spec.loadBalancerIP: the ports are published on all addresses of the host",
			"a.yaml:11: Service default/web: spec.loadBalancerSourceRanges[1]: is left out: addresses are IPv4",
		}},
		{name: "values that do not exist", yaml: serviceHead + `  type: LoadBalancer
  externalTrafficPolicy: Global
  internalTrafficPolicy: Node
  trafficDistribution: Near
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 86401}}
  loadBalancerClass: a b
  loadBalancerSourceRanges: [10.0.0.1]
  ipFamilyPolicy: Both
  ipFamilies: [IPv4, IPv4]
  ports: [{port: 10250}]
`, errors: []string{
			"a.yaml:6: spec.externalTrafficPolicy: must be one of Cluster or Local",
			"a.yaml:7: spec.internalTrafficPolicy: must be one of Cluster or Local",
			"a.yaml:8: spec.trafficDistribution: must be one of PreferClose, PreferSameZone or PreferSameNode",
			"a.yaml:10: spec.sessionAffinityConfig.clientIP.timeoutSeconds: must be from 1 to 86400",
			"a.yaml:11: spec.loadBalancerClass: " + qualifiedName,
			"a.yaml:12: spec.loadBalancerSourceRanges[0]: must be a range of addresses, as 10.0.0.0/8",
			"a.yaml:13: spec.ipFamilyPolicy: must be one of SingleStack, PreferDualStack or RequireDualStack",
			"a.yaml:14: spec.ipFamilies[1]: family IPv4 is there twice",
			"a.yaml:15: spec.ports[0].port: must not be 10250 for a Service of type LoadBalancer: in a cluster that is the kubelet's",
		}},
		{name: "ranges of IPv6 alone would let nobody in", yaml: serviceHead + `  type: LoadBalancer
  loadBalancerSourceRanges: ["fd00::/8"]
  ports: [{port: 80}]
`, errors: []string{"a.yaml:6: spec.loadBalancerSourceRanges: not supported yet: addresses are IPv4, and no client has one in these ranges; add a range of IPv4"}},
		{name: "ranges in the annotation", yaml: `
apiVersion: v1
kind: Service
metadata:
  name: web
  annotations: {service.beta.kubernetes.io/load-balancer-source-ranges: "10.0.0.0/8, nonsense"}
spec: {ports: [{port: 80}]}
`, errors: []string{
			"a.yaml:5: metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: must be a range of addresses, as 10.0.0.0/8",
			"a.yaml:5: metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: must only be set for a Service of type LoadBalancer",
		}},
		{name: "another family", yaml: serviceHead + `  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: RequireDualStack
  externalIPs: [192.0.2.1]
  ports: [{port: 80}]
`, errors: []string{
			"a.yaml:5: spec.ipFamilies[1]: not supported yet: addresses are IPv4",
			"a.yaml:6: spec.ipFamilyPolicy: not supported yet: addresses are IPv4; PreferDualStack does with that, here as in any cluster of one family",
			"a.yaml:7: spec.externalIPs: not supported: a Service answers on its own address, and with type LoadBalancer on those of the host",
		}},
		{name: "affinity of a headless Service, or none", yaml: serviceHead + `  clusterIP: None
  sessionAffinity: ClientIP
---
apiVersion: v1
kind: Service
metadata: {name: db}
spec:
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 10}}
  externalName: example.org
  ports: [{port: 80}]
`, warnings: []string{
			"a.yaml:6: Service default/web: spec.sessionAffinity: is ignored: a headless Service has no address that would spread connections",
			"a.yaml:12: Service default/db: spec.sessionAffinityConfig: is ignored: sessionAffinity is None",
			"a.yaml:13: Service default/db: spec.externalName: is ignored: the Service is not of type ExternalName",
		}},
	})
}

func TestExternalNames(t *testing.T) {
	runCases(t, []validateCase{
		{name: "a name with a dot at its end", yaml: serviceHead + "  type: ExternalName\n  externalName: db.example.org.\n"},
		{name: "what it cannot have", yaml: serviceHead + `  type: ExternalName
  clusterIP: None
  ipFamilies: [IPv4]
  ipFamilyPolicy: SingleStack
  externalTrafficPolicy: Cluster
`, errors: []string{
			"a.yaml:4: spec.externalName: is required for a Service of type ExternalName",
			"a.yaml:6: spec.clusterIP: must not be set for a Service of type ExternalName",
			"a.yaml:7: spec.ipFamilies: must not be set for a Service of type ExternalName",
			"a.yaml:8: spec.ipFamilyPolicy: must not be set for a Service of type ExternalName",
			"a.yaml:9: spec.externalTrafficPolicy: must only be set for a Service of type NodePort or LoadBalancer",
		}},
		{name: "what it has no use for", yaml: serviceHead + `  type: ExternalName
  externalName: 192.0.2.1
  selector: {app: web}
  ports: [{port: 80, nodePort: 30080}]
`, warnings: []string{
			"a.yaml:6: Service default/web: spec.externalName: is an IP address, and is looked up as a name all the same, here and in a cluster: for an address, use a Service without selector and an EndpointSlice",
			"a.yaml:7: Service default/web: spec.selector: is ignored: a Service of type ExternalName has no pods",
			"a.yaml:8: Service default/web: spec.ports[0].nodePort: is ignored: a Service of type ExternalName has no ports on the host",
		}},
		{name: "no name", yaml: serviceHead + "  type: ExternalName\n  externalName: a_b\n",
			errors: []string{"a.yaml:6: spec.externalName: " + dnsSubdomain}},
	})
}

func TestPortsThatServicesShare(t *testing.T) {
	second := `---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: other}
spec:
`
	runCases(t, []validateCase{
		{name: "a node port", yaml: serviceHead + "  type: NodePort\n  ports: [{port: 80, nodePort: 30080}]\n" + second +
			"  type: LoadBalancer\n  ports: [{port: 53, protocol: UDP, nodePort: 30080}]\n",
			errors: []string{"a.yaml:13: spec.ports[0].nodePort: node port 30080 is asked for by Service default/web (a.yaml:6) already: choose another, or leave it out to have one chosen"}},
		{name: "a port of load balancers", yaml: serviceHead + "  type: LoadBalancer\n  ports: [{port: 80}]\n" + second +
			"  type: LoadBalancer\n  ports: [{port: 80}]\n",
			warnings: []string{"a.yaml:13: Service other/api: spec.ports[0].port: port 80/TCP of the host is asked for by Service default/web (a.yaml:6) as well: only one of them is published"}},
		{name: "a node port that is the port of a load balancer", yaml: serviceHead + "  type: LoadBalancer\n  ports: [{port: 30080}]\n" + second +
			"  type: NodePort\n  ports: [{port: 80, nodePort: 30080}]\n",
			warnings: []string{"a.yaml:13: Service other/api: spec.ports[0].nodePort: port 30080/TCP of the host is asked for by Service default/web (a.yaml:6) as well: only one of them is published"}},
		{name: "a node port that is a port of its load balancer", yaml: serviceHead + "  type: LoadBalancer\n  ports:\n  - {name: a, port: 30080}\n  - {name: b, port: 80, nodePort: 30080}\n",
			errors: []string{"a.yaml:8: spec.ports[1].nodePort: port 30080/TCP of the host is asked for by spec.ports[0].port of this Service, too"}},
		{name: "other protocols", yaml: serviceHead + "  type: LoadBalancer\n  ports: [{port: 53}]\n" + second +
			"  type: LoadBalancer\n  ports: [{port: 53, protocol: UDP}]\n"},
	})
}

func TestServiceDefaults(t *testing.T) {
	for _, c := range []struct{ name, given, want string }{
		{"ClusterIP", `{"ports":[{"port":80}]}`,
			`{"ports":[{"protocol":"TCP","port":80,"targetPort":80}],"type":"ClusterIP","sessionAffinity":"None","internalTrafficPolicy":"Cluster"}`},
		{"LoadBalancer with affinity", `{"type":"LoadBalancer","sessionAffinity":"ClientIP"}`,
			`{"type":"LoadBalancer","sessionAffinity":"ClientIP","externalTrafficPolicy":"Cluster","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":10800}},"allocateLoadBalancerNodePorts":true,"internalTrafficPolicy":"Cluster"}`},
		{"NodePort", `{"type":"NodePort"}`, `{"type":"NodePort","sessionAffinity":"None","externalTrafficPolicy":"Cluster","internalTrafficPolicy":"Cluster"}`},
		{"ExternalName", `{"type":"ExternalName"}`, `{"type":"ExternalName","sessionAffinity":"None"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s corev1.Service
			if err := json.Unmarshal([]byte(c.given), &s.Spec); err != nil {
				t.Fatal(err)
			}
			defaultService(&s)
			got, err := json.Marshal(s.Spec)
			if err != nil || string(got) != c.want {
				t.Errorf("%s, %v\nwant\n%s", got, err, c.want)
			}
		})
	}
}

func TestSourceRanges(t *testing.T) {
	const key = corev1.AnnotationLoadBalancerSourceRangesKey
	for _, c := range []struct {
		name       string
		field      []string
		annotation string
		want       []string
	}{
		{name: "none"},
		{name: "the field", field: []string{" 10.1.2.3/8", "fd00::/8"}, annotation: "192.0.2.0/24", want: []string{"10.0.0.0/8"}},
		{name: "the annotation", annotation: "192.0.2.0/24, 198.51.100.7/32", want: []string{"192.0.2.0/24", "198.51.100.7/32"}},
		{name: "an empty annotation", annotation: " "},
	} {
		s := &corev1.Service{Spec: corev1.ServiceSpec{LoadBalancerSourceRanges: c.field}}
		if c.annotation != "" {
			s.Annotations = map[string]string{key: c.annotation}
		}
		if got := SourceRanges(s); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
