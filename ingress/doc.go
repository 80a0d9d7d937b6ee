// Package ingress is the proxy for HTTP and HTTPS: it serves networking.k8s.io/v1 Ingresses, in a container of its own.
//
// In: a Config of Ingresses, what is behind them, certificates and settings, which the daemon sends over the agent container's
// standard input. Out: requests that arrive at a ready pod, over connections that outlast changes of the Config and the
// replacement of the agent.
//
// Two halves meet at the protocol in message.go, which package wire carries. The daemon half is NewConfig (convert.go) and
// Client. The agent half is Main and Run: Config → router (router.go, with the annotations of annotation.go), which is
// replaced as a whole; request → route → proxy (proxy.go) → pool of endpoints (pool.go) → retries (retry.go). Certificates are
// chosen in certificate.go and obtained in acme.go. An agent that starts beside another takes over its listeners
// (handover_linux.go), and the other drains (server.go).
//
// Read next: runtime/docker, which creates the containers and holds a Client; gateway, which serves the Services' own
// addresses.
package ingress
