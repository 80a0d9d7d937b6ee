// Package publisher is process 1 of a publication: a container that exists so that the engine opens ports of the host and
// translates them to its address. At that address it is the gateway that answers, and serves the Service.
//
// In: the command line that runtime/docker gives the container (see Main). On each start it takes the address from its own
// interface, tells the neighbours that the gateway has it, and replaces itself by the pause of package sandbox: a
// publication costs a few pages of memory, and no packet goes through it.
//
// Out: a process that waits until SIGTERM.
//
// Read next: gateway, which answers for the addresses of all publications; runtime/docker, which creates the containers.
package publisher
