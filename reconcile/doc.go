// Package reconcile runs the loop and carries out actions.
//
// In comes a Set, the desired state. The loop observes the engine, asks reconcile/plan what to do, and does it: look
// again after every event, every finished action, every change of a probe, and when the plan says so. Out go calls of
// the runtime, the status of every object, and events.
//
// The loop decides nothing about pods. What it adds to what the engine reports is what no engine knows: the answers of
// probes (prober.go), lifecycle hooks, pulls and stops that are under way, what volumes show and hold (written.go,
// usage.go), what pods use that are autoscaled (sample.go), and the reasons of actions that failed (overlay.go, problem.go).
//
// Read next: reconciler.go for the loop, apply.go and stop.go for one function per action, hook.go for lifecycle hooks;
// sandboxconfig.go, containerconfig.go and volume.go for how a manifest becomes the runtime's configuration; reconcile/plan
// for every decision; package deploy for where Sets come from.
package reconcile
