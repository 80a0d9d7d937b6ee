// Package publisher is process 1 of a publication: a container whose published ports lead to a Service.
//
// In: the command line that runtime/docker gives the container (see Main). On each start it has the kernel translate its
// ports to the Service's address, which the gateway serves, and replaces itself by the pause of package sandbox: a
// publication costs a few pages of memory, and no change of endpoints concerns it. Where the kernel cannot, it stays and
// forwards in userspace.
//
// Out: a process that waits, or forwards, until SIGTERM.
//
// Read next: gateway, which has the rules and the proxy; runtime/docker, which creates the containers.
package publisher
