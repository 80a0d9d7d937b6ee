// Package sandbox is process 1 of a pod's sandbox container and of the gateway's holder.
//
// In: the command line that runtime/docker gives the container (see Main). On each start it writes /etc/resolv.conf and
// host aliases, makes the files for termination messages, and installs the return route, by which replies to Service
// traffic go back through the gateway; on the first one it also makes emptyDir volumes writable for every user and gives
// volumes to the pod's fsGroup. Then it replaces itself by a static pause of one kilobyte, so that a sandbox costs a few
// pages of memory and not a Go runtime.
//
// Out: a process that waits, reaps the orphans of a shared process namespace, and exits 0 at SIGTERM.
//
// Read next: gateway, whose address translation the return route undoes; runtime/docker, which creates the containers.
package sandbox
