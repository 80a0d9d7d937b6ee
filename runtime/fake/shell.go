package fake

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/podyard/podyard/runtime"
)

// shell answers a command: with what the program says, or as the few commands do by which tests look into a container.
func (e *Engine) shell(c *container, command []string) (answer Answer, known bool) {
	if answer, known = c.program.Commands[strings.Join(command, " ")]; known {
		return answer, true
	}
	if len(command) == 0 {
		return Answer{}, false
	}
	args := command[1:]
	switch command[0] {
	case "true":
		return Answer{}, true
	case "false":
		return Answer{Code: 1}, true
	case "echo":
		return Answer{Stdout: strings.Join(args, " ") + "\n"}, true
	case "hostname":
		return Answer{Stdout: c.sandbox.config.Hostname + "\n"}, true
	case "pwd":
		return Answer{Stdout: workingDir(c) + "\n"}, true
	case "env":
		return Answer{Stdout: environment(c)}, true
	case "printenv":
		return printenv(c, args), true
	case "cat":
		if len(args) == 0 {
			return Answer{Copies: true}, true
		}
		return e.cat(c, args), true
	case "ls":
		return e.ls(c, args), true
	case "cp":
		return e.cp(c, args), true
	case "sleep":
		return pause(args), true
	case "sh":
		return script(args)
	default:
		return Answer{}, false
	}
}

func notFound(command []string) Answer {
	return Answer{Stderr: fmt.Sprintf("exec: %q: executable file not found\n", strings.Join(command, " ")), Code: 127}
}

func workingDir(c *container) string {
	if c.config.WorkingDir == "" {
		return "/"
	}
	return c.config.WorkingDir
}

func environment(c *container) string {
	var b strings.Builder
	fmt.Fprintf(&b, "HOSTNAME=%s\n", c.sandbox.config.Hostname)
	for _, v := range c.config.Env {
		fmt.Fprintf(&b, "%s=%s\n", v.Name, v.Value)
	}
	return b.String()
}

func printenv(c *container, args []string) Answer {
	// The last of several with one name wins, as in an engine.
	for _, v := range slices.Backward(c.config.Env) {
		if len(args) == 1 && v.Name == args[0] {
			return Answer{Stdout: v.Value + "\n"}
		}
	}
	return Answer{Code: 1}
}

func (e *Engine) cat(c *container, args []string) Answer {
	var out Answer
	for _, name := range args {
		at := e.locate(c, name)
		data, ok := at.files[at.key]
		if !ok {
			out.Stderr += fmt.Sprintf("cat: can't open '%s': No such file or directory\n", name)
			out.Code = 1
		}
		out.Stdout += string(data)
	}
	return out
}

func (e *Engine) ls(c *container, args []string) Answer {
	if len(args) != 1 {
		return Answer{Stderr: "ls: one directory\n", Code: 1}
	}
	var out Answer
	for _, name := range e.locate(c, args[0]).list() {
		out.Stdout += name + "\n"
	}
	return out
}

func (e *Engine) cp(c *container, args []string) Answer {
	if len(args) != 2 {
		return Answer{Stderr: "cp: a source and a destination\n", Code: 1}
	}
	from, to := e.locate(c, args[0]), e.locate(c, args[1])
	data, ok := from.files[from.key]
	switch {
	case !ok:
		return Answer{Stderr: fmt.Sprintf("cp: can't stat '%s': No such file or directory\n", args[0]), Code: 1}
	case to.readOnly:
		return Answer{Stderr: fmt.Sprintf("cp: can't create '%s': Read-only file system\n", args[1]), Code: 1}
	}
	to.files[to.key] = slices.Clone(data)
	return Answer{}
}

func pause(args []string) Answer {
	seconds, err := strconv.ParseFloat(strings.Join(args, ""), 64)
	if err != nil {
		return Answer{Stderr: "sleep: invalid number\n", Code: 1}
	}
	return Answer{Takes: time.Duration(seconds * float64(time.Second))}
}

// script knows "exit N" only.
func script(args []string) (Answer, bool) {
	var code int
	if len(args) != 2 || args[0] != "-c" {
		return Answer{}, false
	}
	if _, err := fmt.Sscanf(args[1], "exit %d", &code); err != nil {
		return Answer{}, false
	}
	return Answer{Code: code}, true
}

// running finds a container that runs.
func (e *Engine) running(id string) (*container, error) {
	c := e.containers[id]
	switch {
	case c == nil:
		return nil, runtime.ErrNotFound
	case c.state != runtime.Running:
		return nil, fmt.Errorf("container is %s, not Running", c.state)
	}
	return c, nil
}
