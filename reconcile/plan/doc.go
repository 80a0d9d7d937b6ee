// Package plan decides what to do; it does nothing.
//
// In come the desired Set, the observed State and the time. Out comes a Result: actions with their reasons, the routes
// that Services should have, the status of every object, and when to look again. The same input gives the same output:
// no I/O, no clock, no chance, no map order.
//
// Nothing is remembered between calls, but for what is noted with WriteNote: a Deployment's revisions (deploymentnote.go), and
// a pod as they were before a rollout (deploymentbefore.go, partition.go), among others. Restart counts and back-off are read from
// exited containers, rollout progress from the pods there are. Semantics are upstream's; each file names the upstream source of
// its rules.
//
// What ReplicaSets, ReplicationControllers, StatefulSets and DaemonSets have in common is in workload.go, which pods are whose
// in adopt.go, and what becomes of a StatefulSet's volumes in retention.go. A Job is decided in job.go; what is kept of it, so
// that each pod counts once and the Job runs once, is in job_record.go.
//
// A CronJob notes first what it starts (cronjob.go); when a start is due is in cronjob_due.go, its Jobs in cronjob_run.go.
//
// In which order a commit is applied, as Argo CD has it, is in wave.go (waves, and what waits), standing.go (what a workload
// that waits goes on with) and synchook.go (hooks); what becomes of what has left the commit, in prune.go, policy.go and
// garbage.go. How many pods a workload has is what git says, or what its HorizontalPodAutoscaler decides (autoscaler.go): Plan
// works on the commit with those numbers filled in.
//
// Services and their endpoints are in service.go, clusterip.go and endpoint.go. Which ports of the host are open for them, and who
// gets a port that several want, is in publication.go; nodeport.go allots node ports, and publishstatus.go tells of it.
//
// A pod's life is decided in mend (pod.go): how it ends (end.go), its init containers and sidecars, its app containers
// (initcontainer.go, container.go), the files in its volumes (volume.go). Whether a new one may be made at all is asked in
// admit: of its namespace's quotas (quota.go), of the host (schedule.go, hostport.go, bind.go) and of its images (image.go).
// What the kubelet would say of it is in podstatus.go, phase.go and condition.go.
//
// Read next: plan.go for the order of decisions, one file per kind for each; package reconcile, which carries actions out.
package plan
