// Package wire is how the daemon talks to its agents: one JSON object a line, over a container's standard input and output.
//
// In: what a daemon asks and an agent answers, types of the agent's package. Out: answers where they are waited for. The
// daemon's end is a Session (session.go); the agent's end is Listen and Answers (agent.go), and a file that keeps what it was
// told last (state.go).
//
// The daemon sends requests, the agent one answer to each, with the request's id. Several daemons may be attached at once
// and see each other's answers, so ids are unique beyond one daemon and an answer to an unknown id is ignored. A line that is
// no message is ignored by both ends: an attachment can begin or end in the middle of one. A new session therefore starts
// with an empty line.
//
// Read next: gateway and ingress, whose messages these are; runtime/docker, which makes the streams.
package wire
