package gateway

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/podyard/podyard/wire"
)

// The messages of the protocol, which package wire carries. A new client says hello first.

// request is what a daemon asks: exactly one of the fields beside ID.
type request struct {
	ID    string        `json:"id"`
	Hello *helloRequest `json:"hello,omitempty"`
	Apply *Table        `json:"apply,omitempty"`
	Probe *ProbeRequest `json:"probe,omitempty"`
	// Gone is the address of a pod that is gone.
	Gone *netip.Addr `json:"gone,omitempty"`
}

type helloRequest struct {
	// Version of the daemon, for the agent's log.
	Version string `json:"version,omitempty"`
}

// response is the agent's answer: Error, or what fits the request. To an apply, and of what is gone, it is neither.
type response struct {
	ID    string       `json:"id"`
	Error string       `json:"error,omitempty"`
	Hello *Hello       `json:"hello,omitempty"`
	Probe *ProbeAnswer `json:"probe,omitempty"`
}

// Request implements wire.Answer.
func (r response) Request() string { return r.ID }

// Failure implements wire.Answer.
func (r response) Failure() string { return r.Error }

// Hello is how an agent introduces itself.
type Hello struct {
	// Version of the agent's binary.
	Version string `json:"version"`
	// Backend in use, "nftables" or "userspace", and in the latter case why not the former.
	Backend string `json:"backend"`
	Reason  string `json:"reason,omitempty"`
	// Masquerade tells that backends see the gateway's address instead of the client's.
	Masquerade bool `json:"masquerade,omitempty"`
	// Table in force.
	Table Table `json:"table"`
}

// ProbeRequest asks for one probe from within the pod network.
type ProbeRequest struct {
	// Scheme is "http", "https", "tcp" or "grpc".
	Scheme string `json:"scheme"`
	Host   string `json:"host"`
	Port   int32  `json:"port"`
	// Path, with a query if there is one, and Headers, in order, are for http and https.
	Path    string   `json:"path,omitempty"`
	Headers []Header `json:"headers,omitempty"`
	// Service is for grpc; empty for the server as a whole.
	Service string `json:"service,omitempty"`
	// Timeout in nanoseconds; 0 means one second, the API's default.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// Header is one line of an HTTP request. Its value may be secret.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// ProbeAnswer is the outcome of a probe.
type ProbeAnswer struct {
	OK bool `json:"ok"`
	// Message is the reason of a failure, or the beginning of what was answered, at most 1 KiB.
	Message string `json:"message,omitempty"`
}

// decodeRequest reads one line. It never returns a request without id or with any but one verb.
func decodeRequest(line []byte) (request, error) {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return request{}, fmt.Errorf("%w: %w", wire.ErrNoMessage, err)
	}
	verbs := 0
	for _, has := range []bool{r.Hello != nil, r.Apply != nil, r.Probe != nil, r.Gone != nil} {
		if has {
			verbs++
		}
	}
	if r.ID == "" || verbs != 1 {
		return request{}, fmt.Errorf("%w: need an id and one verb", wire.ErrNoMessage)
	}
	return r, nil
}
