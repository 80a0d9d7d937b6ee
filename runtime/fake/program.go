package fake

import (
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Never is a duration that no test outlives, for ReadyAfter.
const Never time.Duration = math.MaxInt64

// Program is what an image does. The zero value starts, is ready at once, and runs until it is told to stop.
type Program struct {
	// ExitAfter is how long it runs by itself; zero for ever. It then exits with ExitCode, or with 137 if OOMKilled.
	ExitAfter time.Duration
	ExitCode  int
	OOMKilled bool
	// FailFirst is how many attempts end with exit code 1 instead, before one ends as it says.
	FailFirst int
	// Message is what it has written to its terminationMessagePath by the time it ends, however it ends.
	Message string
	// StartError, if set, is why the program cannot be started at all.
	StartError string
	// IgnoreTERM makes it run until SIGKILL. Else it exits StopTime after SIGTERM with StopCode.
	IgnoreTERM bool
	StopTime   time.Duration
	StopCode   int

	// Probes succeed from ReadyAfter until LiveUntil, counted from the start; LiveUntil zero means for ever.
	ReadyAfter, LiveUntil time.Duration
	// Answer, if set, decides instead: "" for success, else the message of the failure.
	Answer func(age time.Duration, handler corev1.ProbeHandler) string
	// Ports that listen; nil for all. Paths with the HTTP status of each; nil for 200 everywhere, and what is not in
	// the map is 404.
	Ports []int
	Paths map[string]int

	// Output is the log. Copies makes it write what it reads, too, to whoever is attached, and exit with 0 at the end of
	// its input.
	Output []Line
	Copies bool
	// Commands for Exec, by their words joined with blanks. Without an entry, the few commands of shell.go are known.
	Commands map[string]Answer
	// User is the image's USER.
	User string

	// Local images are on the host from the start and were never pulled.
	Local bool
	// Missing makes pulls fail as if the registry did not know the reference; PullError makes them fail otherwise.
	Missing   bool
	PullError string
	// PullTime replaces the latency of PullImage.
	PullTime time.Duration
}

// Line is one line of output, without its line break.
type Line struct {
	// After the start of the container.
	After  time.Duration
	Stderr bool
	Text   string
}

// Answer is what a command prints and how it ends.
type Answer struct {
	Stdout, Stderr string
	Code           int
	// Takes is how long it runs.
	Takes time.Duration
	// Copies makes its input come back before anything else, until it ends.
	Copies bool
}
