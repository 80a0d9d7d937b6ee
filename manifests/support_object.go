package manifests

import "slices"

// objectFields are those that every object has.
var objectFields = slices.Concat(
	honour("apiVersion", "kind", "metadata.{name,namespace}"),
	refuse("an object needs a name: git is where it is found again", "metadata.generateName"),
	honourWith("an object of which no owner is in the commit is removed, if it has pods, or is a Service or an Ingress", "metadata.ownerReferences[].{apiVersion,kind,name}"),
	ignoreSilently("git does not know the identities that a cluster would give", "metadata.ownerReferences[].{uid,controller,blockOwnerDeletion}"),
	metadataFields,
)

// statusFields: kubectl apply leaves status out without a word, too.
var statusFields = ignoreSilently("only a cluster writes it", "status")

// metadataFields are those of metadata, of objects and of pod templates alike.
var metadataFields = under("metadata", slices.Concat(
	honour("labels.*", "annotations.*"),
	ignoreSilently("only a cluster writes it", "creationTimestamp", "generation", "managedFields", "selfLink"),
	ignore("only a cluster writes it", "uid", "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds"),
	ignore("there are no controllers that would clear finalizers", "finalizers"),
))

// withoutOwners are the metadata of what is no object of the commit.
var withoutOwners = slices.Concat(metadataFields,
	ignore("what is made of a template belongs to whoever makes it", "metadata.ownerReferences"))

var namespaceFields = ignore("there are no controllers that would clear finalizers", "spec.finalizers")

var configMapFields = honour("data.*", "binaryData.*", "immutable")

var secretFields = honour("data.*", "stringData.*", "type", "immutable")

// serviceFields are those of a Service's spec.
var serviceFields = slices.Concat(
	honourWith("NodePort and LoadBalancer are published on the host", "type"),
	honour("externalName", "selector.*", "clusterIP", "clusterIPs", "publishNotReadyAddresses"),
	only(ignore("the port can be looked up by name, but SCTP to the Service's address is not forwarded, nor published on the host", "ports[].protocol"), "SCTP"),
	honour("ports[].{name,protocol,appProtocol,port,targetPort}"),
	honourWith("of a LoadBalancer, a node port is open only where it is asked for by number, and loadBalancerSourceRanges hold for it, too", "ports[].nodePort", "allocateLoadBalancerNodePorts"),
	honourWith("ranges of IPv6 are left out", "loadBalancerSourceRanges"),
	ignore("the ports are published on all addresses of the host", "loadBalancerIP"),
	ignore("there is one kind of load balancer: it publishes the ports on the host, whatever the class", "loadBalancerClass"),
	unless(ignore("nothing answers there: no load balancer outside has to find out which host has endpoints", "healthCheckNodePort"), int64(0)),
	honourWith("there is one host, so every endpoint is local; with Cluster the client's address is kept as well, but for connections that come from the host itself", "externalTrafficPolicy"),
	honourWith("there is one host: every endpoint is local", "internalTrafficPolicy"),
	honourWith("there is one host: every endpoint is equally near", "trafficDistribution"),
	honour("sessionAffinity", "sessionAffinityConfig.clientIP.timeoutSeconds"),
	refuse("not supported: a Service answers on its own address, and with type LoadBalancer on those of the host", "externalIPs"),
	only(refuse("not supported yet: addresses are IPv4", "ipFamilies[]"), "IPv6"),
	honour("ipFamilies[]"),
	only(refuse("not supported yet: addresses are IPv4; PreferDualStack does with that, here as in any cluster of one family", "ipFamilyPolicy"), "RequireDualStack"),
	honourWith("PreferDualStack means IPv4", "ipFamilyPolicy"),
)
