// Package history keeps what was decided, done and seen, in one bbolt file of the data directory.
//
// In come revisions as they are applied (commit, trigger, rendered objects, outcome, image digests), events, notes of
// the planner's, and the hold of a rollback. Out comes what a rollback, the history command and the status page need. Nothing here is needed to
// run pods: a damaged file is set aside and a new one is begun.
//
// Rendered objects include Secrets. The file is readable by its owner only, and this package prints none of it.
//
// Read next: store.go for the file, revision.go and event.go for what is in it; then package status, which shows it.
package history
