// Package deploy takes commits to revisions.
//
// In come artifacts from a source. Each is rendered, validated and compared with what is applied; what is good becomes a
// numbered revision in the history and the desired state of the reconciler, what is bad is recorded and changes nothing.
// The package knows which revision is applied, whether it is held there, and how it fares; that is what the status page
// shows and what the verbs of the command line change: roll back, resume, sync, plan.
//
// Read next: deployer.go for the way of a commit, outcome.go for how a revision ends, hold.go for rollback and resume,
// snapshot.go for what is shown; package reconcile for what happens to a desired state.
package deploy
