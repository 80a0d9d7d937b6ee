// Package docker runs pods on a plain Docker engine: it carries out the verbs of package runtime.
//
// In: verbs on one sandbox, container, image or volume, and the engine's events. Out: runtime.State, kept in memory by
// one filtered event stream (watch.go) and by an inspection after every verb (observe.go), so that asking for it costs
// the engine nothing.
//
// A pod is a sandbox container that owns the network, the IPC namespace, the address and the mounts, and one container
// per attempt of each of its containers that joins it. Names and labels are those of dockershim and cri-dockerd
// (naming.go), which log and metrics agents know. The engine is the only store: what was asked for is in labels, so a
// daemon that starts anew finds everything. Nothing that lacks this instance's label is ever changed. The gateway and the proxy for Ingresses
// (ingress.go) are a holder and an agent each; agentlink.go keeps the connections to the agents up.
//
// The steps of a pod's life are in sandbox.go, container.go, volume.go and files.go, its containers' last words in
// message.go; what Kubernetes' fields mean to Docker is in convert.go, resources.go, device.go, security.go, seccomp.go
// and dns.go; how an image is pulled in image.go, keyring.go and credentials.go; what all pods share is in infra.go,
// network.go and gateway.go; how ports of the host come to be open for Services in publish.go and publishspec.go.
//
// Read next: runtime, the contract; runtime/docker/sandbox, the process in the sandbox; runtime/docker/publisher, that in a
// publication; runtime/docker/writer, the helper that swaps files in a sandbox; runtime/docker/reaper, the one that kills
// abandoned commands; gateway, which serves names and Service addresses; ingress,
// which serves Ingresses.
package docker
