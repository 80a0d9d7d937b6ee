// Command bench measures Podyard against the raw Docker engine, in one run and in turn, as ratios: machines differ and are
// noisy, ratios less so.
//
// In comes an engine. Out come tables: commit to N pods Ready, against creating and starting the same containers (read
// off the pods just made) with the Docker API alone, best of 2, 4 and 8 at once, and commit to first engine call; a rolling
// update, against making and removing the same containers; what a pod costs the engine, made in one way or another; the idle
// daemon; a NodePort against a hostPort; and how long pods do not answer after harm was done to them or to an engine of
// their own. Read next: start.go, update.go, cost.go, idle.go, nodeport.go and recovery.go, each one table; raw.go for the
// raw engine.
package main
