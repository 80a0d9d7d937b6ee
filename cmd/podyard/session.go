package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/podyard/podyard/status"
)

// target is the container that a command is about.
type target struct{ namespace, container string }

func (t *target) flags(c *cobra.Command) {
	c.Flags().StringVarP(&t.namespace, "namespace", "n", "", "namespace of the pod")
	c.Flags().StringVarP(&t.container, "container", "c", "", "container, if the pod has several")
}

func (t *target) find(ctx context.Context, client *status.Client, pod string) (status.ContainerName, error) {
	namespace, pod, err := findPod(ctx, client, t.namespace, pod)
	return status.ContainerName{Namespace: namespace, Pod: pod, Container: t.container}, err
}

// session connects the caller's input, output and terminal to a container.
type session struct{ stdin, tty bool }

func (s *session) flags(c *cobra.Command) {
	c.Flags().BoolVarP(&s.stdin, "stdin", "i", false, "pass on the input")
	c.Flags().BoolVarP(&s.tty, "tty", "t", false, "give the container's process a terminal")
}

// terminal tells whether there is a terminal to be had, and says so if there is none, as kubectl does.
func (s *session) terminal(c *cobra.Command) bool {
	if s.tty && inputTerminal(c) == nil {
		fmt.Fprintln(c.ErrOrStderr(), "Unable to use a TTY - input is not a terminal or the right kind of file")
		s.tty = false
	}
	return s.tty
}

// inputTerminal is the input, if it is a terminal.
func inputTerminal(c *cobra.Command) *os.File {
	file, ok := c.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return file
}

// run begins a session and ends with its exit code. A terminal is in raw mode meanwhile: every key, ctrl-c too, goes to the
// container.
func (s *session) run(c *cobra.Command, begin func(streams status.Streams, tty bool) (int, error)) error {
	streams := status.Streams{Stdout: c.OutOrStdout(), Stderr: c.ErrOrStderr()}
	tty := s.terminal(c)
	if s.stdin {
		streams.Stdin = c.InOrStdin()
	}
	if tty && s.stdin {
		ctx, stop := context.WithCancel(c.Context())
		defer stop()
		file := inputTerminal(c)
		streams.Resize = windowSizes(ctx, file)
		before, err := term.MakeRaw(int(file.Fd()))
		if err != nil {
			return fmt.Errorf("prepare the terminal: %w", err)
		}
		defer term.Restore(int(file.Fd()), before)
	}
	code, err := begin(streams, tty)
	switch {
	case c.Context().Err() != nil:
		return interrupted
	case err != nil:
		return err
	case code != 0:
		return exitCode(code)
	}
	return nil
}

// interrupted is the exit code of what ctrl-c ended, by the convention of shells: 128 and SIGINT.
const interrupted exitCode = 130

// windowSize is the size of a terminal now.
func windowSize(file *os.File) (status.TerminalSize, bool) {
	width, height, err := term.GetSize(int(file.Fd()))
	return status.TerminalSize{Width: uint16(width), Height: uint16(height)}, err == nil
}
