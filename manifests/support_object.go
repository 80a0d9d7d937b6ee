package manifests

import "slices"

// objectFields are those that every object has.
var objectFields = slices.Concat(
	honour("apiVersion", "kind", "metadata.{name,namespace}"),
	refuse("an object needs a name: git is where it is found again", "metadata.generateName"),
	honourWith("an object of which no owner is in the commit is removed, if it has pods or is a Service", "metadata.ownerReferences[].{apiVersion,kind,name}"),
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

const insideOnly = "the Service is reachable inside only: its ports are not published on the host yet"

// serviceFields are those of a Service's spec.
var serviceFields = slices.Concat(
	refuse("not supported yet: Services of type ExternalName", "externalName"),
	only(refuse("not supported yet: Services of type ExternalName", "type"), "ExternalName"),
	only(ignore(insideOnly, "type"), "NodePort", "LoadBalancer"),
	honour("type", "selector.*", "clusterIP", "clusterIPs", "publishNotReadyAddresses"),
	only(ignore("the port can be looked up by name, but SCTP to the Service's address is not forwarded", "ports[].protocol"), "SCTP"),
	honour("ports[].{name,protocol,appProtocol,port,targetPort}"),
	unless(ignore(insideOnly, "ports[].nodePort", "healthCheckNodePort"), int64(0)),
	ignore(insideOnly, "loadBalancerIP", "loadBalancerSourceRanges", "loadBalancerClass"),
	unless(ignore(insideOnly, "allocateLoadBalancerNodePorts"), true),
	unless(ignore(insideOnly, "externalTrafficPolicy"), "Cluster"),
	unless(ignore("there is one host: every endpoint is local", "internalTrafficPolicy"), "Cluster"),
	ignore("there is one host: every endpoint is equally near", "trafficDistribution"),
	unless(ignore("every connection goes to any ready pod: there is no affinity", "sessionAffinity"), "None"),
	ignore("every connection goes to any ready pod: there is no affinity", "sessionAffinityConfig"),
	refuse("not supported yet: Services answer on their own address only", "externalIPs"),
	only(refuse("not supported yet: addresses are IPv4", "ipFamilies[]"), "IPv6"),
	honour("ipFamilies[]"),
	unless(refuse("not supported yet: addresses are IPv4 (SingleStack)", "ipFamilyPolicy"), "SingleStack"),
)
