// Package runtime names, in CRI terms, what an engine must offer and what it reports.
//
// In comes a verb on one thing: create this sandbox, start that container. Out comes State, everything of ours that the
// engine holds. Verbs are safe to repeat; nothing here decides anything.
//
// The verbs and nouns are those of the Kubernetes Container Runtime Interface (k8s.io/cri-api, runtime/v1), with three
// differences that the plain Docker API asks for: a sandbox is created and started in two steps, so that its containers
// can be created while it starts; files reach a pod's volumes through WriteVolume, since an engine need not share a file
// system with us; and Service routing is a verb of the runtime, since it is containers too.
//
// runtime.go has the verbs, state.go what is reported, config.go what pods are made of, route.go how they are reached, and
// stream.go how one talks to what runs inside.
//
// Read next: runtime/docker, which carries the verbs out; runtime/fake, the same in memory, with faults on demand;
// runtime/runtimetest, the conformance suite that both pass; reconcile/plan, which decides what to ask for.
package runtime
