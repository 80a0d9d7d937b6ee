package ingress

import (
	"encoding/json"
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/podyard/podyard/wire"
)

// The messages of the protocol, which package wire carries.

// request is what a daemon asks: exactly one of the fields beside ID.
type request struct {
	ID    string        `json:"id"`
	Hello *helloRequest `json:"hello,omitempty"`
	Apply *Config       `json:"apply,omitempty"`
	// Certificates asks how those fare that are obtained automatically.
	Certificates *certificatesRequest `json:"certificates,omitempty"`
}

type certificatesRequest struct{}

type helloRequest struct {
	// Version of the daemon, for the agent's log.
	Version string `json:"version,omitempty"`
}

// response is the agent's answer: Error, or what fits the request. To an apply it is neither.
type response struct {
	ID           string             `json:"id"`
	Error        string             `json:"error,omitempty"`
	Hello        *Hello             `json:"hello,omitempty"`
	Certificates []CertificateState `json:"certificates,omitempty"`
}

// Request implements wire.Answer.
func (r response) Request() string { return r.ID }

// Failure implements wire.Answer.
func (r response) Failure() string { return r.Error }

// Hello is how an agent introduces itself. It holds no key.
type Hello struct {
	// Version of the agent's binary.
	Version string `json:"version"`
	// Digest is that of the Config in force, Ingresses are those in it.
	Digest    string                  `json:"digest"`
	Ingresses []*networkingv1.Ingress `json:"ingresses,omitempty"`
	// Problems say what is not served as it was asked.
	Problems []string `json:"problems,omitempty"`
	// Certificates are those that are obtained automatically.
	Certificates []CertificateState `json:"certificates,omitempty"`
}

// decodeRequest reads one line. It never returns a request without id or with any but one verb.
func decodeRequest(line []byte) (request, error) {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return request{}, fmt.Errorf("%w: %w", wire.ErrNoMessage, err)
	}
	verbs := 0
	for _, has := range []bool{r.Hello != nil, r.Apply != nil, r.Certificates != nil} {
		if has {
			verbs++
		}
	}
	if r.ID == "" || verbs != 1 {
		return request{}, fmt.Errorf("%w: need an id and one verb", wire.ErrNoMessage)
	}
	return r, nil
}
