// Package engine runs a Docker engine of one's own, which may be killed and restarted at will, beside the machine's.
//
// It is in network, mount and process namespaces of its own, so that the machine's engine sees nothing of it, and all of
// it ends with the first process of those namespaces. It takes root, dockerd, and util-linux's unshare and nsenter.
package engine
