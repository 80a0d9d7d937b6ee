// Package usage measures volumes, inside the sandbox that has them mounted.
//
// In: the command line `volume-usage PATH...`. Out: for each path a line with the bytes that it takes on its disk, as du
// counts them. A sandbox outlives upgrades of the daemon, so the command line and its meaning never change.
//
// Read next: runtime/docker, file usage.go, which calls it; reconcile/plan, which evicts a pod for what it says.
package usage
