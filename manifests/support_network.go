package manifests

import (
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// networkKinds lead to pods, or to what is outside.
var networkKinds = []kind{
	{"networking.k8s.io/v1", "Ingress", func() any { return &networkingv1.Ingress{} }, honoured, "", slices.Concat(objectFields, statusFields, under("spec", ingressFields))},
	{"networking.k8s.io/v1", "IngressClass", func() any { return &networkingv1.IngressClass{} }, silent, "Podyard serves the Ingresses of every class", slices.Concat(objectFields, under("spec", ingressClassFields))},
	{"v1", "Endpoints", func() any { return &Endpoints{} }, honoured, "", slices.Concat(objectFields, endpointsFields)},
	{"discovery.k8s.io/v1", "EndpointSlice", func() any { return &discoveryv1.EndpointSlice{} }, honoured, "", slices.Concat(objectFields, endpointSliceFields)},
}

const noResource = "not supported: an Ingress leads to Services"

var ingressBackendFields = slices.Concat(
	honour("service.name", "service.port.{name,number}"),
	refuse(noResource, "resource"),
)

var ingressFields = slices.Concat(
	honourWith("Podyard serves every class", "ingressClassName"),
	under("defaultBackend", ingressBackendFields),
	honour("rules[].host", "rules[].http.paths[].path"),
	honourWith("ImplementationSpecific is Prefix", "rules[].http.paths[].pathType"),
	under("rules[].http.paths[].backend", ingressBackendFields),
	honour("tls[].hosts[]"),
	honourWith("of type kubernetes.io/tls; with ACME it need not exist", "tls[].secretName"),
)

var ingressClassFields = slices.Concat(
	ignoreSilently("Podyard serves the Ingresses of every class", "controller"),
	ignore("they are for another controller: Podyard is set up with flags of podyard run", "parameters"),
)

const (
	onlyIPv4  = "not supported yet: addresses are IPv4"
	tellsWho  = "it tells people what is there"
	equalNear = "there is one host: every endpoint is equally near"
)

var endpointsFields = under("subsets[]", slices.Concat(
	honour("addresses[].{ip,hostname}", "notReadyAddresses[].{ip,hostname}", "ports[].{name,port,protocol,appProtocol}"),
	ignoreSilently(tellsWho, "addresses[].{nodeName,targetRef}", "notReadyAddresses[].{nodeName,targetRef}"),
))

var endpointSliceFields = slices.Concat(
	only(refuse(onlyIPv4, "addressType"), string(discoveryv1.AddressTypeIPv6)),
	only(refuse("not supported yet: addresses are IPv4; a Service of type ExternalName leads to a name", "addressType"), string(discoveryv1.AddressTypeFQDN)),
	honour("addressType", "endpoints[].{addresses,hostname}", "endpoints[].conditions.{ready,serving,terminating}"),
	ignoreSilently(tellsWho, "endpoints[].{nodeName,targetRef,zone,deprecatedTopology}"),
	ignore(equalNear, "endpoints[].hints"),
	honour("ports[].{name,port,protocol,appProtocol}"),
)
