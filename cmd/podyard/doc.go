// Command podyard is GitOps for Docker hosts: the daemon, the command line that talks to it, and, under names of their
// own, the parts that run inside containers.
//
// In come arguments; out go exit codes: 0 ok, 1 error, 2 for plan when there is something to do. One file per verb; each
// parses its flags and calls the packages in the order in which data flows. Read next: run.go, the daemon; package deploy.
package main
