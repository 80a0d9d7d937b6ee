// Command bench measures Podyard against the raw Docker engine, in one run and in turn, as ratios: machines differ and are
// noisy, ratios less so.
//
// In comes an engine. Out come tables: commit to N pods Ready, against creating and starting the same containers (read
// off the pods just made) with the Docker API alone, best of 2, 4 and 8 at once, and commit to first engine call; a rolling
// update, against making and removing the same containers; what a pod costs the engine, made in one way or another; the idle
// daemon; a NodePort against a hostPort; the way over Services against the one from pod to pod, the gateway's name server against a
// bare one, and how long a change of endpoints takes; and how long pods do not answer after harm was done to them or to an engine
// of their own. Read next: start.go, update.go, cost.go, idle.go, nodeport.go, service.go, scale.go and recovery.go, each a table
// or two; raw.go for the raw engine, peer.go for the programs in the pods.
package main
