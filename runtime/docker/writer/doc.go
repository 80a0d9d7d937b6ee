// Package writer updates the files of a volume in place, inside the sandbox that has the volume mounted.
//
// In: the command line `volume-swap VOLUME DIRECTORY`, where DIRECTORY was put into the volume by runtime/docker and
// holds the new state. Out: readers of the volume see the new files, all at once. A sandbox outlives upgrades of the
// daemon, so the command line and its meaning never change.
//
// The steps are those of the kubelet's AtomicWriter (kubernetes pkg/volume/util/atomic_writer.go).
//
// The command line `volume-touch FILE` makes an empty file on the engine's host, in a container that has the directory
// mounted.
//
// Read next: runtime/docker, file files.go, which calls it.
package writer
