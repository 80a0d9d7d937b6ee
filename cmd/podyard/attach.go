package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/podyard/podyard/status"
)

func newAttach(g *global) *cobra.Command {
	var target target
	var session session
	c := &cobra.Command{
		Use:   "attach [NAMESPACE/]POD",
		Short: "Connect to the main process of a container",
		Long: `Connect to the main process of a container: see what it writes from now on, and with -i type what it reads. The
container needs stdin: true for that, and tty: true for a terminal (-t). podyard attach ends with the container and its
exit code; when it is interrupted, the container runs on. ctrl-p ctrl-q lets go of a terminal.`,
		Example: `  podyard attach worker-7x2kd
  podyard attach -it console-0 -c shell`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			client := g.client()
			name, err := target.find(c.Context(), client, args[0])
			if err != nil {
				return err
			}
			return session.attach(c, client, status.AttachRequest{ContainerName: name, Stdin: session.stdin})
		},
	}
	target.flags(c)
	session.flags(c)
	return c
}

// attach connects this terminal to a container.
func (s *session) attach(c *cobra.Command, client *status.Client, request status.AttachRequest) error {
	return s.run(c, func(streams status.Streams, tty bool) (int, error) {
		if request.TTY = tty; tty {
			fmt.Fprintln(streams.Stderr, "If you don't see a command prompt, try pressing enter.\r")
		}
		return client.Attach(c.Context(), request, streams)
	})
}
