// Package gateway is the data plane: cluster DNS and Service addresses, served from a container of its own.
//
// In: a Table of Services and endpoints, which the daemon sends over the agent container's standard input. Out: names
// answered at the gateway's address, and connections to a Service's address that arrive at one of its ready pods. The
// kernel does the latter by itself (nftables), so neither a dead daemon nor a dead agent interrupts it; where the kernel
// cannot, a proxy in this process does.
//
// Two halves meet at the protocol in message.go, which package wire carries. The agent half is Main and Run, inside the
// gateway's network namespace:
// table → rules (rules.go) → balancer (nft_linux.go or proxy.go), table → zone (zone.go) → resolver (dns.go). The daemon
// half is Client, over whatever stream reaches the agent. An agent that starts without a daemon serves the table in its
// state file.
//
// Clients from outside come by publications: addresses to which the engine translates ports of the host, and at which Services
// are served as at their own.
//
// Read next: runtime/docker/sandbox, whose return route is the other side of the address translation; runtime/docker/publisher,
// which is a publication; runtime/docker, which creates the containers and holds a Client.
package gateway
