package runtime

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// Routes are the Services with their addresses, and what is behind them.
type Routes struct {
	// Services with spec.clusterIP filled in. What they hold is shared with the manifests and must not be changed.
	Services []*corev1.Service
	// Endpoints carry the label kubernetes.io/service-name and conditions ready, serving, terminating, as
	// k8s.io/api/discovery/v1 defines them. A Service has several while its pods differ in their ports.
	Endpoints []*discoveryv1.EndpointSlice
	// Ingresses lead from hosts and paths to Services of the same namespace.
	Ingresses []*networkingv1.Ingress
	// Certificates of the Secrets that Ingresses name, by "namespace/name". They do not come back with State.
	Certificates map[string]Certificate
}

// Publication is what Publish makes of one Service, or of all Ingresses.
type Publication struct {
	// Namespace and Name of the Service. The Ingress publication has IngressPublication for a name and no namespace.
	Namespace, Name string
	// To is the address to which connections are forwarded, a ClusterIP; empty for the Ingress publication.
	To string
	// Ports, in the order of the Service's.
	Ports []PublishedPort
	// SourceRanges are the CIDRs from which clients may connect; none means from anywhere.
	SourceRanges []string
}

// IngressPublication is the name of the publication of all Ingresses. No Service has it: theirs have a namespace.
const IngressPublication = "ingress"

// PublishedPort is a port of the host, on all its addresses, and where it leads.
type PublishedPort struct {
	Protocol corev1.Protocol
	HostPort int32
	// Port at Publication.To. Of the Ingress publication it is 80 (plain HTTP) or 443 (TLS), whatever the host's port.
	Port int32
}

// Published is a publication as the engine has it.
type Published struct {
	Publication
	// Running: the ports are open. If not, Error says why in the engine's words, as far as it knows.
	Running bool
	Error   string
}

// Certificate is what a Secret of type kubernetes.io/tls holds, in PEM. It prints and encodes as nothing.
type Certificate struct{ Chain, Key []byte }

// String implements fmt.Stringer and tells nothing.
func (Certificate) String() string { return "(secret)" }

// GoString implements fmt.GoStringer and tells nothing.
func (Certificate) GoString() string { return "(secret)" }

// MarshalJSON implements json.Marshaler and tells nothing.
func (Certificate) MarshalJSON() ([]byte, error) { return []byte("{}"), nil }

// AutomaticCertificate is how the certificate of a host fares for which an Ingress asks an ACME server.
type AutomaticCertificate struct {
	Host  string
	Phase CertificatePhase
	// Message says why there is none yet, or why it is not renewed, and of CertificateWaiting what a person is to do.
	Message string
	// NotAfter is the end of its validity, Next when it is tried again; zero if there is none.
	NotAfter, Next time.Time
}

// CertificatePhase is the life of an AutomaticCertificate.
type CertificatePhase string

// The phases. One that cannot be renewed is Ready until it ends, with a message.
const (
	CertificateWaiting   CertificatePhase = "Waiting"
	CertificateObtaining CertificatePhase = "Obtaining"
	CertificateReady     CertificatePhase = "Ready"
	CertificateFailed    CertificatePhase = "Failed"
)
