package manifests

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const (
	// childWord is the first argument that makes this program a rendering child.
	childWord = "__render"
	// memoryRoot is where the repository lies in the child's in-memory file system.
	memoryRoot = "/podyard-repository"
	maxOutput  = 64 << 20
	maxMessage = 64 << 10
	// refusedExit means that kustomize refused the manifests; standard output holds why.
	refusedExit = 3
)

// childInput is all that the child gets to know. Paths are relative to the root of the repository.
type childInput struct {
	Root  string
	Files map[string][]byte
}

// ready is set once the program has shown that it can be started as a child.
var ready atomic.Bool

// RunChildIfAsked renders one kustomization from standard input and exits, if this process was started for that. Call
// it first in main and in TestMain of everything that renders.
func RunChildIfAsked() {
	if len(os.Args) < 2 || os.Args[1] != childWord {
		ready.Store(true)
		return
	}
	runtime.LockOSThread()
	if err := fenceSelf(os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(childMain(os.Stdin, os.Stdout))
}

// childLimits are the arguments after childWord: memory in bytes and CPU time in seconds.
func childLimits(args []string) (memory, cpu uint64, err error) {
	if len(args) != 2 {
		return 0, 0, fmt.Errorf("read limits of the child: got %d arguments, want 2", len(args))
	}
	memory, err = strconv.ParseUint(args[0], 10, 63)
	if err != nil {
		return 0, 0, fmt.Errorf("read memory limit: %w", err)
	}
	cpu, err = strconv.ParseUint(args[1], 10, 32)
	if err != nil {
		return 0, 0, fmt.Errorf("read CPU limit: %w", err)
	}
	debug.SetMemoryLimit(int64(memory / 4 * 3))
	return memory, cpu, nil
}

// childMain is the child behind its fence. It returns the exit code.
func childMain(in io.Reader, out io.Writer) int {
	os.Stderr = nil // kustomize warns there of deprecated fields
	log.SetOutput(io.Discard)
	http.DefaultTransport = noNetwork{}
	var input childInput
	if err := gob.NewDecoder(in).Decode(&input); err != nil {
		fmt.Fprintln(out, "read the kustomization:", err)
		return 1
	}
	text, err := kustomize(input)
	if err != nil {
		io.WriteString(out, err.Error())
		return refusedExit
	}
	if _, err := out.Write(text); err != nil {
		return 1
	}
	return 0
}

// noNetwork is the last of several fences: kustomize fetches files by HTTP with the default transport.
type noNetwork struct{}

func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no network while rendering")
}

// kustomize runs it on files in memory, with builtin plug-ins only, and turns a panic into an error.
func kustomize(input childInput) (text []byte, err error) {
	defer func() {
		if recover() != nil { // what it was about may quote a Secret
			err = errors.New("kustomize panicked on this input")
		}
	}()
	memory := filesys.MakeFsInMemory()
	for _, name := range sortedKeys(input.Files) {
		if err := memory.WriteFile(path.Join(memoryRoot, name), input.Files[name]); err != nil {
			return nil, err
		}
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(memory, path.Join(memoryRoot, input.Root))
	if err != nil {
		return nil, err
	}
	return resources.AsYaml()
}

// runChild renders a walked kustomization. Lasting says whether the same input would come to the same result.
func (r *Renderer) runChild(ctx context.Context, w *walk) (text []byte, lasting bool, err error) {
	command, err := r.command()
	if err != nil {
		return nil, false, err
	}
	var input bytes.Buffer
	if err := gob.NewEncoder(&input).Encode(childInput{Root: w.root, Files: w.childFiles()}); err != nil {
		return nil, false, fmt.Errorf("encode kustomization %s: %w", w.root, err)
	}
	limited, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	out, errOut := &bounded{limit: maxOutput}, &bounded{limit: maxMessage}
	r.runs.Add(1)
	err = runFenced(limited, command, input.Bytes(), out, errOut)
	switch {
	case err == nil && !out.over:
		return out.Bytes(), true, nil
	case ctx.Err() != nil:
		return nil, false, ctx.Err()
	case limited.Err() != nil:
		return nil, false, w.failed("rendering took longer than %s", r.options.Timeout)
	case out.over:
		return nil, true, w.failed("renders to more than %d MiB", maxOutput>>20)
	}
	return r.childFailed(w, err, out, errOut)
}

// runtimeExit is the exit code of a panic and of a fatal error of Go's runtime.
const runtimeExit = 2

// childFailed explains how the child ended. A crash's text is not shown: it may hold pieces of a Secret.
func (r *Renderer) childFailed(w *walk, err error, out, errOut *bounded) ([]byte, bool, error) {
	var exit *exec.ExitError
	crash := errOut.String()
	switch {
	case !errors.As(err, &exit):
		return nil, false, fmt.Errorf("start renderer: %w", err)
	case exit.ExitCode() == refusedExit:
		message := out.String()
		return nil, true, w.failed("%s", w.redact(message[:min(len(message), maxMessage)]))
	case strings.Contains(crash, "out of memory") || strings.Contains(crash, "cannot allocate memory"):
		return nil, false, w.failed("rendering needs more than %d MiB of memory", r.options.Memory>>20)
	case strings.Contains(crash, "SIGXCPU"):
		return nil, false, w.failed("rendering needs more than %s of CPU time", r.options.Timeout)
	case strings.Contains(crash, "stack overflow") || strings.Contains(crash, "stack exceeds"):
		return nil, true, w.failed("is nested too deeply to be rendered")
	case exit.ExitCode() == -1, exit.ExitCode() == runtimeExit && !strings.Contains(crash, "panic: "):
		// By a signal, or Go's runtime gave up: short of memory it does so in many words, or in none.
		return nil, false, w.failed("rendering was cut short: it may need more than %d MiB of memory", r.options.Memory>>20)
	}
	return nil, false, w.failed("the renderer ended unexpectedly: %s", exit)
}

func (w *walk) failed(format string, args ...any) error {
	return Errors{{Position: Position{File: w.rootFile}, Message: fmt.Sprintf(format, args...)}}
}

// childFiles are the files as the child gets them: kustomizations as rewritten, all others as committed.
func (w *walk) childFiles() map[string][]byte {
	out := map[string][]byte{}
	for name, text := range w.texts {
		out[name] = text
		if rewritten, ok := w.rewritten[name]; ok {
			out[name] = rewritten
		}
	}
	return out
}

// command is how the child is started, with its limits.
func (r *Renderer) command() ([]string, error) {
	command := r.options.Command
	if len(command) == 0 {
		if !ready.Load() {
			return nil, errors.New("start renderer: this program does not call manifests.RunChildIfAsked first in main")
		}
		self, err := executable()
		if err != nil {
			return nil, fmt.Errorf("start renderer: %w", err)
		}
		command = []string{self, childWord}
	}
	memory := strconv.FormatInt(r.options.Memory, 10)
	cpu := strconv.Itoa(int(r.options.Timeout.Seconds()) + 1)
	return append(command[:len(command):len(command)], memory, cpu), nil
}

// bounded keeps the first bytes of what is written, and reports the rest as written too.
type bounded struct {
	bytes.Buffer
	limit int
	over  bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := b.limit - b.Len()
	if len(p) > room {
		b.over = true
		b.Buffer.Write(p[:room])
		return len(p), nil
	}
	return b.Buffer.Write(p)
}
