// Package manifests turns an artifact into a Set of defaulted, validated objects.
//
// In comes a file tree and a path inside it. Out comes a Set, the desired state, or an error that names file, line and
// field. The steps are files, in this order: render.go (kustomize, in a fenced child process), decode.go (strict, into
// k8s.io/api types), default.go (upstream's defaults), validate.go, and support.go, the one table of kinds and fields:
// honoured, ignored with a warning, refused. hash.go names what a pod would notice.
//
// Read next: reconcile/plan, which compares a Set with what runs.
package manifests
