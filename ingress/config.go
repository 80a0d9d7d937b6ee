package ingress

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	networkingv1 "k8s.io/api/networking/v1"
)

// Config is everything the proxy serves. The same content is the same JSON: NewConfig sorts it. It holds private keys.
type Config struct {
	// Ingresses in the order of precedence: by namespace, then name.
	Ingresses []*networkingv1.Ingress `json:"ingresses,omitempty"`
	// Backends are those that Ingresses name.
	Backends []Backend `json:"backends,omitempty"`
	// Certificates of the Secrets that Ingresses name.
	Certificates []Certificate `json:"certificates,omitempty"`
	Settings     Settings      `json:"settings"`
}

// Backend is a port of a Service as Ingresses of its namespace name it.
type Backend struct {
	Namespace string `json:"namespace"`
	Service   string `json:"service"`
	// Port is the name or number that the Ingress gives.
	Port string `json:"port"`
	// Protocol is what the Service's appProtocol means.
	Protocol Protocol `json:"protocol,omitempty"`
	// AffinitySeconds is how long a client stays with the endpoint it used last; 0 for no affinity.
	AffinitySeconds int32 `json:"affinitySeconds,omitempty"`
	// Endpoints are those that new requests go to, as "IP:port"; of an ExternalName Service "name:port". Sorted.
	Endpoints []string `json:"endpoints,omitempty"`
}

// Protocol is what a backend speaks.
type Protocol string

// The protocols. WebSocket is HTTP.
const (
	HTTP  Protocol = "http"
	HTTPS Protocol = "https"
	// H2C is HTTP/2 without TLS, as gRPC servers speak it; H2 the same with TLS.
	H2C Protocol = "h2c"
	H2  Protocol = "h2"
)

// Certificate is what a Secret of type kubernetes.io/tls holds, in PEM. It prints as nothing, and is encoded in full.
type Certificate struct {
	Namespace string `json:"namespace"`
	// Secret is the name of the Secret.
	Secret string `json:"secret"`
	Chain  []byte `json:"chain"`
	Key    []byte `json:"key"`
}

// String implements fmt.Stringer and tells no more than a name.
func (c Certificate) String() string { return "certificate of Secret " + c.Namespace + "/" + c.Secret }

// GoString implements fmt.GoStringer.
func (c Certificate) GoString() string { return c.String() }

// Settings are the operator's, for all Ingresses.
type Settings struct {
	// HTTPPort and HTTPSPort are the host's ports for 80 and 443: what clients connect to. 0 if it is not published.
	HTTPPort  int32 `json:"httpPort,omitempty"`
	HTTPSPort int32 `json:"httpsPort,omitempty"`
	// SourceRanges are the CIDRs from which clients may connect; none means from anywhere.
	SourceRanges []string `json:"sourceRanges,omitempty"`
	// TrustedProxies are the CIDRs of proxies in front, whose X-Forwarded headers are believed.
	TrustedProxies []string `json:"trustedProxies,omitempty"`
	// AccessLog has each request logged.
	AccessLog bool `json:"accessLog,omitempty"`
	ACME      ACME `json:"acme"`
}

// ACME says where automatic certificates come from.
type ACME struct {
	// Directory is the URL of the server's directory; empty for Let's Encrypt.
	Directory string `json:"directory,omitempty"`
	// Email is where the server sends warnings; it may be empty.
	Email string `json:"email,omitempty"`
	// Agreed: the operator agrees to the server's terms of service. Without, nothing is asked for.
	Agreed bool `json:"agreed,omitempty"`
	// Roots are certificates in PEM that are trusted, besides the public ones, when the server is asked.
	Roots []byte `json:"roots,omitempty"`
}

// Digest is a hash of the whole Config, by which a daemon sees whether an agent has it. It tells nothing of the keys.
func (c Config) Digest() string {
	data, err := json.Marshal(c)
	if err != nil {
		return "" // no field can fail
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
