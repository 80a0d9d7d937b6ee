// Package runtimetest is the conformance suite of the runtime contract.
//
// In comes a Harness: a Runtime, and the few things a test needs that the contract has no verb for, as killing a
// container behind its back. Out come failed tests. Run holds for every runtime, in memory or not; RunReal holds for
// those whose containers are real processes in a real network.
//
// Every check is one sentence of the contract and stands in the file of its noun. Checks keep to a namespace of their
// own, so that they can run side by side on one engine; those that cannot say so (Check.Alone).
//
// Read next: runtime/fake and runtime/docker, which pass.
package runtimetest
