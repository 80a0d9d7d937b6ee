// Package reaper kills commands that nobody waits for any more.
//
// In: the command line `reap NAME=VALUE`, in a container that has joined the process namespace of another. Out: every
// process there that has this variable in its environment is gone: the command that runtime/docker began with it, and
// what that has started.
//
// Read next: runtime/docker, file endexec.go, which runs it and says why.
package reaper
