// Package e2e tests the whole system: the real binary, a real git, a real Docker engine, and nothing in between.
//
// Each test has an instance of its own (labels, names and network begin with it), a data directory of its own, and
// removes everything at its end, also after a failure. The tests fail, and do not skip, where there is no engine.
package e2e
