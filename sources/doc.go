// Package sources fetches revisions of a repository as immutable artifacts.
//
// In comes a URL or a local path: a git repository reached by https, http or ssh, a git repository on this machine, or a
// plain directory. Out comes an Artifact: an exact revision and its tree as an fs.FS, read straight from git objects.
// There is no work tree, no index and no lock file. Everything fetched is kept in a bare mirror in the data directory,
// which can be thrown away at any time: a broken one is set aside and cloned again.
//
// Errors name the repository and never a credential.
//
// Read next: source.go for the contract, git.go for the order of one fetch, poll.go for the loop that calls it; then
// package manifests, which renders the tree.
package sources
