// Package fake is a container engine in memory that can fail on demand.
//
// In come the verbs of the runtime contract; out comes State, as Docker would report it: names are unique, a container
// needs a running sandbox to start, a sandbox that dies leaves its containers running without a network, a stop takes
// as long as the program and the grace period make it. What a program does is a Program, given by image reference.
//
// Tests reach behind the verbs: Inject makes verbs fail, hang or lose their answer; KillContainer, KillSandbox,
// RemoveBehindBack, HoldPort, ClosePublication, RestartEngine and DropEvents are what happens to an engine in real life; Calls, RouteHistory,
// Volumes and Foreign tell what was done; Options.OnChange sees every state in between.
//
// The engine knows time only through package time, and keeps no goroutine of its own: it works in a bubble of
// testing/synctest. There it is deterministic too: every verb takes a time that depends on what it is asked for, so
// verbs begun at one instant end in an order that is the same in every run.
//
// Read engine.go for what an engine holds, verb.go for the path of a verb, life.go for running and exiting. Read next:
// runtime/runtimetest, which this passes, and reconcile, which is simulated against it.
package fake
