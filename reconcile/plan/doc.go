// Package plan decides what to do; it does nothing.
//
// In come the desired Set, the observed State and the time. Out comes a Result: actions with their reasons, the routes
// that Services should have, the status of every object, and when to look again. The same input gives the same output:
// no I/O, no clock, no chance, no map order.
//
// Nothing is remembered between calls. Restart counts and back-off are read from exited containers, rollout progress
// from the pods there are. Semantics are upstream's; each file names the upstream source of its rules.
//
// Read next: plan.go for the order of decisions, one file per kind for each; package reconcile, which carries actions out.
package plan
