package runtimetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/podyard/podyard/runtime"
)

// Harness is what the suite needs of whoever implements the contract.
type Harness struct {
	Runtime runtime.Runtime
	// Command returns an image that is on the host and a command in it that behaves so. Busybox is one.
	Command func(Behaviour) (image string, command []string)
	// Pullable is a reference that a registry has. Nothing is run from it.
	Pullable string
	// Kill ends a container or sandbox with SIGKILL, and Remove removes one, without the runtime's knowledge.
	Kill, Remove func(t *testing.T, id string)
	// Foreign puts things on the engine that are not the instance's own.
	Foreign func(t *testing.T) Foreign
}

// Foreign are a running container and a volume of somebody else.
type Foreign struct {
	ContainerID, Volume string
	// Check fails the test unless both, and whatever else was put there, are as they were.
	Check func(t *testing.T)
}

// Behaviour is what a program of the suite does. The comment at each Kind tells which fields count.
type Behaviour struct {
	Kind           Kind
	Code           int
	Stdout, Stderr string
	Message        string
	Lines          int
	Every          time.Duration
	Port           int
}

// Kind names a behaviour.
type Kind string

// The kinds of Behaviour. Programs that run on exit with 0 on SIGTERM, unless said otherwise.
const (
	// Sleep runs on.
	Sleep Kind = "sleep"
	// IgnoreTERM prints the line Stdout once it ignores SIGTERM, and runs on until SIGKILL.
	IgnoreTERM Kind = "ignore-term"
	// Exit ends at once with Code.
	Exit Kind = "exit"
	// End prints the line Stdout, writes Message to /dev/termination-log if there is one, and ends with Code.
	End Kind = "end"
	// Echo prints the line Stdout and the line Stderr, each where its name says, once it heeds SIGTERM. It runs on.
	Echo Kind = "echo"
	// Count prints "line 1", "line 2", … to stdout, one Every so often, and ends with 0 after Lines of them.
	Count Kind = "count"
	// ServeHTTP answers on Port: "/" with 200 and the line Stdout, everything else with 404. It runs on.
	ServeHTTP Kind = "serve-http"
	// Copy writes its standard input to its standard output, and ends with 0 at its end.
	Copy Kind = "copy"
	// Burn uses all of a core. It need not heed SIGTERM.
	Burn Kind = "burn"
	// NoCommand is a command that does not exist.
	NoCommand Kind = "no-command"
)

// Busybox returns a Harness.Command for an image that holds busybox, with its commands in the PATH.
func Busybox(image string) func(Behaviour) (string, []string) {
	return func(b Behaviour) (string, []string) { return image, busybox(b) }
}

// A program that ends on SIGTERM says so before it does anything else: the shell is PID 1, to which the kernel delivers
// no signal without a handler. It waits for a child in the background, since a shell runs its handlers only between
// commands.
const (
	heedTERM = `trap 'exit 0' TERM; `
	runOn    = `while :; do sleep 3600 & wait $!; done`
)

func busybox(b Behaviour) []string {
	switch b.Kind {
	case IgnoreTERM:
		return script(`trap '' TERM; echo "$1"; while :; do sleep 3600; done`, b.Stdout)
	case Exit:
		return script(fmt.Sprintf("exit %d", b.Code))
	case End:
		return script(fmt.Sprintf(`echo "$1"; if [ -n "$2" ]; then printf %%s "$2" >/dev/termination-log; fi; exit %d`, b.Code), b.Stdout, b.Message)
	case Echo:
		return script(heedTERM+`echo "$1"; echo "$2" >&2; `+runOn, b.Stdout, b.Stderr)
	case Count:
		return script(fmt.Sprintf(`i=0; while [ $i -lt %d ]; do i=$((i+1)); echo "line $i"; sleep %.3f; done`,
			b.Lines, b.Every.Seconds()))
	case ServeHTTP:
		return script(heedTERM+fmt.Sprintf(`mkdir -p /tmp/www; echo "$1" >/tmp/www/index.html; httpd -p %d -h /tmp/www; `, b.Port)+runOn,
			b.Stdout)
	case Copy:
		return []string{"cat"}
	case Burn:
		return script(`while :; do :; done`)
	case NoCommand:
		return []string{"/does/not/exist"}
	default:
		return script(heedTERM + runOn)
	}
}

func script(text string, args ...string) []string {
	return append([]string{"sh", "-c", text, "sh"}, args...)
}
